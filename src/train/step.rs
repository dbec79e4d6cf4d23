use super::optimizer::Optimizer;
use super::parallel::Parallel;
use super::schedule::learning_rate;
use crate::data::{Batch, Batches, Tokens};
use crate::model::{Model, StepNoise};
use crate::ops::{Backend, Fault, GradientSum, Matrix, Scalar};
use crate::random::Stream;
use crate::record::StepMetric;
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
    /// Steps taken.
    pub(super) step: u64,
    spec: RunSpec,
    batches: Batches,
    dropout: Stream,
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
    ) -> Result<Self, Fault<B::Device>> {
        let model = Model::new(device, &spec.model, vocab_size, spec.seed)?;
        Ok(Self {
            optimizer: Optimizer::new(&spec.optimizer, &model)?,
            model,
            step: 0,
            batches: Batches::new(
                spec.seed,
                spec.sequence_length(),
                spec.train.sequences_per_step(),
            ),
            dropout: Stream::new(spec.seed, "dropout"),
            spec: spec.clone(),
        })
    }

    /// One optimizer step on the next batch. The weights are left alone where the loss or the
    /// gradient is not finite, as the metric then says.
    ///
    /// # Errors
    /// If the device fails.
    pub fn step(&mut self, tokens: &Tokens) -> Result<StepMetric, Fault<B::Device>> {
        let batch = self.batches.batch(tokens, self.step);
        let (loss, sums) = self.gradients(&batch)?;
        let grad_norm = sums.iter().map(|sum| sum.squared_norm).sum::<f64>().sqrt();
        let gradients = sums.into_iter().map(|sum| sum.gradient).collect();
        let lr = learning_rate(&self.spec.optimizer, self.step, self.spec.train.steps);
        if loss.is_finite() && grad_norm.is_finite() {
            self.optimizer
                .step(&mut self.model, gradients, grad_norm, lr, self.step)?;
        }
        self.step += 1;
        Ok(StepMetric {
            step: self.step,
            loss,
            lr,
            grad_norm,
        })
    }

    /// Loss and gradients of a batch, one micro-batch after another, so that the activations of one
    /// alone are there at a time.
    fn gradients(&self, batch: &Batch) -> Result<(f64, GradientSums<B>), Fault<B::Device>> {
        let rows = self.spec.train.batch_size * self.spec.sequence_length();
        let mut loss = 0.0;
        let mut sums = Vec::new();
        for first in (0..batch.inputs.len()).step_by(rows) {
            let micro_batch = first..(first + rows).min(batch.inputs.len());
            let shards = self.shards(batch, micro_batch)?;
            loss += shards.iter().map(|shard| shard.loss).sum::<f64>();
            sums = add::<B>(sums, shards)?;
        }
        Ok((loss, sums))
    }

    /// Each shard of a micro-batch, forward and back.
    fn shards(
        &self,
        batch: &Batch,
        micro_batch: Range<usize>,
    ) -> Result<Vec<Shard<B>>, Fault<B::Device>> {
        let block = self.spec.sequence_length();
        let sequences = micro_batch.len() / block;
        let shards = shards(sequences, block);
        let first = |shard: usize| micro_batch.start + block * (shard * sequences / shards);
        let rows = (0..shards)
            .map(|shard| first(shard)..first(shard + 1))
            .collect();
        B::shards(self, batch, rows)
    }
}

impl<B: Backend> Trainer<B> {
    /// The loss and the gradients of some rows of a batch.
    pub(super) fn shard(
        &self,
        batch: &Batch,
        rows: Range<usize>,
    ) -> Result<Shard<B>, Fault<B::Device>> {
        let block = self.spec.sequence_length();
        let scale = 1.0 / batch.inputs.len() as f32;
        let noise = StepNoise {
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
) -> Result<GradientSums<B>, Fault<B::Device>> {
    let mut by_parameter: Vec<Vec<_>> = Vec::new();
    by_parameter.extend(before.into_iter().map(|sum| vec![sum.gradient]));
    for shard in shards {
        by_parameter.resize_with(shard.gradients.len(), Vec::new);
        let pairs = by_parameter.iter_mut().zip(shard.gradients);
        pairs.for_each(|(all, one)| all.push(one));
    }
    B::sums(by_parameter)
}
