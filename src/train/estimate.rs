use super::memory_estimate::MemoryEstimate;
use super::step_batch::shard_count;
use crate::kernels::LinearProducts;
use crate::model::{self, Size};
use crate::results::CorpusInfo;
use crate::spec::{Model, ModelKind, Precision, RunSpec, TrainingLength};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Estimated cost of a run on this machine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// Training and evaluation, in seconds of one thread.
    pub seconds: f64,
    /// Part of `seconds` that does not depend on the number of threads: the time of training, if that is
    /// its length.
    pub fixed_seconds: f64,
    pub memory: MemoryEstimate,
    pub steps: u64,
    /// Number of parts of a step that threads can compute in parallel.
    pub shards: usize,
}

// The constants come from measurements. They decide which runs are trained at the same time, and
// change no result, except where `sweep.match` matches the training time.

/// Width of a GPT whose step reaches half of the rate of large matrix products. A wider one comes
/// closer to the full rate. The resulting times are within a fifth of those of benches/growth.svg, for
/// widths of 32 to 512.
const HALF_RATE_WIDTH: f64 = 48.0;
/// Fraction of that rate that a bigram table reaches. It is a guess: the rate matters little for the
/// time of a bigram.
const TABLE_UTILIZATION: f64 = 0.1;
/// Seconds to sum the gradients of a parameter and to update it.
const SECONDS_PER_PARAMETER: f64 = 5e-9;
/// Seconds of a step that do not depend on its size.
const STEP_OVERHEAD: f64 = 100e-6;
/// Fraction of a step that more threads do not shorten, because it is serial or waits for memory or
/// other threads: that of whole runs of 0.1 million parameters on one and two threads.
const SERIAL_FRACTION: f64 = 0.1;
/// Seconds of a step to wake the other threads and to wait for the last of them, from the bench `step`.
const THREADS_OVERHEAD: f64 = 50e-6;
/// FLOPs per second of one thread in large matrix products, on the machine of benches/README.md. Only
/// the relation between runs matters where it is used.
const REFERENCE_RATE: f64 = 160e9;

impl Estimate {
    /// The cost of what is left of a run, of which a share from 0 to 1 has been trained.
    pub fn left(self, trained: f64) -> Self {
        let left = 1.0 - trained;
        Self {
            seconds: left * self.seconds,
            fixed_seconds: left * self.fixed_seconds,
            steps: (left * self.steps as f64).ceil() as u64,
            ..self
        }
    }

    /// Training and evaluation, in seconds with `threads` threads. The serial fraction of a step takes
    /// as long as with one thread. A shard is computed by one thread.
    pub fn seconds_on(&self, threads: usize) -> f64 {
        if threads <= 1 {
            return self.seconds;
        }
        let overhead = match self.fixed_seconds > 0.0 {
            true => 0.0,
            false => self.steps as f64 * THREADS_OVERHEAD,
        };
        let rounds = self.shards.div_ceil(threads) as f64 / self.shards as f64;
        let fraction = SERIAL_FRACTION + (1.0 - SERIAL_FRACTION) * rounds;
        let scaled = self.seconds - self.fixed_seconds;
        self.fixed_seconds + scaled * fraction + overhead
    }
}

/// Estimates a run from its floating-point operations and the matrix-product rate of this machine. The
/// first call with each precision measures the rate, which takes 20 milliseconds or a little more.
pub fn estimate(spec: &RunSpec, corpus: &CorpusInfo) -> Estimate {
    let size = model::size(&spec.model, corpus.vocab_size, spec.sequence_length());
    let train = &spec.train;
    let rate = matmul_rate(train.precision);
    let step = step_seconds(spec, &size, rate);
    let (steps, trained, fixed_seconds) = match train.length() {
        TrainingLength::Seconds(seconds) => {
            (((seconds / step).ceil() as u64).max(1), seconds, seconds)
        }
        _ => (train.steps, train.steps as f64 * step, 0.0),
    };
    let evaluations = steps.div_ceil(train.eval_every.steps().unwrap_or(steps)) + 1;
    // An evaluation has a forward pass only, a third of the work.
    let evaluated = evaluations.saturating_mul(corpus.val_tokens) as f64 / 3.0;
    Estimate {
        seconds: trained + evaluated * token_seconds(spec, &size, rate),
        memory: MemoryEstimate::new(spec, corpus, &size),
        fixed_seconds,
        steps,
        shards: shard_count(train.batch_size, spec.sequence_length()),
    }
}

