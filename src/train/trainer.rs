use super::ema::Average;
use super::lr_schedule::learning_rate;
use super::optimizer::Optimizer;
use super::parallel::Parallel;
use crate::data::{Batch, Batches, Tokens};
use crate::kernels::{Backend, DeviceError, GradientSum, Matrix, Scalar};
use crate::model::{DropoutContext, Model};
use crate::random::Stream;
use crate::results::StepMetric;
use crate::spec::RunSpec;
use dfdx::prelude::*;
use std::ops::Range;

/// A batch is dealt to this many shards at most. Each is taken forward and back by one thread on a
/// tape of its own, and their gradients are added in order: the number of shards, and not that of
/// threads, is what the bits of a result depend on.
const MAX_SHARDS: usize = 4;

/// Rows of a batch that are worth a shard: with fewer, packing the weights for its products and
/// adding its gradients cost more than another thread saves.
const ROWS_PER_SHARD: usize = 256;

/// How many shards so many sequences are dealt to: a power of two, so that two or four threads have
/// as much to do each.
pub(super) fn shards(sequences: usize, block: usize) -> usize {
    let worth = (sequences * block / ROWS_PER_SHARD).clamp(1, MAX_SHARDS);
    (1 << worth.ilog2()).min(sequences)
}

/// A model in training.
#[derive(Debug)]
pub struct Trainer<B: Backend> {
    pub(super) model: Model<B>,
    pub(super) optimizer: Optimizer<B>,
    /// The moving average of the weights, where the run keeps one.
    pub(super) average: Option<Average<B>>,
    /// Steps taken.
    pub(super) step: u64,
    /// Why the run cannot go on after the last step, where it cannot.
    pub(super) trouble: Option<String>,
    pub(super) spec: RunSpec,
    pub(super) vocab_size: usize,
    pub(super) dropout: Stream,
    batches: Batches,
}

impl<B: Parallel> Trainer<B> {
    /// A model with fresh weights.
    ///
    /// # Errors
    /// If the device has no memory for it.
    pub fn new(
        device: &B::Device,
        spec: &RunSpec,
        vocab_size: usize,
    ) -> Result<Self, DeviceError<B::Device>> {
        let model = Model::new(device, &spec.model, vocab_size, spec.seed)?;
        Ok(Self {
            optimizer: Optimizer::new(&spec.optimizer, &model)?,
            average: spec.train.ema.map(|decay| Average::new(decay, &model)),
            model,
            step: 0,
            trouble: None,
            vocab_size,
            batches: Batches::new(
                spec.seed,
                spec.train.batches,
                spec.sequence_length(),
                spec.train.sequences_per_step(),
            ),
            dropout: Stream::new(spec.seed, "dropout"),
            spec: spec.clone(),
        })
    }

    /// One optimizer step on the next batch. The weights are left alone where the loss or the
    /// gradient is not finite, and `trouble` says so.
    ///
    /// # Errors
    /// If the device fails.
    pub fn step(&mut self, tokens: &Tokens) -> Result<StepMetric, DeviceError<B::Device>> {
        let batch = self.batches.batch(tokens, self.step);
        self.trouble = match self.spec.train.debug {
            true => self.at_this_step(self.broken_activation(&batch)?),
            false => None,
        };
        let (loss, sums) = self.gradients(&batch)?;
        let grad_norm = sums.iter().map(|sum| sum.squared_norm).sum::<f64>().sqrt();
        let lr = learning_rate(&self.spec.optimizer, self.step, self.spec.train.steps);
        if !loss.is_finite() || !grad_norm.is_finite() {
            self.trouble = Some(self.explain(&batch, loss, &sums)?);
        } else if self.trouble.is_none() {
            let gradients = sums.into_iter().map(|sum| sum.gradient).collect();
            self.update(gradients, grad_norm, lr)?;
        }
        self.step += 1;
        Ok(StepMetric {
            step: self.step,
            loss,
            lr,
            grad_norm,
        })
    }

    /// Updates the weights, and their average.
    fn update(
        &mut self,
        gradients: Vec<Matrix<B::Device>>,
        grad_norm: f64,
        lr: f64,
    ) -> Result<(), DeviceError<B::Device>> {
        let model = &mut self.model;
        self.optimizer
            .step(model, gradients, grad_norm, lr, self.step)?;
        if let Some(average) = &mut self.average {
            average.take_in(model, self.step)?;
        }
        if self.spec.train.debug {
            self.trouble = self.at_this_step(self.broken_parameter());
        }
        Ok(())
    }

