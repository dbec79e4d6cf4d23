//! The nonlinearity of the MLP.

pub(super) mod cpu;

use super::attention::realized;
use super::{Fault, Matrix};
use crate::spec::Mlp;
use dfdx::prelude::*;

/// Columns that come out where `width` go in: half of them where one half gates the other.
pub(super) fn output_width(activation: Mlp, width: usize) -> usize {
    if activation.gated() { width / 2 } else { width }
}

/// GELU in its tanh form, `x σ(2u)` with `u = √(2/π) (x + 0.044715 x³)` (Hendrycks & Gimpel 2016,
/// section 2); ReLU; or SwiGLU, `SiLU(a) b`, the columns being `a` then `b` (Shazeer 2020, section
/// 2). Composed of dfdx's own operations: (N, D) to (N, D), or to (N, D/2) if gated.
pub fn reference<D: Device<f32>, T: Tape<f32, D>>(
    x: Matrix<D, T>,
    activation: Mlp,
) -> Result<Matrix<D, T>, Fault<D>> {
    match activation {
        Mlp::Gelu => x.try_fast_gelu(),
        Mlp::Relu => x.try_relu(),
        Mlp::Swiglu => {
            let (n, d) = *x.shape();
            let gate = realized(x.with_empty_tape().try_slice((0..n, 0..d / 2))?);
            let up = realized(x.try_slice((0..n, d / 2..d))?);
            let silu = gate.with_empty_tape().try_sigmoid()?.try_mul(gate)?;
            up.try_mul(silu)
        }
    }
}
