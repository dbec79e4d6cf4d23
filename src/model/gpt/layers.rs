//! The layers that hold parameters.

use crate::model::parameter::{Initializer, Parameter, Role};
use crate::ops::{Backend, Fault, Matrix, Normalization};
use crate::spec::{self, NormPosition};
use dfdx::prelude::*;

/// `x Wᵀ + b`
#[derive(Debug, Clone)]
pub(super) struct Linear<B: Backend> {
    pub(super) weight: Parameter<B>,
    pub(super) bias: Option<Parameter<B>>,
}

/// LayerNorm or RMSNorm. A model without norms has none of these.
#[derive(Debug, Clone)]
pub(super) struct Norm<B: Backend> {
    kind: Normalization,
    gain: Parameter<B>,
    bias: Option<Parameter<B>>,
}

/// The norms of a branch.
#[derive(Debug, Clone)]
pub(super) struct Norms<B: Backend> {
    /// Of what the branch reads.
    pub(super) before: Option<Norm<B>>,
    /// Of what it adds to the residual stream, or of their sum.
    pub(super) after: Option<Norm<B>>,
}

impl<B: Backend> Linear<B> {
    pub(super) fn new(
        init: &mut Initializer<B>,
        name: &str,
        shape: (usize, usize),
        bias: bool,
        branches: Option<usize>,
    ) -> Result<Self, Fault<B::Device>> {
        let weight = init.matrix(format!("{name}.weight"), Role::Matrix, shape, branches)?;
        let bias = match bias {
            true => Some(init.bias(format!("{name}.bias"), shape)?),
            false => None,
        };
        Ok(Self { weight, bias })
    }

    pub(super) fn bias(&self) -> Option<&Matrix<B::Device>> {
        self.bias.as_ref().map(|bias| &bias.value)
    }

    pub(super) fn parameters(&self) -> impl Iterator<Item = &Parameter<B>> {
        std::iter::once(&self.weight).chain(&self.bias)
    }

    pub(super) fn parameters_mut(&mut self) -> impl Iterator<Item = &mut Parameter<B>> {
        std::iter::once(&mut self.weight).chain(&mut self.bias)
    }
}

impl<B: Backend> Norm<B> {
    pub(super) fn new(
        init: &mut Initializer<B>,
        name: &str,
        config: &spec::Model,
    ) -> Result<Option<Self>, Fault<B::Device>> {
        let kind = match config.norm {
            spec::Norm::Layernorm => Normalization::Layer,
            spec::Norm::Rmsnorm => Normalization::Rms,
            spec::Norm::None => return Ok(None),
        };
        let c = config.n_embd;
        let bias = match config.biases().norm {
            true => Some(init.constant(format!("{name}.bias"), Role::Bias, c, 0.0)?),
            false => None,
        };
        let gain = init.constant(format!("{name}.weight"), Role::Norm, c, 1.0)?;
        Ok(Some(Self { kind, gain, bias }))
    }

    pub(super) fn parameters(&self) -> impl Iterator<Item = &Parameter<B>> {
        std::iter::once(&self.gain).chain(&self.bias)
    }

    pub(super) fn parameters_mut(&mut self) -> impl Iterator<Item = &mut Parameter<B>> {
        std::iter::once(&mut self.gain).chain(&mut self.bias)
    }
}

impl<B: Backend> Norms<B> {
    pub(super) fn none() -> Self {
        Self {
            before: None,
            after: None,
        }
    }

    pub(super) fn new(
        init: &mut Initializer<B>,
        name: &str,
        config: &spec::Model,
    ) -> Result<Self, Fault<B::Device>> {
        let mut norm = |name: &str| Norm::new(init, name, config);
        Ok(match config.norm_position {
            NormPosition::Pre => Self {
                before: norm(name)?,
                after: None,
            },
            NormPosition::Post => Self {
                before: None,
                after: norm(name)?,
            },
            NormPosition::Sandwich => Self {
                before: norm(name)?,
                after: norm(&format!("{name}_after"))?,
            },
        })
    }

    pub(super) fn parameters(&self) -> impl Iterator<Item = &Parameter<B>> {
        let norms = self.before.iter().chain(&self.after);
        norms.flat_map(Norm::parameters)
    }

    pub(super) fn parameters_mut(&mut self) -> impl Iterator<Item = &mut Parameter<B>> {
        let norms = self.before.iter_mut().chain(&mut self.after);
        norms.flat_map(Norm::parameters_mut)
    }
}

/// (N, C) to (N, C)
pub(super) fn normalized<B: Backend, T: Tape<f32, B::Device>>(
    norm: Option<&Norm<B>>,
    x: Matrix<B::Device, T>,
) -> Result<Matrix<B::Device, T>, Fault<B::Device>> {
    match norm {
        Some(Norm { kind, gain, bias }) => {
            B::norm(x, *kind, &gain.value, bias.as_ref().map(|bias| &bias.value))
        }
        None => Ok(x),
    }
}
