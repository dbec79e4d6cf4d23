use super::parallel::Parallel;
use crate::kernels::{AdamW, Backend, DeviceError, Lion, Matrix, Muon, RmsProp, Sgd};
use crate::model::{Model, ParamGroup, Parameter};
use crate::spec::{self, Group, OptimizerKind};
use dfdx::prelude::*;

/// An optimizer and its state, of each parameter in the model's order.
#[derive(Debug)]
pub(super) struct Optimizer<B: Backend> {
    config: spec::Optimizer,
    kept: Vec<Kept<B>>,
}

/// What is kept of a parameter from step to step.
#[derive(Debug)]
struct Kept<B: Backend> {
    /// The rule that updates it.
    rule: OptimizerKind,
    /// As many as the rule has [`state_names`].
    state: Vec<Matrix<B::Device>>,
}

impl<B: Backend> Optimizer<B> {
    pub(super) fn new(
        config: &spec::Optimizer,
        model: &Model<B>,
    ) -> Result<Self, DeviceError<B::Device>> {
        let zeros = |value: &Matrix<B::Device>| value.device().try_zeros_like(value.shape());
        let nothing = |parameter: &Parameter<B>| {
            let rule = rule_of(config.kind, parameter.role);
            let names = state_names(rule).iter();
            let state = names
                .map(|_| zeros(&parameter.value))
                .collect::<Result<_, _>>()?;
            Ok(Kept { rule, state })
        };
        let parameters = model.parameters().into_iter();
        Ok(Self {
            config: config.clone(),
            kept: parameters.map(nothing).collect::<Result<_, _>>()?,
        })
    }

    /// The state of each parameter, to be saved or restored, with the names of what it holds.
    pub(super) fn state_mut(
        &mut self,
    ) -> impl Iterator<Item = impl Iterator<Item = (&'static str, &mut Matrix<B::Device>)>> {
        self.kept.iter_mut().map(|kept| {
            let names = state_names(kept.rule).iter().copied();
            names.zip(&mut kept.state)
        })
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
    ) -> Result<(), DeviceError<B::Device>>
    where
        B: Parallel,
    {
        let config = &self.config;
        let gradient_scale = clip(grad_norm, config.grad_clip) as f32;
        let parameters = model.parameters_mut().into_iter();
        let all = parameters.zip(gradients).zip(&mut self.kept);
        let updates = all.map(|((parameter, gradient), kept)| Update {
            parameter,
            gradient,
            kept,
            config,
            gradient_scale,
            lr,
            taken,
        });
        B::updates(updates.collect())
    }
}

/// The rule that updates a parameter: Muon is for the matrices inside the model.
fn rule_of(kind: OptimizerKind, role: ParamGroup) -> OptimizerKind {
    match (kind, role) {
        (OptimizerKind::Muon, ParamGroup::Matrix) => OptimizerKind::Muon,
        (OptimizerKind::Muon, _) => OptimizerKind::Adamw,
        (kind, _) => kind,
    }
}

/// What a rule keeps of each parameter, by the names that checkpoints have for it.
fn state_names(rule: OptimizerKind) -> &'static [&'static str] {
    match rule {
        OptimizerKind::Adamw | OptimizerKind::Adam => &["adam.m", "adam.v"],
        OptimizerKind::Sgd => &["sgd.velocity"],
        OptimizerKind::Rmsprop => &["rmsprop.v"],
        OptimizerKind::Lion => &["lion.m"],
        OptimizerKind::Muon => &["muon.velocity"],
    }
}

/// One parameter's part in an optimizer step.
#[derive(Debug)]
pub struct Update<'a, B: Backend> {
    parameter: &'a mut Parameter<B>,
    gradient: Matrix<B::Device>,
    kept: &'a mut Kept<B>,
    config: &'a spec::Optimizer,
    gradient_scale: f32,
    /// Of the schedule, the same for all parameters.
    lr: f64,
    /// Steps taken before.
    taken: u64,
}

