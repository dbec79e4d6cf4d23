use super::{CheckpointInterval, EarlyStop, Every};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Duration, batches, and the intervals of evaluations and checkpoints. One of `steps`, `tokens`,
/// `epochs`, `flops` and `seconds` sets the duration. A variant or an override that sets another one of
/// them replaces it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Train {
    /// Number of optimizer steps.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub steps: u64,
    /// Number of training tokens, instead of `steps`. It is rounded up to whole steps.
    #[schemars(range(min = 1, max = 1_000_000_000_000_000u64))]
    pub tokens: Option<u64>,
    /// Number of passes over the training split, instead of `steps`. One pass has as many sequences as
    /// `batches: sequential` divides the split into. It is rounded up to whole steps.
    #[schemars(range(min = 0.000_001, max = 1_000_000.0))]
    pub epochs: Option<f64>,
    /// Number of floating-point operations of training, instead of `steps`: FLOPs per token (forward and
    /// backward pass, as `runner plan` shows them) times training tokens. It is rounded up to whole
    /// steps. Variants with different models then have the same computational cost. A token has 6 FLOPs
    /// for each weight of a linear layer, the output head included, and those of attention. Attention
    /// is counted for the tokens that the causal mask leaves, which is half of what Chowdhery et al.
    /// (2022, appendix B) and nanoGPT count: their formula gives 7 % more for GPT-2 small.
    #[schemars(range(min = 1.0))]
    pub flops: Option<f64>,
    /// Training time in seconds, instead of `steps`. It includes the optimizer steps, but neither
    /// evaluations nor checkpoints and samples. The run ends with the step in which the time is used up.
    /// The learning rate schedule follows the share of the time that is used, except for its warmup,
    /// which is a number of steps. The number of steps depends on the machine, on `--jobs` and on what
    /// else the machine does, so such a run cannot be repeated exactly. All runs of a sweep with this
    /// setting get the same number of threads: one, or with `--jobs N` the number of cores divided by N.
    /// Use the same `--jobs` whenever the sweep is continued.
    #[schemars(range(min = 0.001, max = 1_000_000_000.0))]
    pub seconds: Option<f64>,
    /// How the sequences of a batch are chosen. The choice depends only on the seed, so that variants
    /// with the same seed are trained on the same batches.
    pub batches: BatchOrder,
    /// Number of sequences in a micro-batch. A step has `gradient_accumulation_steps` micro-batches.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub batch_size: usize,
    /// Number of micro-batches whose gradients are added before an optimizer step. The result is that
    /// of one large batch, up to rounding, with the memory of a micro-batch.
    #[serde(alias = "accumulate")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub gradient_accumulation_steps: usize,
    /// Number of tokens in a sequence, in training and in evaluation, and context length of samples. At
    /// most `model.block_size`; `null` means `model.block_size`.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub sequence_length: Option<usize>,
    /// Decay of an exponential moving average (EMA) of the weights, with the bias correction of Adam
    /// (Kingma & Ba 2015, section 3). The average is evaluated, sampled from and saved, unless
    /// `train.evaluate` is `last`. Training itself uses the weights. `null` means no average.
    #[schemars(range(min = 0.000_001, max = 0.999_999_9))]
    pub ema: Option<f64>,
    /// The weights that are evaluated, sampled from and saved. `null` means `ema` if `train.ema` is set, and
    /// `last` otherwise.
    pub evaluate: Option<EvaluatedWeights>,
    /// When a run ends before its last step, because its validation loss does not fall any more.
    pub early_stop: EarlyStop,
    /// Precision of the factors of the matrix products in linear layers and in the output head, in training
    /// and in evaluation. Weights, gradients, optimizer, norms, attention, losses and samples are computed
    /// in 32-bit floats.
    pub precision: Precision,
    /// Whether to check all activations and all weights in every step, and to stop the run at the first
    /// NaN or infinity. The check reads each activation and each weight once more. Without it, a run still
    /// stops when its loss or gradient is not finite, and the error names the first such tensor.
    #[serde(alias = "debug")]
    pub detect_anomaly: bool,
    /// Interval between evaluations on the whole validation split: a number of steps, or a text such
    /// as `1 epoch` or `100000 tokens`, which is rounded up to steps. There is always an evaluation
    /// before the first step and one after the last step.
    pub eval_every: Every,
    /// Whether each evaluation also measures the loss on the whole training split. The time of an
    /// evaluation grows with the size of that split.
    pub eval_train: bool,
    /// Interval between checkpoints: a time such as `30 seconds` or `10 minutes`, a number of steps, or a text
    /// such as `1 epoch`. An interrupted run resumes from its last checkpoint. The one before it is kept as
    /// well. Checkpoints do not change the result.
    pub checkpoint_every: CheckpointInterval,
    /// Interval between copies of the weights that are kept for `runner generate RUN --step N`: a number
    /// of steps, or a text such as `1 epoch`. The weights before the first step are not kept. `null` keeps
    /// only the weights after the last step.
    #[serde(alias = "keep_weights_every")]
    #[schemars(schema_with = "super::every::or_null")]
    pub save_every: Option<Every>,
}

