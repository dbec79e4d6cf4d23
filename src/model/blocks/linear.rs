use crate::kernels::operations::*;
use crate::kernels::{Backend, DeviceError, Matrix};
use crate::model::initializer::{Initializer, Shape};
use crate::model::parameter::{ParamGroup, Parameter, impl_parameters};
use crate::spec;
use dfdx::prelude::*;

/// A linear layer: `x Wᵀ + b`.
#[derive(Debug, Clone)]
pub(in crate::model) struct Linear<B: Backend> {
    /// (D, C)
    weight: Parameter<B>,
    /// (1, D)
    bias: Option<Parameter<B>>,
}

impl_parameters!(Linear { weight, bias });

impl<B: Backend> Linear<B> {
    /// A layer with a weight of `shape` (out, in).
    pub(super) fn new(
        init: &mut Initializer<B>,
        name: &str,
        shape: Shape,
        bias: bool,
    ) -> Result<Self, DeviceError<B::Device>> {
        Self::with_branches(init, name, shape, bias, None)
    }

    /// A layer at the end of a residual branch. Its first weights can be scaled by the number of
    /// branches in the model: see [`spec::Init::residual_scaling`].
    pub(super) fn end_of_branch(
        init: &mut Initializer<B>,
        name: &str,
        shape: Shape,
        bias: bool,
        config: &spec::Model,
    ) -> Result<Self, DeviceError<B::Device>> {
        let branches = config.n_layer.saturating_mul(2);
        Self::with_branches(init, name, shape, bias, Some(branches))
    }

    fn with_branches(
        init: &mut Initializer<B>,
        name: &str,
        shape: Shape,
        bias: bool,
        branches: Option<usize>,
    ) -> Result<Self, DeviceError<B::Device>> {
        let group = ParamGroup::Matrix;
        let weight = init.matrix(format!("{name}.weight"), group, shape, branches)?;
        let bias = match bias {
            true => Some(init.bias(format!("{name}.bias"), shape)?),
            false => None,
        };
        Ok(Self { weight, bias })
    }

    /// (N, C) to (N, D)
    pub(super) fn forward<T: Tape<f32, B::Device>>(
        &self,
        x: Matrix<B::Device, T>,
    ) -> Result<Matrix<B::Device, T>, DeviceError<B::Device>> {
        B::linear(x, &self.weight.value, self.bias())
    }

    /// `activation(x Wᵀ + b)` as one operation: (N, C) to (N, D), or to (N, D/2) for a gated
    /// activation.
    pub(super) fn forward_activation<T: Tape<f32, B::Device>>(
        &self,
        x: Matrix<B::Device, T>,
        activation: spec::Mlp,
    ) -> Result<Matrix<B::Device, T>, DeviceError<B::Device>> {
        B::linear_activation(x, &self.weight.value, self.bias(), activation)
    }

    /// `residual + x Wᵀ + b` as one operation: (N, C) to (N, D).
    pub(super) fn forward_residual<T: Tape<f32, B::Device>>(
        &self,
        x: Matrix<B::Device, T>,
        residual: &Matrix<B::Device>,
    ) -> Result<Matrix<B::Device, T>, DeviceError<B::Device>> {
        B::linear_residual(x, &self.weight.value, self.bias(), residual)
    }

    fn bias(&self) -> Option<&Matrix<B::Device>> {
        self.bias.as_ref().map(|bias| &bias.value)
    }
}
