use crate::kernels::UpdateRule;
use crate::spec;

/// The update rule of an optimizer for one parameter in one step.
pub(super) trait OptimizerRule<const STATES: usize>: UpdateRule<STATES> + Sized {
    /// The matrices that the rule keeps for each parameter. A checkpoint names one
    /// `<state name>.<parameter name>`.
    const STATE_NAMES: [&'static str; STATES];

    /// Whether the rule is for the weight matrices inside the model only. AdamW then updates the
    /// other parameters.
    const MATRICES_ONLY: bool = false;

    fn new(config: &spec::Optimizer, settings: &StepSettings) -> Self;
}

/// Values of a step that every rule uses. They differ between parameters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepSettings {
    /// Learning rate, after the schedule and the factor of the parameter's group.
    pub lr: f32,
    /// Decoupled weight decay: the rule multiplies the parameter by `1 - lr * weight_decay`.
    pub weight_decay: f32,
    /// L2 regularization: the rule adds this fraction of the parameter to its gradient.
    pub l2: f32,
    /// Factor of the gradient, from clipping. The rule applies it first.
    pub gradient_scale: f32,
    /// Number of the step, from 1.
    pub step: u64,
    /// Rows and columns of the parameter.
    pub shape: (usize, usize),
}
