//! The residual stream: how the output of a branch is added to its input.
//!
//! dfdx moves the tape along with one tensor, but a residual connection uses `x` twice. The functions
//! here take the tape off the copy of `x` that is added at the end, so that blocks need not do it.

use super::forward_context::ForwardContext;
use super::linear::Linear;
use super::norm::{Norm, normalize};
use crate::kernels::operations::*;
use crate::kernels::{Backend, DeviceError, Matrix};
use crate::model::initializer::Initializer;
use crate::model::parameter::impl_parameters;
use crate::spec::{self, NormPosition};
use dfdx::prelude::*;

/// The norms of one residual branch. `norm_position` decides which of them exist.
#[derive(Debug, Clone)]
pub(in crate::model) struct BranchNorms<B: Backend> {
    /// Normalizes the input of the branch.
    input: Option<Norm<B>>,
    /// Normalizes the output of the branch, before it is added.
    output: Option<Norm<B>>,
    /// Normalizes the sum of `x` and the output of the branch.
    sum: Option<Norm<B>>,
}

impl_parameters!(BranchNorms { input, output, sum });

/// The residual stream `x` (N, C) without its tape, to which a branch adds its output.
pub(in crate::model) struct Residual<'a, B: Backend> {
    x: &'a Matrix<B::Device>,
    norms: &'a BranchNorms<B>,
}

impl<B: Backend> BranchNorms<B> {
    pub(in crate::model) fn none() -> Self {
        Self {
            input: None,
            output: None,
            sum: None,
        }
    }

    pub(in crate::model) fn new(
        init: &mut Initializer<B>,
        name: &str,
        config: &spec::Model,
    ) -> Result<Self, DeviceError<B::Device>> {
        let mut norms = Self::none();
        match config.norm_position {
            NormPosition::Pre => norms.input = Norm::new(init, name, config)?,
            NormPosition::Post => norms.sum = Norm::new(init, name, config)?,
            NormPosition::Sandwich => {
                norms.input = Norm::new(init, name, config)?;
                norms.output = Norm::new(init, &format!("{name}_after"), config)?;
            }
        }
        Ok(norms)
    }

    /// `x + branch(norm(x))`: (N, C) to (N, C).
    ///
    /// `branch` gets its input, with the tape, and the residual stream to add its output to.
    pub(in crate::model) fn add_branch<T: Tape<f32, B::Device>>(
        &self,
        x: Matrix<B::Device, T>,
        branch: impl FnOnce(
            Matrix<B::Device, T>,
            Residual<B>,
        ) -> Result<Matrix<B::Device, T>, DeviceError<B::Device>>,
    ) -> Result<Matrix<B::Device, T>, DeviceError<B::Device>> {
        let (x, tape) = x.split_tape();
        let y = normalize(&self.input, x.clone().put_tape(tape))?;
        branch(y, Residual { x: &x, norms: self })
    }

    /// `x + first(norm(x)) + second(norm(x))`: (N, C) to (N, C).
    ///
    /// The norm is computed once. The branches get the arguments of [`Self::add_branch`] and `ctx`.
    pub(in crate::model) fn add_parallel_branches<'c, T: Tape<f32, B::Device>>(
        &self,
        x: Matrix<B::Device, T>,
        ctx: &mut ForwardContext<'c>,
        first: impl FnOnce(
            Matrix<B::Device, T>,
            Residual<B>,
            &mut ForwardContext<'c>,
        ) -> Result<Matrix<B::Device, T>, DeviceError<B::Device>>,
        second: impl FnOnce(
            Matrix<B::Device, T>,
            Residual<B>,
            &mut ForwardContext<'c>,
        ) -> Result<Matrix<B::Device, T>, DeviceError<B::Device>>,
    ) -> Result<Matrix<B::Device, T>, DeviceError<B::Device>> {
        self.add_branch(x, |y, residual| {
            let norms = residual.norms;
            let (y, tape) = y.split_tape();
            let (x, tape) = first(y.clone().put_tape(tape), residual, ctx)?.split_tape();
            second(y.put_tape(tape), Residual { x: &x, norms }, ctx)
        })
    }
}

impl<B: Backend> Residual<'_, B> {
    /// `x + dropout(y Wᵀ + b)`, with the norms of the branch: y (N, D) and x (N, C) to (N, C).
    pub(super) fn add<T: Tape<f32, B::Device>>(
        self,
        y: Matrix<B::Device, T>,
        last: &Linear<B>,
        ctx: &mut ForwardContext,
    ) -> Result<Matrix<B::Device, T>, DeviceError<B::Device>> {
        let dropout = ctx.dropouts.residual(self.x.shape().1);
        let sum = match (dropout, &self.norms.output) {
            // One operation, where nothing comes between the product and the sum.
            (None, None) => last.forward_residual(y, self.x)?,
            (dropout, norm) => {
                let mut y = normalize(norm, last.forward(y)?)?; // (N, C)
                if let Some(dropout) = dropout {
                    y = B::dropout(y, dropout)?;
                }
                y.try_add(self.x.clone())?
            }
        };
        normalize(&self.norms.sum, sum)
    }
}
