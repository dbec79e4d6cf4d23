//! Arithmetic that several rules share.

use crate::kernels::{DeviceError, Matrix};
use dfdx::prelude::*;

/// Replaces a denormal number by 0. The moments of a row whose gradient stays 0 (that of a rare
/// token) decay to denormal numbers and stay there, and arithmetic on one takes about a hundred
/// cycles.
#[inline(always)]
pub(super) fn flush_denormal(x: f32) -> f32 {
    if x.abs() < f32::MIN_POSITIVE { 0.0 } else { x }
}

/// `a x + b y`, by dfdx's operations.
pub(super) fn linear_combination<D: Device<f32>>(
    a: f32,
    x: &Matrix<D>,
    b: f32,
    y: &Matrix<D>,
) -> Result<Matrix<D>, DeviceError<D>> {
    x.clone().try_mul(a)?.try_add(y.clone().try_mul(b)?)
}
