use super::forward_context::ForwardContext;
use super::linear::Linear;
use super::residual::Residual;
use crate::kernels::{Backend, DeviceError, Matrix};
use crate::model::initializer::Initializer;
use crate::model::parameter::impl_parameters;
use crate::spec;
use dfdx::prelude::*;

/// The feed-forward layer of a block, gated (Shazeer 2020, section 2) or not.
#[derive(Debug, Clone)]
pub(in crate::model) struct Mlp<B: Backend> {
    kind: spec::Mlp,
    /// (H, C). If gated (2H, C), with the gate in the first half.
    c_fc: Linear<B>,
    /// (C, H)
    c_proj: Linear<B>,
}

impl_parameters!(Mlp { c_fc, c_proj });

impl<B: Backend> Mlp<B> {
    pub(in crate::model) fn new(
        init: &mut Initializer<B>,
        name: &str,
        config: &spec::Model,
    ) -> Result<Self, DeviceError<B::Device>> {
        let (c, h) = (config.n_embd, config.mlp_width());
        let inner = if config.mlp.gated() { 2 * h } else { h };
        let bias = config.biases().mlp;
        let (fc, proj) = (format!("{name}.c_fc"), format!("{name}.c_proj"));
        Ok(Self {
            kind: config.mlp,
            c_fc: Linear::new(init, &fc, (inner, c), bias)?,
            c_proj: Linear::end_of_branch(init, &proj, (c, h), bias, config)?,
        })
    }

    /// `residual + mlp(x)`: (N, C) to (N, C)
    pub(in crate::model) fn forward<T: Tape<f32, B::Device>>(
        &self,
        x: Matrix<B::Device, T>,
        residual: Residual<B>,
        ctx: &mut ForwardContext,
    ) -> Result<Matrix<B::Device, T>, DeviceError<B::Device>> {
        let y = self.c_fc.forward_activation(x, self.kind)?; // (N, H)
        residual.add(y, &self.c_proj, ctx)
    }
}
