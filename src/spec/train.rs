use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How long, on what batches, and how often to look.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Train {
    /// Number of optimizer steps.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub steps: u64,
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
    /// Steps between evaluations on the whole validation split. The first is before step 1 and the
    /// last after the last step, whatever this says.
    #[schemars(range(min = 1))]
    pub eval_every: u64,
    /// Whether each evaluation scores the whole training split as well, in the same windows. It costs
    /// as much more as that split is longer.
    pub eval_train: bool,
    /// Steps between checkpoints, from which a run that was interrupted goes on. A checkpoint does
    /// not change what is computed.
    #[schemars(range(min = 1))]
    pub checkpoint_every: u64,
}

impl Default for Train {
    fn default() -> Self {
        Self {
            steps: 500,
            batch_size: 12,
            accumulate: 1,
            sequence_length: None,
            eval_every: 100,
            eval_train: false,
            checkpoint_every: 100,
        }
    }
}

impl Train {
    /// Sequences of an optimizer step, over all its micro-batches.
    pub fn sequences_per_step(&self) -> usize {
        self.batch_size.saturating_mul(self.accumulate)
    }
}
