//! The rules composed of dfdx's own operations: the path on CUDA, and the oracle of the kernels.

use super::muon::{COEFFICIENTS, NORM_EPSILON};
use super::{AdamW, GradientSum, Lion, Muon, RmsProp, Sgd};
use crate::kernels::{DeviceError, Matrix};
use dfdx::prelude::*;

/// See [`crate::kernels::Backend::sum_gradients`].
pub(in crate::kernels) fn sum<D: Device<f32>>(
    shards: Vec<Matrix<D>>,
) -> Result<GradientSum<D>, DeviceError<D>> {
    let mut shards = shards.into_iter();
    let first = shards.next().expect("a batch has at least one shard");
    let sum = shards.try_fold(first, |sum, shard| sum.try_add(shard))?;
    Ok(GradientSum {
        squared_norm: f64::from(squared_norm(&sum)?),
        gradient: sum,
    })
}

fn squared_norm<D: Device<f32>>(x: &Matrix<D>) -> Result<f32, DeviceError<D>> {
    Ok(x.clone().try_square()?.try_sum::<Rank0, _>()?.as_vec()[0])
}

/// See [`crate::kernels::Backend::adamw`].
pub(in crate::kernels) fn adamw<D: Device<f32>>(
    parameter: &mut Matrix<D>,
    gradient: &Matrix<D>,
    (m, v): (&mut Matrix<D>, &mut Matrix<D>),
    step: &AdamW,
) -> Result<(), DeviceError<D>> {
    let [b1, b2] = step.betas;
    let g = regularised(parameter, gradient, step.gradient_scale, step.l2)?;
    *m = mixed(m, &g, b1, 1.0 - b1)?;
    *v = mixed(v, &g.try_square()?, b2, 1.0 - b2)?;
    let denominator = v
        .clone()
        .try_mul(1.0 / step.bias_corrections[1])?
        .try_sqrt()?
        .try_add(step.eps)?;
    let update = m
        .clone()
        .try_mul(step.lr / step.bias_corrections[0])?
        .try_div(denominator)?;
    *parameter = decayed(parameter, step.lr * step.weight_decay)?.try_sub(update)?;
    Ok(())
}

/// See [`crate::kernels::Backend::sgd`].
pub(in crate::kernels) fn sgd<D: Device<f32>>(
    parameter: &mut Matrix<D>,
    gradient: &Matrix<D>,
    velocity: &mut Matrix<D>,
    step: &Sgd,
) -> Result<(), DeviceError<D>> {
    let g = gradient.clone().try_mul(step.gradient_scale)?;
    *velocity = mixed(velocity, &g, step.momentum, 1.0)?;
    let direction = match step.nesterov {
        true => mixed(velocity, &g, step.momentum, 1.0)?,
        false => velocity.clone(),
    };
    *parameter =
        decayed(parameter, step.lr * step.weight_decay)?.try_sub(direction.try_mul(step.lr)?)?;
    Ok(())
}

/// See [`crate::kernels::Backend::rmsprop`].
pub(in crate::kernels) fn rmsprop<D: Device<f32>>(
    parameter: &mut Matrix<D>,
    gradient: &Matrix<D>,
    v: &mut Matrix<D>,
    step: &RmsProp,
) -> Result<(), DeviceError<D>> {
    let g = regularised(parameter, gradient, step.gradient_scale, step.l2)?;
    *v = mixed(v, &g.clone().try_square()?, step.alpha, 1.0 - step.alpha)?;
    let denominator = v.clone().try_sqrt()?.try_add(step.eps)?;
    let update = g.try_mul(step.lr)?.try_div(denominator)?;
    *parameter = parameter.clone().try_sub(update)?;
    Ok(())
}

