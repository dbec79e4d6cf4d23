//! Linear layers of a few rows, with weights that lie (in, out). The sum of an element runs over the
//! inputs in order, whatever the number of rows.

use crate::ops::matmul::Into;
use crate::ops::simd::{Kernel, run};
use crate::ops::tile::{Left, product, tile_rows};
use crate::ops::weighted::add_weighted;

/// `y += x W`: x (N, C), W (C, D) and y (N, D).
pub(in crate::ops) struct AddRows<'a> {
    pub(in crate::ops) y: &'a mut [f32],
    pub(in crate::ops) x: &'a [f32],
    pub(in crate::ops) weight: &'a [f32],
    pub(in crate::ops) c: usize,
}

impl AddRows<'_> {
    pub(in crate::ops) fn run(self) {
        run(self);
    }
}

impl Kernel for AddRows<'_> {
    type Output = ();

    /// Whole tiles of rows first, which share the reading of the weights; then row after row.
    #[inline(always)]
    fn run<const WIDE: bool>(self) {
        let Self { y, x, weight, c } = self;
        let (n, d) = (x.len() / c, weight.len() / c);
        let tiled = n - n % tile_rows(WIDE);
        product::<WIDE>(
            (y, d),
            Into::Add,
            Left::rows(x, c),
            (weight, d),
            tiled,
            |_| (0..d, 0..c),
        );
        let mut sums = vec![0.0; if n > tiled { d } else { 0 }];
        let rows = x.chunks_exact(c).zip(y.chunks_exact_mut(d)).skip(tiled);
        for (x, y) in rows {
            sums.fill(0.0);
            add_weighted(&mut sums, x, weight, d);
            y.iter_mut().zip(&sums).for_each(|(y, sum)| *y += sum);
        }
    }
}
