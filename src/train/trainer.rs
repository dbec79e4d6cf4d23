use super::divergence;
use super::ema::{AverageUpdate, Ema};
use super::evaluation::Chunk;
use super::lr_schedule::learning_rate;
use super::optimizer_state::{Optimizer, ParameterUpdate};
use super::parallel::{MapOrdered, uses_own_thread_team};
use super::step_batch::StepBatch;
use crate::data::{Batches, Tokens};
use crate::kernels::operations::*;
use crate::kernels::{
    Backend, Bf16Backend, Checkable, CpuBackend, DeviceError, GradientSum, Matrix, NanCheckBackend,
    ReferenceBackend, Scalar, SharedGradients, detect_non_finite,
};
use crate::model::{Model, ParamGroup};
use crate::random::Stream;
use crate::results::StepMetric;
use crate::spec::RunSpec;
use dfdx::prelude::*;
use std::ops::Range;
use std::sync::Arc;

/// A backend that can train: it can apply each of the parts that a step and an evaluation consist
/// of.
pub trait TrainBackend:
    Checkable
    + for<'a> MapOrdered<ShardInput<'a, Self>, Shard<Self>>
    + MapOrdered<Vec<Matrix<<Self as Backend>::Device>>, GradientSum<<Self as Backend>::Device>>
    + for<'a> MapOrdered<ParameterUpdate<'a, Self>, ()>
    + for<'a> MapOrdered<AverageUpdate<'a, Self>, ()>
    + for<'a> MapOrdered<Chunk<'a, Self>, f64>
{
}

impl TrainBackend for CpuBackend {}
impl TrainBackend for Bf16Backend {}
impl<D: Device<f32>> TrainBackend for ReferenceBackend<D> {}
impl TrainBackend for NanCheckBackend<CpuBackend> {}
impl TrainBackend for NanCheckBackend<Bf16Backend> {}
impl<D: Device<f32>> TrainBackend for NanCheckBackend<ReferenceBackend<D>> {}

/// A model in training.
#[derive(Debug)]
pub struct Trainer<B: Backend> {
    pub(super) model: Model<B>,
    pub(super) optimizer: Optimizer<B>,
    /// The moving average of the weights, if the run keeps one.
    pub(super) ema: Option<Ema<B>>,
    /// Number of steps taken.
    pub(super) step: u64,
    /// The number of steps that the learning rate schedule is for.
    pub(super) schedule_steps: u64,
    /// Why the run cannot continue, if the last step diverged.
    pub(super) divergence: Option<String>,
    spec: RunSpec,
    vocab_size: usize,
    dropout: Stream,
    batches: Batches,
}

impl<B: TrainBackend> Trainer<B> {
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
            ema: spec.train.ema.map(|decay| Ema::new(decay, &model)),
            model,
            step: 0,
            // Without a known end, the schedule is at its beginning.
            schedule_steps: spec.train.planned_steps().unwrap_or(u64::MAX),
            divergence: None,
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

    /// Takes one optimizer step on the next batch. If the loss or the gradient is not finite, or an
    /// activation on a backend that checks them, the weights stay as they are and `divergence` holds
    /// the reason.
    ///
    /// # Errors
    /// If the device fails.
    pub fn step(&mut self, tokens: &Tokens) -> Result<StepMetric, DeviceError<B::Device>> {
        let batch = StepBatch {
            batch: self.batches.batch(tokens, self.step),
            step: self.step,
            spec: &self.spec,
            vocab_size: self.vocab_size,
            dropout: &self.dropout,
        };
        let number = self.step + 1;
        let at_this_step = |finding| format!("{finding} at step {number}");
        let BatchGradients {
            loss,
            sums,
            finding,
        } = gradients(&self.model, &batch)?;
        self.divergence = finding.map(at_this_step);
        let grad_norm = sums.iter().map(|sum| sum.squared_norm).sum::<f64>().sqrt();
        let lr = learning_rate(&self.spec.optimizer, self.step, self.schedule_steps);
        if !loss.is_finite() || !grad_norm.is_finite() {
            let reason = divergence::describe(&self.model, &batch, loss, &sums)?;
            self.divergence = Some(reason);
        } else if self.divergence.is_none() {
            let gradients = sums.into_iter().map(|sum| sum.gradient).collect();
            let model = &mut self.model;
            self.optimizer
                .step(model, gradients, grad_norm, lr, number)?;
            if let Some(ema) = &mut self.ema {
                ema.update(model, number)?;
            }
            if B::CHECKED {
                self.divergence = divergence::non_finite_parameter(model).map(at_this_step);
            }
        }
        self.step = number;
        Ok(StepMetric {
            step: number,
            loss,
            lr,
            grad_norm,
        })
    }
}

impl<B: Backend> Trainer<B> {
    pub(super) fn keeps_best(&self) -> bool {
        self.spec.train.keeps_best()
    }

    /// The model to evaluate, sample from and save. Its weights are the moving average, if the run
    /// evaluates it. Copies no weights.
    pub(super) fn eval_model(&self) -> Model<B> {
        match &self.ema {
            Some(ema) if self.spec.train.evaluates_average() => ema.averaged_model(&self.model),
            _ => self.model.clone(),
        }
    }
}

/// The result of the forward and backward pass of a batch.
struct BatchGradients<B: Backend> {
    /// The mean loss.
    loss: f64,
    sums: GradientSums<B>,
    /// The finding of the first shard that has one.
    finding: Option<String>,
}

