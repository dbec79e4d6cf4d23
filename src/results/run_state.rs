use serde::{Deserialize, Serialize};
use std::fmt;

/// The state of a run. The only definition: `status.json`, the scheduler, the progress display and the
/// report use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// It has neither a status nor a checkpoint. `status.json` never holds this state.
    #[serde(skip)]
    NotStarted,
    /// It was interrupted, and continues from its checkpoint.
    Stopped,
    /// It completed all of its steps.
    Done,
    /// It ended by an error, or its process crashed.
    Failed,
    /// It ended because a loss or a gradient was not finite.
    Diverged,
}

impl RunState {
    /// The state in words, as tables show it.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotStarted => "not started",
            Self::Stopped => "stopped",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Diverged => "diverged",
        }
    }
}

impl fmt::Display for RunState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
