use super::step_batch::shard_count;
use crate::kernels::LinearProducts;
use crate::model;
use crate::results::CorpusInfo;
use crate::spec::{Model, ModelKind, OptimizerKind, RunSpec};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// What a run is likely to take on this machine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// Training and evaluation, in seconds of one thread.
    pub seconds: f64,
    /// Peak resident memory, in MiB.
    pub memory_mb: f64,
    pub steps: u64,
    /// Pieces of a step that threads can share.
    pub shards: usize,
}

/// Width of a GPT whose step reaches half of the rate of large matrix products. A wider one comes
/// closer to all of it: the time that benches/growth.svg shows for widths of 32 to 512, within a fifth.
const HALF_RATE_WIDTH: f64 = 48.0;
/// Share of that rate that a table of a bigram reaches, which is no more than a guess: little of its
/// time depends on it.
const TABLE_UTILISATION: f64 = 0.1;
/// Seconds to add up a parameter's gradients and to update it.
const SECONDS_PER_PARAMETER: f64 = 5e-9;
/// Seconds that a step takes whatever its size.
const STEP_OVERHEAD: f64 = 100e-6;
/// Share of a step that is left to one thread, however many there are, or lost in waiting for the
/// others and for memory. This and the next are what the bench `step` shows on one and two threads at
/// its three sizes; they choose what runs side by side, and no result.
const SERIAL_SHARE: f64 = 0.05;
/// Seconds that a step loses in waking the other threads and waiting for the last.
const THREADS_OVERHEAD: f64 = 50e-6;
/// Of the process before any model, in MiB.
const BASE_MEMORY_MB: f64 = 30.0;

impl Estimate {
    /// Training and evaluation, in seconds of `threads` threads. What one of them cannot share with
    /// the others takes as long as ever, and a shard is the work of one.
    pub fn seconds_on(&self, threads: usize) -> f64 {
        if threads <= 1 {
            return self.seconds;
        }
        let rounds = self.shards.div_ceil(threads) as f64 / self.shards as f64;
        let share = SERIAL_SHARE + (1.0 - SERIAL_SHARE) * rounds;
        self.seconds * share + self.steps as f64 * THREADS_OVERHEAD
    }
}

/// Estimates a run, from its FLOPs and from the matrix-product rate of this machine, which is
/// measured in some milliseconds the first time.
pub fn estimate(spec: &RunSpec, corpus: &CorpusInfo) -> Estimate {
    let size = model::size(&spec.model, corpus.vocab_size, spec.sequence_length());
    let train = &spec.train;
    let trained = train.steps.saturating_mul(spec.tokens_per_step());
    let evaluations = train
        .steps
        .div_ceil(train.eval_every.steps().unwrap_or(train.steps))
        + 1;
    // An evaluation is forward alone, a third of the work.
    let tokens = trained as f64 + (evaluations * corpus.val_tokens) as f64 / 3.0;
    let seconds = tokens * size.flops_per_token / (matmul_rate() * utilisation(&spec.model));
    let step = STEP_OVERHEAD + size.params as f64 * SECONDS_PER_PARAMETER;
    Estimate {
        seconds: seconds + train.steps as f64 * step,
        memory_mb: memory_mb(spec, size.params, corpus.vocab_size),
        steps: train.steps,
        shards: shard_count(train.batch_size, spec.sequence_length()),
    }
}

/// Share of the rate of large matrix products that a model reaches.
fn utilisation(model: &Model) -> f64 {
    match model.kind {
        ModelKind::Gpt => {
            let width = model.n_embd as f64;
            width / (width + HALF_RATE_WIDTH)
        }
        // A table: rows are read, and nothing is multiplied.
        ModelKind::Bigram | ModelKind::Ngram => TABLE_UTILISATION,
    }
}

/// Weights, what the optimizer keeps of each (at most), the average, the gradients of shards and their
/// sum, and the activations kept for the way back.
fn memory_mb(spec: &RunSpec, params: u64, vocab_size: usize) -> f64 {
    let (model, train) = (&spec.model, &spec.train);
    let kept = match spec.optimizer.kind {
        OptimizerKind::Adamw | OptimizerKind::Adam | OptimizerKind::Muon => 2.0,
        OptimizerKind::Sgd | OptimizerKind::Rmsprop | OptimizerKind::Lion => 1.0,
    };
    let average = if train.ema.is_some() { 1.0 } else { 0.0 };
    let rows = train.batch_size * spec.sequence_length();
    let row = match model.kind {
        ModelKind::Bigram => 2 * vocab_size,
        ModelKind::Ngram => 0,
        ModelKind::Gpt => model.n_layer * (7 * model.n_embd + 2 * model.mlp_width()),
    };
    let weights_and_gradients = 4.0;
    let floats =
        params as f64 * (weights_and_gradients + kept + average) + rows as f64 * row as f64;
    BASE_MEMORY_MB + floats * 4.0 / (1024.0 * 1024.0)
}

/// Floating-point operations a second of one thread in matrix products.
fn matmul_rate() -> f64 {
    static RATE: OnceLock<f64> = OnceLock::new();
    *RATE.get_or_init(|| {
        let mut products = LinearProducts::new(256, 256, 256);
        let started = Instant::now();
        let mut best = f64::MAX;
        while started.elapsed() < Duration::from_millis(20) {
            let one = Instant::now();
            products.run();
            best = best.min(one.elapsed().as_secs_f64());
        }
        products.flops() / best
    })
}