    fn at_this_step(&self, finding: Option<String>) -> Option<String> {
        finding.map(|finding| format!("{finding} at step {}", self.step + 1))
    }

    /// Loss and gradients of a batch, one micro-batch after another, so that the activations of one
    /// alone are there at a time.
    fn gradients(&self, batch: &Batch) -> Result<(f64, GradientSums<B>), DeviceError<B::Device>> {
        let mut loss = 0.0;
        let mut sums = Vec::new();
        for rows in self.micro_batches(batch) {
            let shards = B::shards(self, batch, self.shard_rows(rows))?;
            loss += shards.iter().map(|shard| shard.loss).sum::<f64>();
            sums = add::<B>(sums, shards)?;
        }
        Ok((loss, sums))
    }
}

impl<B: Backend> Trainer<B> {
    /// The model that is evaluated, sampled from and saved: the average where there is one. Copies
    /// no weights.
    pub(super) fn result(&self) -> Model<B> {
        match &self.average {
            Some(average) => average.of(&self.model),
            None => self.model.clone(),
        }
    }

    /// The rows of each micro-batch.
    pub(super) fn micro_batches(
        &self,
        batch: &Batch,
    ) -> impl Iterator<Item = Range<usize>> + use<B> {
        let rows = self.spec.train.batch_size * self.spec.sequence_length();
        let all = batch.inputs.len();
        (0..all)
            .step_by(rows)
            .map(move |first| first..(first + rows).min(all))
    }

    /// The rows of each shard of a micro-batch.
    pub(super) fn shard_rows(&self, micro_batch: Range<usize>) -> Vec<Range<usize>> {
        let block = self.spec.sequence_length();
        let sequences = micro_batch.len() / block;
        let shards = shards(sequences, block);
        let first = |shard: usize| micro_batch.start + block * (shard * sequences / shards);
        (0..shards)
            .map(|shard| first(shard)..first(shard + 1))
            .collect()
    }

    /// The loss and the gradients of some rows of a batch.
    pub(super) fn shard(
        &self,
        batch: &Batch,
        rows: Range<usize>,
    ) -> Result<Shard<B>, DeviceError<B::Device>> {
        let block = self.spec.sequence_length();
        let scale = 1.0 / batch.inputs.len() as f32;
        let noise = DropoutContext {
            stream: &self.dropout,
            step: self.step,
            first_row: rows.start,
        };
        let (inputs, targets) = (&batch.inputs[rows.clone()], &batch.targets[rows]);
        let loss: Scalar<B::Device, OwnedTape<f32, B::Device>> =
            self.model
                .loss(inputs, targets, block, scale, Some(noise))?;
        let value = f64::from(loss.as_vec()[0]);
        let mut gradients = loss.try_backward()?;
        let parameters = self.model.parameters().into_iter();
        let gradients =
            parameters.map(|parameter| B::take_gradient(&mut gradients, &parameter.value));
        Ok(Shard {
            loss: value,
            gradients: gradients.collect::<Result<_, _>>()?,
        })
    }
}

/// What came of some rows of a batch.
#[derive(Debug)]
pub struct Shard<B: Backend> {
    /// Its share of the batch's mean loss.
    loss: f64,
    /// Of each parameter, in the model's order.
    gradients: Vec<Matrix<B::Device>>,
}

/// Of each parameter, in the model's order.
type GradientSums<B> = Vec<GradientSum<<B as Backend>::Device>>;

/// Adds the gradients of some shards to those of the shards before, parameter by parameter.
fn add<B: Parallel>(
    before: GradientSums<B>,
    shards: Vec<Shard<B>>,
) -> Result<GradientSums<B>, DeviceError<B::Device>> {
    let mut by_parameter: Vec<Vec<_>> = Vec::new();
    by_parameter.extend(before.into_iter().map(|sum| vec![sum.gradient]));
    for shard in shards {
        by_parameter.resize_with(shard.gradients.len(), Vec::new);
        let pairs = by_parameter.iter_mut().zip(shard.gradients);
        pairs.for_each(|(all, one)| all.push(one));
    }
    B::sums(by_parameter)
}
