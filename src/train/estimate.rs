use super::step::shards;
use crate::model;
use crate::ops::LinearProducts;
use crate::record::CorpusInfo;
use crate::spec::{Model, ModelKind, RunSpec};
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

/// Share of the matrix-product rate that a step reaches (measured on the models in benches/).
const UTILISATION: f64 = 0.5;
/// Seconds that a step takes whatever its size.
const STEP_OVERHEAD: f64 = 100e-6;
/// Share of a step that is left to one thread, however many there are, or lost in waiting for the
/// others and for memory. A guess, as is the next: they choose what runs side by side, and no result.
const SERIAL_SHARE: f64 = 0.1;
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
    let seconds = tokens * size.flops_per_token / (matmul_rate() * UTILISATION);
    Estimate {
        seconds: seconds + train.steps as f64 * STEP_OVERHEAD,
        memory_mb: memory_mb(
            &spec.model,
            size.params,
            corpus.vocab_size,
            train.batch_size * spec.sequence_length(),
        ),
        steps: train.steps,
        shards: shards(train.batch_size, spec.sequence_length()),
    }
}

/// Weights, two moments, gradients, and the activations kept for the way back.
fn memory_mb(model: &Model, params: u64, vocab_size: usize, rows: usize) -> f64 {
    let row = match model.kind {
        ModelKind::Bigram => 2 * vocab_size,
        ModelKind::Ngram => 0,
        ModelKind::Gpt => model.n_layer * (7 * model.n_embd + 2 * model.mlp_width()),
    };
    let floats = params as f64 * 6.0 + rows as f64 * row as f64;
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