/// See [`crate::kernels::Backend::lion`].
pub(in crate::kernels) fn lion<D: Device<f32>>(
    parameter: &mut Matrix<D>,
    gradient: &Matrix<D>,
    m: &mut Matrix<D>,
    step: &Lion,
) -> Result<(), DeviceError<D>> {
    let [b1, b2] = step.betas;
    let g = gradient.clone().try_mul(step.gradient_scale)?;
    // dfdx has no sign: every normal number times this is beyond 1, and 0 stays 0.
    let sign = mixed(m, &g, b1, 1.0 - b1)?
        .try_mul(f32::MAX)?
        .try_clamp(-1.0, 1.0)?;
    *m = mixed(m, &g, b2, 1.0 - b2)?;
    *parameter =
        decayed(parameter, step.lr * step.weight_decay)?.try_sub(sign.try_mul(step.lr)?)?;
    Ok(())
}

/// See [`crate::kernels::Backend::muon`].
pub(in crate::kernels) fn muon<D: Device<f32>>(
    parameter: &mut Matrix<D>,
    gradient: &Matrix<D>,
    momentum: &mut Matrix<D>,
    step: &Muon,
) -> Result<(), DeviceError<D>> {
    let g = gradient.clone().try_mul(step.gradient_scale)?;
    *momentum = mixed(momentum, &g, step.momentum, 1.0)?;
    let direction = match step.nesterov {
        true => mixed(momentum, &g, step.momentum, 1.0)?,
        false => momentum.clone(),
    };
    let direction = orthogonal(direction, step.iterations)?;
    *parameter = decayed(parameter, step.lr * step.weight_decay)?
        .try_sub(direction.try_mul(step.lr * step.scale)?)?;
    Ok(())
}

/// Newton and Schulz's iteration, on the side of the matrix that is shorter.
fn orthogonal<D: Device<f32>>(
    x: Matrix<D>,
    iterations: usize,
) -> Result<Matrix<D>, DeviceError<D>> {
    let (rows, cols) = *x.shape();
    let wide = rows <= cols;
    let norm = squared_norm(&x)?.sqrt();
    let mut x = x.try_mul(1.0 / (norm + NORM_EPSILON))?;
    let [a, b, c] = COEFFICIENTS;
    for _ in 0..iterations {
        let transposed = x.clone().try_permute::<_, Axes2<1, 0>>()?;
        let gram = match wide {
            true => x.clone().try_matmul(transposed)?,
            false => transposed.try_matmul(x.clone())?,
        };
        let squared = gram.clone().try_matmul(gram.clone())?;
        let polynomial = mixed(&gram, &squared, b, c)?;
        let product = match wide {
            true => polynomial.try_matmul(x.clone())?,
            false => x.clone().try_matmul(polynomial)?,
        };
        x = mixed(&x, &product, a, 1.0)?;
    }
    Ok(x)
}

/// See [`crate::kernels::Backend::average`].
pub(in crate::kernels) fn average<D: Device<f32>>(
    mean: &mut Matrix<D>,
    value: &Matrix<D>,
    weight: f32,
) -> Result<(), DeviceError<D>> {
    let difference = value.clone().try_sub(mean.clone())?;
    *mean = mean.clone().try_add(difference.try_mul(weight)?)?;
    Ok(())
}

/// `a x + b y`
fn mixed<D: Device<f32>>(
    x: &Matrix<D>,
    y: &Matrix<D>,
    a: f32,
    b: f32,
) -> Result<Matrix<D>, DeviceError<D>> {
    x.clone().try_mul(a)?.try_add(y.clone().try_mul(b)?)
}

/// `(1 - share) p`
fn decayed<D: Device<f32>>(p: &Matrix<D>, share: f32) -> Result<Matrix<D>, DeviceError<D>> {
    p.clone().try_mul(1.0 - share)
}

/// `scale g + l2 p`
fn regularised<D: Device<f32>>(
    p: &Matrix<D>,
    g: &Matrix<D>,
    scale: f32,
    l2: f32,
) -> Result<Matrix<D>, DeviceError<D>> {
    mixed(g, p, scale, l2)
}