impl<B: Backend> Update<'_, B> {
    pub(super) fn run(self) -> Result<(), DeviceError<B::Device>> {
        let Self {
            config,
            gradient_scale,
            ..
        } = self;
        let role = self.parameter.role;
        let rule = self.kept.rule;
        let lr = (self.lr * group_of(config, role).lr_scale) as f32;
        let weight_decay = weight_decay(config, role) as f32;
        // Whichever of the two the rule knows.
        let (weight_decay, l2) = match rule.decouples_decay() {
            true => (weight_decay, 0.0),
            false => (0.0, weight_decay),
        };
        let betas = config.betas.map(|beta| beta as f32);
        let eps = config.eps as f32;
        let gradient = &self.gradient;
        let value = &mut self.parameter.value;
        match (rule, self.kept.state.as_mut_slice()) {
            (OptimizerKind::Adamw | OptimizerKind::Adam, [m, v]) => {
                let correction = |beta: f64| (1.0 - beta.powf((self.taken + 1) as f64)) as f32;
                let step = AdamW {
                    lr,
                    betas,
                    eps,
                    weight_decay,
                    l2,
                    gradient_scale,
                    bias_corrections: config.betas.map(correction),
                };
                B::adamw(value, gradient, (m, v), &step)
            }
            (OptimizerKind::Sgd, [velocity]) => {
                let step = Sgd {
                    lr,
                    momentum: config.momentum as f32,
                    nesterov: config.nesterov,
                    weight_decay,
                    gradient_scale,
                };
                B::sgd(value, gradient, velocity, &step)
            }
            (OptimizerKind::Rmsprop, [v]) => {
                let step = RmsProp {
                    lr,
                    alpha: config.alpha as f32,
                    eps,
                    l2,
                    gradient_scale,
                };
                B::rmsprop(value, gradient, v, &step)
            }
            (OptimizerKind::Lion, [m]) => {
                let step = Lion {
                    lr,
                    betas,
                    weight_decay,
                    gradient_scale,
                };
                B::lion(value, gradient, m, &step)
            }
            (OptimizerKind::Muon, [velocity]) => {
                let muon = &config.muon;
                let step = Muon {
                    lr,
                    scale: muon.scale.factor(*value.shape()) as f32,
                    momentum: muon.momentum as f32,
                    nesterov: muon.nesterov,
                    iterations: muon.iterations,
                    weight_decay,
                    gradient_scale,
                };
                B::muon(value, gradient, velocity, &step)
            }
            (rule, state) => unreachable!("{rule:?} does not keep {} matrices", state.len()),
        }
    }
}

fn group_of(config: &spec::Optimizer, role: ParamGroup) -> &Group {
    let groups = &config.groups;
    match role {
        ParamGroup::Matrix => &groups.matrix,
        ParamGroup::Embedding => &groups.embedding,
        ParamGroup::Head => &groups.head,
        ParamGroup::Norm => &groups.norm,
        ParamGroup::Bias => &groups.bias,
    }
}

/// Weight decay of the parameters of a role, with the defaults filled in.
fn weight_decay(config: &spec::Optimizer, role: ParamGroup) -> f64 {
    let of_all = config
        .weight_decay
        .unwrap_or(if config.kind.decouples_decay() {
            0.1
        } else {
            0.0
        });
    let of_role = match role {
        ParamGroup::Matrix | ParamGroup::Head => of_all,
        ParamGroup::Embedding | ParamGroup::Norm | ParamGroup::Bias => 0.0,
    };
    group_of(config, role).weight_decay.unwrap_or(of_role)
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
    use super::*;
    use crate::spec::Groups;

    #[test]
    fn a_gradient_is_cut_to_the_limit_and_never_lengthened() {
        assert_eq!(clip(4.0, 1.0), 0.25);
        assert_eq!(clip(0.5, 1.0), 1.0);
        assert_eq!(clip(4.0, 0.0), 1.0);
    }

    #[test]
    fn decay_is_on_matrices_and_the_head_unless_a_group_says_otherwise() {
        let roles = [
            ParamGroup::Matrix,
            ParamGroup::Head,
            ParamGroup::Embedding,
            ParamGroup::Norm,
            ParamGroup::Bias,
        ];
        let decays = |config: &spec::Optimizer| roles.map(|role| weight_decay(config, role));
        let mut config = spec::Optimizer::default();
        assert_eq!(decays(&config), [0.1, 0.1, 0.0, 0.0, 0.0]);
        config.kind = OptimizerKind::Adam;
        assert_eq!(decays(&config), [0.0; 5]);
        config.weight_decay = Some(0.3);
        let some = |weight_decay| Group {
            weight_decay: Some(weight_decay),
            ..Group::default()
        };
        config.groups = Groups {
            head: some(0.0),
            embedding: some(0.2),
            ..Groups::default()
        };
        assert_eq!(decays(&config), [0.3, 0.0, 0.2, 0.0, 0.0]);
    }
}