impl Default for Train {
    fn default() -> Self {
        Self {
            steps: 500,
            tokens: None,
            epochs: None,
            flops: None,
            seconds: None,
            batches: BatchOrder::Random,
            batch_size: 12,
            gradient_accumulation_steps: 1,
            sequence_length: None,
            ema: None,
            evaluate: None,
            early_stop: EarlyStop::default(),
            precision: Precision::F32,
            detect_anomaly: false,
            eval_every: Every::Steps(100),
            eval_train: false,
            checkpoint_every: CheckpointInterval::Seconds(60.0),
            save_every: None,
        }
    }
}

impl Train {
    /// Number of sequences in an optimizer step, over all its micro-batches.
    pub fn sequences_per_step(&self) -> usize {
        self.batch_size
            .saturating_mul(self.gradient_accumulation_steps)
    }

    /// Whether the moving average of the weights is evaluated, and not the weights themselves.
    pub fn evaluates_average(&self) -> bool {
        self.ema.is_some() && self.evaluate != Some(EvaluatedWeights::Last)
    }

    /// Whether the result is that of the evaluation with the lowest loss.
    pub fn keeps_best(&self) -> bool {
        self.evaluate == Some(EvaluatedWeights::Best)
    }
}

/// The weights of a run that are its result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EvaluatedWeights {
    /// The weights after the last step.
    Last,
    /// The weights at the evaluation with the lowest validation loss. Their loss is too low on average,
    /// because they are chosen by it. With `train.ema`, these are averages.
    Best,
    /// The moving average of the weights. It needs `train.ema`.
    Ema,
}

/// The precision of the factors of matrix products.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 32-bit floats.
    F32,
    /// bfloat16: 8 significant bits. The sums of the products are 32-bit floats. For the CPU only. It is faster
    /// on processors with AMX (Intel) and on those of AMD with AVX512-BF16. On others it is slower, with the same
    /// results.
    Bf16,
}

/// How the sequences of a batch are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BatchOrder {
    /// Each sequence starts at a random position of the training split.
    Random,
    /// The training split is divided into consecutive sequences, which are shuffled in each epoch. The
    /// last sequence overlaps the one before it if the split is not a multiple of the sequence length.
    /// The last batch of an epoch is completed with sequences of the next epoch.
    Sequential,
}

/// About this many steps of a run are written to its metrics, evenly spaced.
const LOGGED_STEPS: u64 = 2000;

/// Number of steps from one that a run of `steps` steps logs to the next. A short run logs all.
pub fn log_every(steps: u64) -> u64 {
    steps.div_ceil(LOGGED_STEPS).max(1)
}

/// Whether a run of `steps` steps logs the step `step`, counted from 1. The first and the last step
/// are always logged.
pub fn is_logged(step: u64, steps: u64) -> bool {
    step == 1 || step == steps || step.is_multiple_of(log_every(steps))
}

/// Whether a run logs the step `step`, counted from 1, if its number of steps is not known in advance.
/// All of the first steps are logged. The distance doubles whenever the number of steps does.
pub fn is_logged_of_open_run(step: u64) -> bool {
    step.is_multiple_of((step / LOGGED_STEPS).next_power_of_two())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_steps_of_a_long_run_are_logged() {
        let logged = |steps| {
            (1..=steps)
                .filter(|&step| is_logged_of_open_run(step))
                .count()
        };
        assert_eq!(logged(LOGGED_STEPS), LOGGED_STEPS as usize);
        assert!((7000..10_000).contains(&logged(100_000)));
    }
}
