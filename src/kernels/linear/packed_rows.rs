//! Linear layers of a few rows, whose weights are laid out for it: in panels of [`PANEL`] columns, one
//! after another, each (in, columns), so that a product reads them from the first to the last. The sum
//! of an element runs over the inputs in order, whatever the number of rows.

use crate::kernels::Matrix;
use crate::kernels::cpu::matmul::Into;
use crate::kernels::cpu::simd::{Kernel, add_assign, run};
use crate::kernels::cpu::storage::slice;
use crate::kernels::cpu::threads::beside;
use crate::kernels::cpu::tile::{Left, product, tile_rows};
use crate::kernels::cpu::weighted_rows::add_weighted;
use dfdx::prelude::*;
use std::mem::take;
use std::ops::Range;

/// Columns of a panel but the last.
const PANEL: usize = 64;

/// Multiplications of which half take longer than to hand them to another thread and to wait for it.
const WORTH_TWO_THREADS: usize = 8192;

/// A weight (out, in) in panels.
pub(in crate::kernels) fn laid(weight: &[f32], (d, c): (usize, usize)) -> Vec<f32> {
    let mut laid = Vec::with_capacity(weight.len());
    for panel in panels(0..d) {
        for j in 0..c {
            laid.extend(panel.clone().map(|i| weight[i * c + j]));
        }
    }
    laid
}

/// The panels of columns that begin with one.
fn panels(columns: Range<usize>) -> impl Iterator<Item = Range<usize>> + Clone {
    let end = columns.end;
    let firsts = columns.step_by(PANEL);
    firsts.map(move |first| first..(first + PANEL).min(end))
}

/// `x W`: x (N, C), W (C, D).
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Product<'a> {
    pub(in crate::kernels) x: &'a Matrix<Cpu>,
    /// As [`laid`] has made it.
    pub(in crate::kernels) weight: &'a Matrix<Cpu>,
}

impl Product<'_> {
    /// Adds it to `y` (N, D). Where there are two threads each takes half of the panels, so that it
    /// reads the same half of the weights for every token, which the cache of a core may hold: to read
    /// them is most of the time of a single row.
    pub(in crate::kernels) fn add_to(self, y: &mut [f32]) {
        let ((n, c), d) = (*self.x.shape(), self.weight.shape().1);
        let half = match n * c * d >= WORTH_TWO_THREADS {
            true => (d / 2).next_multiple_of(PANEL).min(d),
            false => d,
        };
        let left = || run(Part::new(self, 0..half, vec![0.0; n * half]));
        if half == d {
            return add_columns(y, d, 0..d, &left());
        }
        let (x, weight) = (self.x.clone(), self.weight.clone());
        let mut sums = vec![0.0; n * (d - half)];
        let right = move || {
            let (x, weight) = (&x, &weight);
            run(Part::new(Product { x, weight }, half..d, take(&mut sums)))
        };
        let (of_left, of_right) = beside(left, Box::new(right));
        add_columns(y, d, 0..half, &of_left);
        add_columns(y, d, half..d, &of_right);
    }
}

/// Adds `sums` (N, columns) to some columns of `y` (N, D).
fn add_columns(y: &mut [f32], d: usize, columns: Range<usize>, sums: &[f32]) {
    let rows = y.chunks_exact_mut(d).zip(sums.chunks_exact(columns.len()));
    rows.for_each(|(y, sums)| add_assign(&mut y[columns.clone()], sums));
}

/// Some panels of a product.
struct Part<'a> {
    /// (N, C)
    x: &'a [f32],
    weight: &'a [f32],
    c: usize,
    /// From the first of a panel on.
    columns: Range<usize>,
    /// Zeros (N, columns), which become the sums.
    sums: Vec<f32>,
}

impl<'a> Part<'a> {
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

impl Kernel for Part<'_> {
    /// (N, columns)
    type Output = Vec<f32>;

    /// Of each panel whole tiles of rows first, which share the reading of the weights; then row after
    /// row.
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
        let left = self.columns.start;
        for panel in panels(self.columns) {
            let rows = &weight[panel.start * c..panel.end * c];
            let within = panel.start - left..panel.end - left;
            let dst = &mut sums[within.start..];
            let each = Left::rows(x, c);
            let whole = (0..panel.len(), 0..c);
            product::<WIDE>(
                (dst, width),
                Into::Overwrite,
                each,
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
