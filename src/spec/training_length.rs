use super::Train;

/// What sets the length of training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TrainingLength {
    /// Optimizer steps.
    Steps(u64),
    /// Training tokens.
    Tokens(u64),
    /// Passes over the training split.
    Epochs(f64),
    /// FLOPs of all training tokens.
    Flops(f64),
    /// Seconds of training, so that the number of steps is not known in advance.
    Seconds(f64),
}

impl TrainingLength {
    /// Paths of all keys that set it.
    pub const PATHS: [&str; 5] = [
        "train.steps",
        "train.tokens",
        "train.epochs",
        "train.flops",
        "train.seconds",
    ];

    /// Path of the key that sets it.
    pub fn path(self) -> &'static str {
        match self {
            Self::Steps(_) => "train.steps",
            Self::Tokens(_) => "train.tokens",
            Self::Epochs(_) => "train.epochs",
            Self::Flops(_) => "train.flops",
            Self::Seconds(_) => "train.seconds",
        }
    }

    /// The length in steps, at least 1. `None` if it is not known in advance.
    pub(super) fn in_steps(
        self,
        tokens_per_step: u64,
        steps_per_epoch: f64,
        flops_per_token: f64,
    ) -> Option<u64> {
        let steps = match self {
            Self::Steps(steps) => return Some(steps),
            Self::Tokens(tokens) => return Some(tokens.div_ceil(tokens_per_step.max(1))),
            Self::Epochs(epochs) => epochs * steps_per_epoch,
            Self::Flops(flops) => flops / (flops_per_token * tokens_per_step as f64),
            Self::Seconds(_) => return None,
        };
        Some((steps.ceil() as u64).max(1))
    }
}

impl Train {
    /// What sets the length. If several keys do, which a file cannot have, the last in the order of the
    /// reference.
    pub fn length(&self) -> TrainingLength {
        let seconds = self.seconds.map(TrainingLength::Seconds);
        let flops = self.flops.map(TrainingLength::Flops);
        let epochs = self.epochs.map(TrainingLength::Epochs);
        let tokens = self.tokens.map(TrainingLength::Tokens);
        let length = seconds.or(flops).or(epochs).or(tokens);
        length.unwrap_or(TrainingLength::Steps(self.steps))
    }

    /// Number of steps of a planned run. `None` if it is not known in advance.
    pub fn planned_steps(&self) -> Option<u64> {
        match self.length() {
            TrainingLength::Seconds(_) => None,
            _ => Some(self.steps),
        }
    }

    /// Sets the length to a number of steps.
    pub fn set_steps(&mut self, steps: u64) {
        self.steps = steps;
        self.tokens = None;
        self.epochs = None;
        self.flops = None;
        self.seconds = None;
    }
}
