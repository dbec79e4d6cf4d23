use super::parallel::Parallel;
use crate::model::{Model, Parameter, Role};
use crate::ops::{AdamW, Backend, Fault, Matrix, Sgd};
use crate::spec::{self, OptimizerKind};
use dfdx::prelude::*;

/// An optimizer and its state: for each parameter, in the model's order, as many matrices as the
/// kind keeps.
#[derive(Debug)]
pub(super) struct Optimizer<B: Backend> {
    config: spec::Optimizer,
    /// AdamW's two moments, or SGD's velocity.
    state: Vec<Vec<Matrix<B::Device>>>,
}

impl<B: Backend> Optimizer<B> {
    pub(super) fn new(
        config: &spec::Optimizer,
        model: &Model<B>,
    ) -> Result<Self, Fault<B::Device>> {
        let kept = match config.kind {
            OptimizerKind::Adamw => 2,
            OptimizerKind::Sgd => 1,
        };
        let zeros = |value: &Matrix<B::Device>| value.device().try_zeros_like(value.shape());
        let state = model
            .parameters()
            .into_iter()
            .map(|parameter| (0..kept).map(|_| zeros(&parameter.value)).collect())
            .collect::<Result<_, _>>()?;
        Ok(Self {
            config: config.clone(),
            state,
        })
    }

    /// The state, to be saved or restored, with the names of what it holds.
    pub(super) fn state_mut(
        &mut self,
    ) -> impl Iterator<Item = (&'static str, &mut [Matrix<B::Device>])> {
        let name = match self.config.kind {
            OptimizerKind::Adamw => "adamw",
            OptimizerKind::Sgd => "sgd",
        };
        self.state
            .iter_mut()
            .map(move |state| (name, state.as_mut_slice()))
    }

    /// Updates all parameters, given their gradients and the gradient's global norm; `taken` steps
    /// have been taken before.
    pub(super) fn step(
        &mut self,
        model: &mut Model<B>,
        gradients: Vec<Matrix<B::Device>>,
        grad_norm: f64,
        lr: f64,
        taken: u64,
    ) -> Result<(), Fault<B::Device>>
    where
        B: Parallel,
    {
        let config = &self.config;
        let gradient_scale = clip(grad_norm, config.grad_clip) as f32;
        let parameters = model.parameters_mut().into_iter();
        let all = parameters.zip(gradients).zip(&mut self.state);
        let updates = all.map(|((parameter, gradient), state)| Update {
            parameter,
            gradient,
            state,
            config,
            gradient_scale,
            lr: lr as f32,
            taken,
        });
        B::updates(updates.collect())
    }
}

/// One parameter's part in an optimizer step.
#[derive(Debug)]
pub struct Update<'a, B: Backend> {
    parameter: &'a mut Parameter<B>,
    gradient: Matrix<B::Device>,
    state: &'a mut Vec<Matrix<B::Device>>,
    config: &'a spec::Optimizer,
    gradient_scale: f32,
    lr: f32,
    /// Steps taken before.
    taken: u64,
}

impl<B: Backend> Update<'_, B> {
    pub(super) fn run(self) -> Result<(), Fault<B::Device>> {
        let config = self.config;
        let (lr, gradient_scale) = (self.lr, self.gradient_scale);
        let weight_decay = match self.parameter.role {
            Role::Matrix | Role::Head => config.weight_decay as f32,
            Role::Embedding | Role::Norm | Role::Bias => 0.0,
        };
        let value = &mut self.parameter.value;
        match (config.kind, self.state.as_mut_slice()) {
            (OptimizerKind::Adamw, [m, v]) => {
                let correction = |beta: f64| (1.0 - beta.powf((self.taken + 1) as f64)) as f32;
                let step = AdamW {
                    lr,
                    betas: config.betas.map(|beta| beta as f32),
                    eps: config.eps as f32,
                    weight_decay,
                    gradient_scale,
                    bias_corrections: config.betas.map(correction),
                };
                B::adamw(value, &self.gradient, (m, v), &step)
            }
            (OptimizerKind::Sgd, [velocity]) => {
                let step = Sgd {
                    lr,
                    momentum: config.momentum as f32,
                    weight_decay,
                    gradient_scale,
                };
                B::sgd(value, &self.gradient, velocity, &step)
            }
            (kind, state) => unreachable!("{kind:?} does not keep {} matrices", state.len()),
        }
    }
}

/// What a gradient of this norm is multiplied by, so that it is no longer than `limit` (0: no
/// limit).
fn clip(norm: f64, limit: f64) -> f64 {
    if limit > 0.0 && norm > limit {
        limit / norm
    } else {
        1.0
    }
}

#[cfg(test)]
mod tests {
    use super::clip;

    #[test]
    fn a_gradient_is_cut_to_the_limit_and_never_lengthened() {
        assert_eq!(clip(4.0, 1.0), 0.25);
        assert_eq!(clip(0.5, 1.0), 1.0);
        assert_eq!(clip(4.0, 0.0), 1.0);
    }
}
