//! Cross-entropy, and the head together with it, some rows at a time.

use super::Head;
use crate::kernels::cpu::matmul::{Accumulate, Products, View, matmul};
use crate::kernels::cpu::simd::{LANES, add_assign, exp, max, sum, sum_columns, tanh, vectorized};
use crate::kernels::cpu::storage::slice;
use crate::kernels::matrix::{Matrix, Scalar};
use crate::spec::Precision;
use dfdx::prelude::*;
use std::mem::take;
use std::slice::ChunksExactMut;

/// Rows whose logits are in memory at a time. Neither all logits nor all their gradients are ever
/// in memory. 64 rows take 13 MB for a vocabulary of 50,257, and 17 kB for one of 65.
const ROWS: usize = 64;

/// The kernel of [`super::CrossEntropy`].
pub(super) fn cross_entropy<T: Tape<f32, Cpu>>(
    logits: Matrix<Cpu, T>,
    targets: &[usize],
    scale: f32,
) -> Result<Scalar<Cpu, T>, CpuError> {
    let (logits, mut tape) = logits.split_tape();
    let v = logits.shape().1;
    let mut g = slice(&logits).to_vec();
    let loss = softmax_cross_entropy(g.chunks_exact_mut(v), targets, scale);
    let loss = logits.device().try_tensor(loss)?;
    let (loss_ghost, logits) = (loss.ghost(), logits.ghost());
    tape.add_backward_op(move |gradients| {
        let outer = gradients.get_or_alloc_mut(&loss_ghost)?[0];
        g.iter_mut().for_each(|g| *g *= outer);
        add_assign(gradients.get_or_alloc_mut(&logits)?, &g);
        Ok(())
    });
    Ok(loss.put_tape(tape))
}

/// The kernel of [`super::HeadCrossEntropy`]. The forward pass computes the gradients too, while
/// the logits are in memory. The backward pass multiplies them by the gradient of the loss.
pub(super) fn head_cross_entropy<P: Products, T: Tape<f32, Cpu>>(
    x: Matrix<Cpu, T>,
    head: Head<Cpu>,
    targets: &[usize],
    scale: f32,
) -> Result<Scalar<Cpu, T>, CpuError> {
    let (x, mut tape) = x.split_tape();
    let mut pass = HeadPass::new(P::PRECISION, &x, &head, T::OWNS_TAPE);
    let loss: f64 = (0..targets.len())
        .step_by(ROWS)
        .map(|first| {
            pass.rows(
                first,
                &targets[first..targets.len().min(first + ROWS)],
                scale,
            )
        })
        .sum();
    let HeadPass { gx, gw, gb, .. } = pass;
    let loss = x.device().try_tensor(loss as f32)?;
    let (loss_ghost, x, weight, bias) = (
        loss.ghost(),
        x.ghost(),
        head.weight.ghost(),
        head.bias.map(Tensor::ghost),
    );
    tape.add_backward_op(move |gradients| {
        let outer = take(&mut **gradients.get_or_alloc_mut(&loss_ghost)?)[0];
        add_scaled(gradients.get_or_alloc_mut(&x)?, &gx, outer);
        add_scaled(gradients.get_or_alloc_mut(&weight)?, &gw, outer);
        if let Some(bias) = bias {
            let g_bias = gradients.get_or_alloc_mut(&bias)?;
            let v = g_bias.len();
            add_scaled(g_bias, &gb[..v], outer);
        }
        Ok(())
    });
    Ok(loss.put_tape(tape))
}

/// The forward pass through the head of a model, [`ROWS`] rows at a time.
struct HeadPass<'a> {
    precision: Precision,
    /// (N, C)
    x: &'a [f32],
    /// (V, C)
    weight: &'a [f32],
    /// (V)
    bias: Option<&'a [f32]>,
    c: usize,
    v: usize,
    /// Distance of rows of logits: V, rounded up to whole vectors.
    stride: usize,
    soft_cap: Option<f32>,
    /// (ROWS, stride)
    logits: Vec<f32>,
    /// Derivatives of the soft cap (ROWS, stride). Empty without a soft cap.
    cap_derivatives: Vec<f32>,
    /// Gradient of x (N, C). Empty without a tape, like the other two.
    gx: Vec<f32>,
    /// Gradient of the weight (V, C).
    gw: Vec<f32>,
    /// Gradient of the bias (stride). Empty without a bias.
    gb: Vec<f32>,
}

