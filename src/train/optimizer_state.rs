//! The optimizer of a run: the state of each parameter and its update in a step.

use super::optim::{self, StepSettings};
use super::parallel::MapOrdered;
use crate::kernels::{Backend, DeviceError, Matrix};
use crate::model::{Model, ParamGroup, Parameter};
use crate::spec::{self, Group, OptimizerKind};
use dfdx::prelude::*;

/// An optimizer with its state.
#[derive(Debug)]
pub(super) struct Optimizer<B: Backend> {
    config: spec::Optimizer,
    /// The state of each parameter, in the model's order.
    states: Vec<OptimizerState<B>>,
}

/// The state of one parameter.
#[derive(Debug)]
struct OptimizerState<B: Backend> {
    /// The optimizer that updates the parameter. It differs from that of the configuration where
    /// that one is for matrices only.
    kind: OptimizerKind,
    /// The matrices of [`optim::state_names`], of the parameter's shape.
    matrices: Vec<Matrix<B::Device>>,
}

impl<B: Backend> Optimizer<B> {
    pub(super) fn new(
        config: &spec::Optimizer,
        model: &Model<B>,
    ) -> Result<Self, DeviceError<B::Device>> {
        let zeros = |value: &Matrix<B::Device>| value.device().try_zeros_like(value.shape());
        let new_state = |parameter: &Parameter<B>| {
            let kind = optim::kind_for(config.kind, parameter.group);
            let names = optim::state_names(kind).iter();
            let matrices = names.map(|_| zeros(&parameter.value));
            Ok(OptimizerState {
                kind,
                matrices: matrices.collect::<Result<_, _>>()?,
            })
        };
        let parameters = model.parameters().into_iter();
        Ok(Self {
            config: config.clone(),
            states: parameters.map(new_state).collect::<Result<_, _>>()?,
        })
    }

    /// The state matrices of each parameter with their names, to be saved or restored.
    pub(super) fn states_mut(
        &mut self,
    ) -> impl Iterator<Item = impl Iterator<Item = (&'static str, &mut Matrix<B::Device>)>> {
        self.states.iter_mut().map(|state| {
            let names = optim::state_names(state.kind).iter().copied();
            names.zip(&mut state.matrices)
        })
    }

    /// Updates all parameters. `gradients` are in the model's order, `grad_norm` is their global
    /// norm, `lr` is the learning rate of the schedule, and `step` counts from 1.
    pub(super) fn step(
        &mut self,
        model: &mut Model<B>,
        gradients: Vec<Matrix<B::Device>>,
        grad_norm: f64,
        lr: f64,
        step: u64,
    ) -> Result<(), DeviceError<B::Device>>
    where
        B: for<'a> MapOrdered<ParameterUpdate<'a, B>, ()>,
    {
        let config = &self.config;
        let gradient_scale = clip_factor(grad_norm, config.grad_clip) as f32;
        let parameters = model.parameters_mut().into_iter();
        let all = parameters.zip(gradients).zip(&mut self.states);
        let updates = all.map(|((parameter, gradient), state)| ParameterUpdate {
            parameter,
            gradient,
            state,
            config,
            gradient_scale,
            lr,
            step,
        });
        B::map_ordered(updates.collect(), ParameterUpdate::apply)?;
        Ok(())
    }
}

/// The update of one parameter in an optimizer step.
#[derive(Debug)]
pub struct ParameterUpdate<'a, B: Backend> {
    parameter: &'a mut Parameter<B>,
    gradient: Matrix<B::Device>,
    state: &'a mut OptimizerState<B>,
    config: &'a spec::Optimizer,
    gradient_scale: f32,
    /// Learning rate of the schedule, the same for all parameters.
    lr: f64,
    step: u64,
}

impl<B: Backend> ParameterUpdate<'_, B> {
    fn apply(self) -> Result<(), DeviceError<B::Device>> {
        let (config, kind) = (self.config, self.state.kind);
        let group = self.parameter.group;
        let weight_decay = weight_decay(config, group) as f32;
        let (weight_decay, l2) = match kind.decouples_decay() {
            true => (weight_decay, 0.0),
            false => (0.0, weight_decay),
        };
        let value = &mut self.parameter.value;
        let settings = StepSettings {
            lr: (self.lr * group_settings(config, group).lr_scale) as f32,
            weight_decay,
            l2,
            gradient_scale: self.gradient_scale,
            step: self.step,
            shape: *value.shape(),
        };
        let state = &mut self.state.matrices;
        optim::update::<B>(kind, config, &settings, value, &self.gradient, state)
    }
}

fn group_settings(config: &spec::Optimizer, group: ParamGroup) -> &Group {
    let groups = &config.groups;
    match group {
        ParamGroup::Matrix => &groups.matrix,
        ParamGroup::Embedding => &groups.embedding,
        ParamGroup::Head => &groups.head,
        ParamGroup::Norm => &groups.norm,
        ParamGroup::Bias => &groups.bias,
    }
}

/// Weight decay of a group of parameters, with the defaults filled in.
fn weight_decay(config: &spec::Optimizer, group: ParamGroup) -> f64 {
    let default = match config.kind.decouples_decay() {
        true => 0.1,
        false => 0.0,
    };
    let of_optimizer = config.weight_decay.unwrap_or(default);
    let of_group = match group {
        ParamGroup::Matrix | ParamGroup::Head => of_optimizer,
        ParamGroup::Embedding | ParamGroup::Norm | ParamGroup::Bias => 0.0,
    };
    let configured = group_settings(config, group).weight_decay;
    configured.unwrap_or(of_group)
}

/// Factor that scales a gradient of this norm down to the norm `limit`. A limit of 0 means no limit.
fn clip_factor(norm: f64, limit: f64) -> f64 {
    if limit > 0.0 && norm > limit {
        limit / norm
    } else {
        1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Groups;

    #[test]
    fn clipping_scales_a_gradient_down_to_the_limit_and_never_up() {
        assert_eq!(clip_factor(4.0, 1.0), 0.25);
        assert_eq!(clip_factor(0.5, 1.0), 1.0);
        assert_eq!(clip_factor(4.0, 0.0), 1.0);
    }

    #[test]
    fn weight_decay_applies_to_matrices_and_the_head_unless_a_group_overrides_it() {
        let groups = [
            ParamGroup::Matrix,
            ParamGroup::Head,
            ParamGroup::Embedding,
            ParamGroup::Norm,
            ParamGroup::Bias,
        ];
        let decays = |config: &spec::Optimizer| groups.map(|group| weight_decay(config, group));
        let mut config = spec::Optimizer::default();
        assert_eq!(decays(&config), [0.1, 0.1, 0.0, 0.0, 0.0]);
        config.kind = OptimizerKind::Adam;
        assert_eq!(decays(&config), [0.0; 5]);
        config.weight_decay = Some(0.3);
        let with_decay = |weight_decay| Group {
            weight_decay: Some(weight_decay),
            ..Group::default()
        };
        config.groups = Groups {
            head: with_decay(0.0),
            embedding: with_decay(0.2),
            ..Groups::default()
        };
        assert_eq!(decays(&config), [0.3, 0.0, 0.2, 0.0, 0.0]);
    }
}
