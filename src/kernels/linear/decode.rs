//! Linear layers for generating text: few rows, and weights in another layout.
//!
//! A weight is split into panels of [`PANEL`] outputs, one after another. Each panel is (in,
//! outputs), so that a product reads the weight from the first element to the last. The sum of an
//! element runs over the inputs in order, whatever the number of rows.

use super::cpu::initial_sums;
use crate::kernels::activation::{self, output_width};
use crate::kernels::cpu::matmul::Accumulate;
use crate::kernels::cpu::simd::{Kernel, add_assign, run};
use crate::kernels::cpu::storage::{matrix, slice};
use crate::kernels::cpu::threads::join;
use crate::kernels::cpu::tile::{Lhs, product, tile_rows};
use crate::kernels::cpu::weighted_rows::add_weighted;
use crate::kernels::matrix::Matrix;
use crate::spec::Mlp;
use dfdx::prelude::*;
use std::mem::take;
use std::ops::Range;

/// Columns of a panel. The last may have fewer.
const PANEL: usize = 64;

/// Multiplications from which a product is split between two threads. Half of a smaller product
/// takes less time than handing it to the other thread.
const MIN_MULTIPLICATIONS_FOR_TWO_THREADS: usize = 8192;

/// A weight (out, in) in panels. Its shape is then (in, out).
pub fn packed(weight: &Matrix<Cpu>) -> Matrix<Cpu> {
    let ((d, c), weight) = (*weight.shape(), slice(weight));
    let mut packed = Vec::with_capacity(weight.len());
    for panel in panels(0..d) {
        for j in 0..c {
            packed.extend(panel.clone().map(|i| weight[i * c + j]));
        }
    }
    matrix((c, d), packed)
}

/// The kernel of [`super::Linear`]. The weight is packed. No gradients.
pub(super) fn linear<T: Tape<f32, Cpu>>(
    x: Matrix<Cpu, T>,
    weight: &Matrix<Cpu>,
    bias: Option<&Matrix<Cpu>>,
) -> Result<Matrix<Cpu, T>, CpuError> {
    let (x, tape) = x.split_tape();
    let shape = (x.shape().0, weight.shape().1);
    Ok(matrix(shape, linear_rows(&x, weight, bias, None)).put_tape(tape))
}

/// The kernel of [`super::LinearResidual`]. The weight is packed. No gradients.
pub(super) fn linear_residual<T: Tape<f32, Cpu>>(
    x: Matrix<Cpu, T>,
    weight: &Matrix<Cpu>,
    bias: Option<&Matrix<Cpu>>,
    residual: &Matrix<Cpu>,
) -> Result<Matrix<Cpu, T>, CpuError> {
    let (x, tape) = x.split_tape();
    let y = linear_rows(&x, weight, bias, Some(residual));
    Ok(matrix(*residual.shape(), y).put_tape(tape))
}

/// The kernel of [`super::LinearActivation`]. The weight is packed. No gradients.
pub(super) fn linear_activation<T: Tape<f32, Cpu>>(
    x: Matrix<Cpu, T>,
    weight: &Matrix<Cpu>,
    bias: Option<&Matrix<Cpu>>,
    activation: Mlp,
) -> Result<Matrix<Cpu, T>, CpuError> {
    let (x, tape) = x.split_tape();
    let (n, d) = (x.shape().0, weight.shape().1);
    let mut pre = linear_rows(&x, weight, bias, None);
    let y = activation::kinds::forward(activation, &mut pre, d);
    Ok(matrix((n, output_width(activation, d)), y).put_tape(tape))
}

/// `x W + b`, plus `residual` if given: (N, D). The sums begin like those of [`super::cpu`].
fn linear_rows(
    x: &Matrix<Cpu>,
    weight: &Matrix<Cpu>,
    bias: Option<&Matrix<Cpu>>,
    residual: Option<&Matrix<Cpu>>,
) -> Vec<f32> {
    let shape = (x.shape().0, weight.shape().1);
    let zeros = || vec![0.0; shape.0 * shape.1];
    let mut y = initial_sums(shape, bias, residual).unwrap_or_else(zeros);
    Product { x, weight }.add_to(&mut y);
    y
}