impl<'a> HeadPass<'a> {
    fn new(
        precision: Precision,
        x: &'a Matrix<Cpu>,
        head: &Head<'a, Cpu>,
        gradients: bool,
    ) -> Self {
        let &Head {
            weight,
            bias,
            soft_cap,
        } = head;
        let ((n, c), v) = (*x.shape(), weight.shape().0);
        let stride = v.next_multiple_of(LANES);
        let rows = ROWS.min(n) * stride;
        let zeros = |len: usize| {
            if gradients {
                vec![0.0; len]
            } else {
                Vec::new()
            }
        };
        Self {
            precision,
            x: slice(x),
            weight: slice(weight),
            bias: bias.map(slice),
            c,
            v,
            stride,
            soft_cap,
            logits: vec![0.0; rows],
            cap_derivatives: vec![0.0; if soft_cap.is_some() { rows } else { 0 }],
            gx: zeros(n * c),
            gw: zeros(v * c),
            gb: zeros(if bias.is_some() { stride } else { 0 }),
        }
    }

    /// Returns the loss of the rows from `first` on, one for each target, and adds to the
    /// gradients.
    fn rows(&mut self, first: usize, targets: &[usize], scale: f32) -> f64 {
        let (c, v, stride, n) = (self.c, self.v, self.stride, targets.len());
        let precision = self.precision;
        let x = View::new(&self.x[first * c..], n, c);
        let weight = View::new(self.weight, v, c);
        let logits = &mut self.logits[..n * stride];
        matmul(
            precision,
            logits,
            stride,
            Accumulate::Overwrite,
            x,
            weight.t(),
        );
        if let Some(bias) = self.bias {
            logits
                .chunks_exact_mut(stride)
                .for_each(|row| add_assign(&mut row[..v], bias));
        }
        if let Some(cap) = self.soft_cap {
            soft_cap(logits, &mut self.cap_derivatives, cap);
        }
        // The columns beyond V belong to no token. They add nothing to a sum, and their gradient is
        // 0.
        logits
            .chunks_exact_mut(stride)
            .for_each(|row| row[v..].fill(f32::NEG_INFINITY));
        let loss = softmax_cross_entropy(logits.chunks_exact_mut(stride), targets, scale);
        if !self.gx.is_empty() {
            if self.soft_cap.is_some() {
                multiply(logits, &self.cap_derivatives);
            }
            let g = View::strided(logits, n, v, stride);
            matmul(
                precision,
                &mut self.gx[first * c..],
                c,
                Accumulate::Overwrite,
                g,
                weight,
            );
            matmul(precision, &mut self.gw, c, Accumulate::Add, g.t(), x);
            if !self.gb.is_empty() {
                sum_columns(&mut self.gb, logits);
            }
        }
        f64::from(loss)
    }
}

/// Replaces each logit by `cap tanh(x / cap)`, and writes the derivative.
fn soft_cap(logits: &mut [f32], derivatives: &mut [f32], cap: f32) {
    vectorized(
        #[inline(always)]
        || {
            for (x, derivative) in logits.iter_mut().zip(derivatives) {
                let tanh = tanh(*x / cap);
                *x = cap * tanh;
                *derivative = 1.0 - tanh * tanh;
            }
        },
    );
}

/// `x *= y`, element by element.
fn multiply(x: &mut [f32], y: &[f32]) {
    vectorized(
        #[inline(always)]
        || x.iter_mut().zip(y).for_each(|(x, y)| *x *= y),
    );
}

/// Returns `scale` times the summed cross-entropy of rows of logits. The logits become its
/// gradient.
fn softmax_cross_entropy(rows: ChunksExactMut<f32>, targets: &[usize], scale: f32) -> f32 {
    let mut loss = 0.0f64;
    vectorized(
        #[inline(always)]
        || {
            for (row, &target) in rows.zip(targets) {
                let largest = max(row);
                let at_target = row[target] - largest;
                row.iter_mut().for_each(|x| *x = exp(*x - largest));
                let total = sum(row);
                loss += f64::from(libm::logf(total) - at_target);
                let factor = scale / total;
                row.iter_mut().for_each(|x| *x *= factor);
                row[target] -= scale;
            }
        },
    );
    (loss * f64::from(scale)) as f32
}

/// `x += y * factor`.
fn add_scaled(x: &mut [f32], y: &[f32], factor: f32) {
    vectorized(
        #[inline(always)]
        || x.iter_mut().zip(y).for_each(|(x, y)| *x += y * factor),
    );
}