/// Estimated seconds of the training steps of a run on one thread of a fixed processor, without
/// evaluation. It is the same on every machine.
pub fn reference_seconds(spec: &RunSpec, vocab_size: usize) -> f64 {
    let size = model::size(&spec.model, vocab_size, spec.sequence_length());
    spec.train.steps as f64 * step_seconds(spec, &size, REFERENCE_RATE)
}

/// Seconds of an optimizer step on one thread, if large matrix products reach `rate` FLOPs per second.
fn step_seconds(spec: &RunSpec, size: &Size, rate: f64) -> f64 {
    spec.tokens_per_step() as f64 * token_seconds(spec, size, rate)
        + STEP_OVERHEAD
        + size.params as f64 * SECONDS_PER_PARAMETER
}

/// Seconds of the forward and backward pass of a token on one thread.
fn token_seconds(spec: &RunSpec, size: &Size, rate: f64) -> f64 {
    size.flops_per_token / (rate * utilization(&spec.model))
}

/// Fraction of the rate of large matrix products that a model reaches.
fn utilization(model: &Model) -> f64 {
    match model.kind {
        ModelKind::Gpt => {
            let width = model.n_embd as f64;
            width / (width + HALF_RATE_WIDTH)
        }
        // A step reads rows of a table and has no matrix product.
        ModelKind::Bigram | ModelKind::Ngram => TABLE_UTILIZATION,
    }
}

/// Floating-point operations per second of one thread in matrix products.
fn matmul_rate(precision: Precision) -> f64 {
    static F32: OnceLock<f64> = OnceLock::new();
    static BF16: OnceLock<f64> = OnceLock::new();
    let rate = match precision {
        Precision::F32 => &F32,
        Precision::Bf16 => &BF16,
    };
    *rate.get_or_init(|| {
        let mut products = LinearProducts::new(precision, 256, 256, 256);
        let shortest = shortest(|| {
            let start = Instant::now();
            products.run();
            start.elapsed()
        });
        products.flops() / shortest.as_secs_f64()
    })
}

/// The shortest of several timings. On a busy machine, another process can interrupt some of them for longer than they
/// take, and the first one also reads its code and memory for the first time.
fn shortest(mut time: impl FnMut() -> Duration) -> Duration {
    const FEWEST: u32 = 20;
    const LEAST_TIME: Duration = Duration::from_millis(20);
    /// On a slow machine, fewer timings are enough.
    const MOST_TIME: Duration = Duration::from_millis(500);
    let (mut count, mut total, mut shortest) = (0, Duration::ZERO, Duration::MAX);
    while total < MOST_TIME && (count < FEWEST || total < LEAST_TIME) {
        let one = time();
        count += 1;
        total += one;
        shortest = shortest.min(one);
    }
    shortest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interrupted_timings_do_not_count() {
        let mut timings = [40, 25, 1, 2]
            .into_iter()
            .map(Duration::from_millis)
            .chain(std::iter::repeat(Duration::from_millis(3)));
        let shortest = shortest(|| timings.next().unwrap());
        assert_eq!(shortest, Duration::from_millis(1));
    }

    #[test]
    fn a_slow_machine_is_not_timed_for_long() {
        let mut count = 0;
        shortest(|| {
            count += 1;
            Duration::from_millis(200)
        });
        assert_eq!(count, 3);
    }
}
