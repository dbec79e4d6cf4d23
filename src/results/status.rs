use super::RunState;
use serde::{Deserialize, Serialize};

/// `status.json`: written once, when a run ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunStatus {
    /// Never [`RunState::NotStarted`].
    pub state: RunState,
    /// Why, for a run that is not done; empty otherwise. One line.
    pub reason: String,
    /// What was measured; absent where the run ended before it could be.
    pub outcome: Option<Outcome>,
}

impl RunState {
    /// The state of a run with this `status.json`, if it has one. `has_checkpoint` says whether a run
    /// without a status can be continued.
    pub fn new(status: Option<&RunStatus>, has_checkpoint: bool) -> Self {
        match status {
            Some(status) => status.state,
            None if has_checkpoint => Self::Stopped,
            None => Self::NotStarted,
        }
    }
}

impl RunStatus {
    /// The status of a run that ended by an error.
    pub fn failed(reason: String) -> Self {
        Self {
            state: RunState::Failed,
            reason,
            outcome: None,
        }
    }
}

/// What a finished (or diverged) run measured. Deterministic but for the fields marked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Optimizer steps taken.
    pub steps: u64,
    /// Training tokens seen.
    pub tokens: u64,
    pub params: u64,
    /// Parameters without the token and position embeddings.
    pub params_non_embedding: u64,
    /// Forward and backward, the causal half of attention counted once.
    pub flops_per_token: f64,
    /// Mean loss of the last tenth of the steps (at least one), in nats a token.
    pub train_loss: Option<f64>,
    /// Of the last evaluation, in nats a token.
    pub val_loss: Option<f64>,
    pub bits_per_byte: Option<f64>,
    /// Training steps only, evaluation and sampling left out. Not deterministic.
    pub tokens_per_second: f64,
    /// Training, evaluation and sampling, over all resumptions. Not deterministic.
    pub seconds: f64,
    /// Peak resident memory, in MiB (2^20 bytes). Not deterministic.
    pub peak_memory_mb: f64,
    /// `cpu`, or the name of the GPU.
    pub device: String,
}
