use super::{Environment, RunState};
use serde::{Deserialize, Serialize};

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunStatus {
    /// Never [`RunState::NotStarted`].
    pub state: RunState,
    /// The reason why the run is not done, in one line. Empty if it is done.
    pub reason: String,
    /// The measurements. `None` if the run ended before they could be made.
    pub outcome: Option<Outcome>,
    /// `None` if its process was lost, and for runs of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<Environment>,
    /// The other environments in which a part of the run was trained, before it was interrupted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier_environments: Vec<Environment>,
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
            environment: None,
            earlier_environments: Vec::new(),
        }
    }
}

impl Outcome {
    /// The step after which the weights of the run were saved.
    pub fn weights_step(&self) -> u64 {
        self.evaluated_step.unwrap_or(self.steps)
    }
}

/// Measurements of a finished or diverged run. They are deterministic, except for the fields that say
/// otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// Optimizer steps taken.
    pub steps: u64,
    /// Training tokens seen.
    pub tokens: u64,
    pub params: u64,
    /// Parameters, without the token and position embeddings.
    pub params_non_embedding: u64,
    /// FLOPs of forward and backward pass per token. Of attention, only the causal half counts.
    pub flops_per_token: f64,
    /// Mean training loss of the last tenth of the steps (at least one), in nats per token.
    pub train_loss: Option<f64>,
    /// Validation loss of the last evaluation, or of the best one if `train.evaluate` is `best`, in nats per
    /// token.
    pub val_loss: Option<f64>,
    pub bits_per_byte: Option<f64>,
    /// Step of this evaluation. `None` for runs of earlier versions, in which it is the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluated_step: Option<u64>,
    /// Speed of the training steps, without evaluation and sampling. Not deterministic.
    pub tokens_per_second: f64,
    /// Time of training, evaluation and sampling, added up over interruptions. Not deterministic.
    pub seconds: f64,
    /// Peak resident memory, in MiB (2^20 bytes). Not deterministic.
    pub peak_memory_mb: f64,
    /// `cpu`, or the name of the GPU.
    pub device: String,
}
