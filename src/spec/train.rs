use super::Every;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How long, on what batches, and how often to look. One of `steps`, `tokens` and `epochs` is the
/// length: the one that a variant or an override says replaces that of the document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Train {
    /// Number of optimizer steps.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub steps: u64,
    /// Length in training tokens, in place of `steps`: as many steps as it takes to see them.
    #[schemars(range(min = 1, max = 1_000_000_000_000_000u64))]
    pub tokens: Option<u64>,
    /// Length in passes over the training split, in place of `steps`: as many steps as it takes to
    /// see as many sequences as `sequential` batches cut the split into.
    #[schemars(range(min = 0.000_001, max = 1_000_000.0))]
    pub epochs: Option<f64>,
    /// What the batches are made of. It depends on the seed alone, so that variants with the same
    /// seed see the same.
    pub batches: BatchOrder,
    /// Sequences that are computed together. A step has `accumulate` times as many.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub batch_size: usize,
    /// Micro-batches of `batch_size` sequences whose gradients are added up before a step. The step
    /// is that of one batch of as many sequences, up to rounding, in the memory of a micro-batch.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub accumulate: usize,
    /// Tokens in a sequence, in training, in evaluation and as the context of samples; at most
    /// `model.block_size`, which `null` means.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub sequence_length: Option<usize>,
    /// Decay of an exponential moving average of the weights, above 0 and below 1, corrected for its
    /// start as Adam's moments are (Kingma & Ba 2015, section 3). The average is what is evaluated,
    /// sampled from and saved; the weights themselves are what is trained. `null` keeps none.
    #[schemars(range(min = 0.000_001, max = 0.999_999_9))]
    pub ema: Option<f64>,
    /// Whether to look at every activation before each step and at every weight after it, and end
    /// the run where the first number is not finite, even if the loss is. It costs more than a
    /// forward pass a step. A loss or gradient that is not finite always ends a run, and names the
    /// first tensor that was not, whatever this says.
    pub debug: bool,
    /// Between evaluations on the whole validation split: a number of steps, or a text such as `1
    /// epoch` or `100000 tokens`, which is rounded up to steps. The first is before step 1 and the last
    /// after the last step, whatever this says.
    pub eval_every: Every,
    /// Whether each evaluation scores the whole training split as well, in the same windows. It costs
    /// as much more as that split is longer.
    pub eval_train: bool,
    /// Between checkpoints, from which a run that was interrupted goes on, as for `eval_every`. A
    /// checkpoint does not change what is computed.
    pub checkpoint_every: Every,
    /// Between copies of the weights that are kept, from which `runner generate RUN --step N` draws,
    /// as for `eval_every`. `null` keeps those after the last step alone.
    #[schemars(schema_with = "super::every::or_null")]
    pub keep_weights_every: Option<Every>,
}

impl Default for Train {
    fn default() -> Self {
        Self {
            steps: 500,
            tokens: None,
            epochs: None,
            batches: BatchOrder::Random,
            batch_size: 12,
            accumulate: 1,
            sequence_length: None,
            ema: None,
            debug: false,
            eval_every: Every::Steps(100),
            eval_train: false,
            checkpoint_every: Every::Steps(100),
            keep_weights_every: None,
        }
    }
}

impl Train {
    /// Sequences of an optimizer step, over all its micro-batches.
    pub fn sequences_per_step(&self) -> usize {
        self.batch_size.saturating_mul(self.accumulate)
    }
}

/// What batches are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BatchOrder {
    /// Sequences that begin anywhere in the training split, each drawn anew.
    Random,
    /// The training split cut into sequences one after another, in an order that is shuffled for
    /// each epoch. The last sequence begins early enough to be whole, so that some tokens are in two.
    /// The batch in which an epoch ends is filled up from the next.
    Sequential,
}