/// The columns of each panel. `columns` begins with the first column of a panel.
fn panels(columns: Range<usize>) -> impl Iterator<Item = Range<usize>> + Clone {
    let end = columns.end;
    let firsts = columns.step_by(PANEL);
    firsts.map(move |first| first..(first + PANEL).min(end))
}

/// `x W`, for x (N, C) and W (C, D).
#[derive(Clone, Copy)]
struct Product<'a> {
    x: &'a Matrix<Cpu>,
    /// Packed by [`packed`].
    weight: &'a Matrix<Cpu>,
}

impl Product<'_> {
    /// Adds the product to `y` (N, D). A large product is split between two threads, each of which
    /// computes half of the panels. Most of the time for a single row is spent reading the weights,
    /// and a thread reads the same half of the weights for every token, which its core's cache may
    /// hold.
    fn add_to(self, y: &mut [f32]) {
        let ((n, c), d) = (*self.x.shape(), self.weight.shape().1);
        let half = match n * c * d >= MIN_MULTIPLICATIONS_FOR_TWO_THREADS {
            true => (d / 2).next_multiple_of(PANEL).min(d),
            false => d,
        };
        let left = || run(PartialProduct::new(self, 0..half, vec![0.0; n * half]));
        if half == d {
            return add_columns(y, d, 0..d, &left());
        }
        let (x, weight) = (self.x.clone(), self.weight.clone());
        let mut sums = vec![0.0; n * (d - half)];
        let right = move || {
            let (x, weight) = (&x, &weight);
            run(PartialProduct::new(
                Product { x, weight },
                half..d,
                take(&mut sums),
            ))
        };
        let (left_sums, right_sums) = join(left, Box::new(right));
        add_columns(y, d, 0..half, &left_sums);
        add_columns(y, d, half..d, &right_sums);
    }
}

/// Adds `sums` (N, columns) to some columns of `y` (N, D).
fn add_columns(y: &mut [f32], d: usize, columns: Range<usize>, sums: &[f32]) {
    let rows = y.chunks_exact_mut(d).zip(sums.chunks_exact(columns.len()));
    rows.for_each(|(y, sums)| add_assign(&mut y[columns.clone()], sums));
}

/// The product with some panels of the weight.
struct PartialProduct<'a> {
    /// (N, C)
    x: &'a [f32],
    weight: &'a [f32],
    c: usize,
    /// Begins with the first column of a panel.
    columns: Range<usize>,
    /// Zeros (N, columns), which become the product.
    sums: Vec<f32>,
}

impl<'a> PartialProduct<'a> {
    fn new(product: Product<'a>, columns: Range<usize>, sums: Vec<f32>) -> Self {
        Self {
            x: slice(product.x),
            weight: slice(product.weight),
            c: product.x.shape().1,
            columns,
            sums,
        }
    }
}

impl Kernel for PartialProduct<'_> {
    /// (N, columns)
    type Output = Vec<f32>;

    /// Computes whole tiles of rows first, whose rows share one reading of the weights, and then
    /// the other rows one at a time.
    #[inline(always)]
    fn run<const WIDE: bool>(self) -> Vec<f32> {
        let Self {
            x,
            weight,
            c,
            mut sums,
            ..
        } = self;
        let (n, width) = (x.len() / c, self.columns.len());
        let tiled = n - n % tile_rows(WIDE);
        let first = self.columns.start;
        for panel in panels(self.columns) {
            let rows = &weight[panel.start * c..panel.end * c];
            let within = panel.start - first..panel.end - first;
            let dst = &mut sums[within.start..];
            let x_rows = Lhs::rows(x, c);
            let whole = (0..panel.len(), 0..c);
            product::<WIDE>(
                (dst, width),
                Accumulate::Overwrite,
                x_rows,
                (rows, panel.len()),
                tiled,
                |_| whole.clone(),
            );
            let rest = x.chunks_exact(c).zip(sums.chunks_exact_mut(width));
            for (x, sums) in rest.skip(tiled) {
                add_weighted(&mut sums[within.clone()], x, rows, panel.len());
            }
        }
        sums
    }
}