/// Loss and gradients of a batch. Micro-batches are computed one after another, so that memory holds
/// the activations of one at a time.
fn gradients<B: TrainBackend>(
    model: &Model<B>,
    batch: &StepBatch,
) -> Result<BatchGradients<B>, DeviceError<B::Device>> {
    let (mut loss, mut sums, mut finding) = (0.0, Vec::new(), None);
    for rows in batch.micro_batches() {
        let shards = batch.shards(rows);
        let shared = shared_gradients(model, shards.len());
        let earlier_sums = begin_with(model, &shared, sums);
        let inputs = shards.into_iter().enumerate();
        let inputs = inputs.map(|(number, rows)| ShardInput {
            model,
            batch,
            number,
            rows,
            shared: shared.clone(),
        });
        let mut shards = B::map_ordered(inputs.collect(), ShardInput::forward_backward)?;
        finding = finding.or_else(|| shards.iter_mut().find_map(|shard| shard.finding.take()));
        loss += shards.iter().map(|shard| shard.loss).sum::<f64>();
        sums = add_shards(model, &shared, earlier_sums, shards)?;
    }
    Ok(BatchGradients {
        loss,
        sums,
        finding,
    })
}

/// The gradients that the shards of a micro-batch add up in one place.
fn shared_gradients<B: Backend>(model: &Model<B>, shards: usize) -> Arc<SharedGradients> {
    match shards > 1 && uses_own_thread_team(shards) {
        true => SharedGradients::new(linear_weights(model)),
        false => Arc::default(),
    }
}

/// The weights that have one product in a pass.
fn linear_weights<B: Backend>(model: &Model<B>) -> impl Iterator<Item = &Matrix<B::Device>> {
    let parameters = model.parameters().into_iter();
    let linear = parameters.filter(|parameter| parameter.group == ParamGroup::Matrix);
    linear.map(|parameter| &parameter.value)
}

/// Rows of a batch whose forward and backward pass one thread computes.
#[derive(Debug)]
pub struct ShardInput<'a, B: Backend> {
    model: &'a Model<B>,
    batch: &'a StepBatch<'a>,
    /// Within the micro-batch.
    number: usize,
    rows: Range<usize>,
    shared: Arc<SharedGradients>,
}

/// The result of the forward and backward pass of a shard.
#[derive(Debug)]
pub struct Shard<B: Backend> {
    /// Its part of the batch's mean loss.
    loss: f64,
    /// The gradient of each parameter, in the model's order. `None` if it is shared.
    gradients: Vec<Option<Matrix<B::Device>>>,
    /// The first activation that is not finite, if the backend checks them.
    finding: Option<String>,
}

impl<B: Backend> ShardInput<'_, B> {
    fn forward_backward(self) -> Result<Shard<B>, DeviceError<B::Device>> {
        let shared = self.shared.clone();
        shared.compute_shard(self.number, || self.with_shared_gradients())
    }

    fn with_shared_gradients(self) -> Result<Shard<B>, DeviceError<B::Device>> {
        let Self {
            model,
            batch,
            number,
            rows,
            shared,
        } = self;
        let (loss, found) = detect_non_finite(|| batch.loss(model, rows));
        let loss: Scalar<B::Device, OwnedTape<f32, B::Device>> = loss?;
        let value = f64::from(loss.as_vec()[0]);
        let mut gradients = loss.try_backward()?;
        let parameters = model.parameters().into_iter();
        let own = parameters.map(
            |parameter| match shared.includes(&parameter.value, number) {
                true => Ok(None),
                false => B::take_gradient(&mut gradients, &parameter.value).map(Some),
            },
        );
        Ok(Shard {
            loss: value,
            gradients: own.collect::<Result<_, _>>()?,
            finding: found.map(|found| divergence::describe_activation(model, &found)),
        })
    }
}

/// The gradient of each parameter, in the model's order.
type GradientSums<B> = Vec<GradientSum<<B as Backend>::Device>>;

/// For each parameter, in the model's order, gradients to be added up.
type GradientTerms<B> = Vec<Vec<Matrix<<B as Backend>::Device>>>;

/// The sums of earlier micro-batches as the first terms of those with the next one. Shared gradients begin with them.
fn begin_with<B: Backend>(
    model: &Model<B>,
    shared: &SharedGradients,
    sums: GradientSums<B>,
) -> GradientTerms<B> {
    let mut terms: GradientTerms<B> = model.parameters().iter().map(|_| Vec::new()).collect();
    let parameters = model.parameters().into_iter();
    for ((parameter, sum), terms) in parameters.zip(sums).zip(&mut terms) {
        match shared.has(&parameter.value) {
            true => shared.begin_with(&parameter.value, sum.gradient),
            false => terms.push(sum.gradient),
        }
    }
    terms
}

/// Adds the gradients of shards, in order, to the terms before them.
fn add_shards<B: TrainBackend>(
    model: &Model<B>,
    shared: &SharedGradients,
    mut terms: GradientTerms<B>,
    shards: Vec<Shard<B>>,
) -> Result<GradientSums<B>, DeviceError<B::Device>> {
    for shard in shards {
        let pairs = terms.iter_mut().zip(shard.gradients);
        pairs.for_each(|(terms, gradient)| terms.extend(gradient));
    }
    for (parameter, terms) in model.parameters().into_iter().zip(&mut terms) {
        if let Some(sum) = shared.take(&parameter.value) {
            terms.insert(0, sum);
        }
    }
    B::map_ordered(terms, B::sum_gradients)
}
