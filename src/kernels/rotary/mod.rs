//! Rotary positions (Su et al. 2021, section 3.2).

pub(super) mod cpu;

use super::column_slices::{beside, columns, with_tapes};
use super::{DeviceError, Heads, Matrix};
use dfdx::prelude::*;
use std::sync::Arc;

/// The angles by which the columns of a head are turned at each place. Column `d` of the first half
/// of those that are turned makes a pair with column `d` of the second half, as in GPT-NeoX; the
/// pairs of the paper, neighbours, are the same up to the order of columns.
#[derive(Debug, Clone)]
pub struct Rotary {
    /// Pairs of columns.
    half: usize,
    /// (P, half)
    cos: Arc<[f32]>,
    /// (P, half)
    sin: Arc<[f32]>,
}

impl Rotary {
    /// Turns the first `width` columns of a head, an even number, at places up to `places`: pair `d`
    /// by `base^(-2d / width)` for each token.
    pub fn new(base: f64, width: usize, places: usize) -> Self {
        let half = width / 2;
        let angle = |i: usize| {
            let (place, pair) = ((i / half) as f64, (i % half) as f64);
            place * base.powf(-2.0 * pair / width as f64)
        };
        let table = |f: fn(f64) -> f64| (0..places * half).map(|i| f(angle(i)) as f32).collect();
        Self {
            half,
            cos: table(f64::cos),
            sin: table(f64::sin),
        }
    }

    /// Cosines and sines of a place.
    #[inline(always)]
    fn at(&self, place: usize) -> (&[f32], &[f32]) {
        let row = place * self.half..(place + 1) * self.half;
        (&self.cos[row.clone()], &self.sin[row])
    }
}

/// Queries and keys turned, values as they are: (N, width) to (N, width). ReferenceBackend of dfdx's own
/// operations.
pub fn reference<D: Device<f32>, T: Tape<f32, D>>(
    qkv: Matrix<D, T>,
    heads: Heads,
    rotary: &Rotary,
) -> Result<Matrix<D, T>, DeviceError<D>> {
    let (n, width) = *qkv.shape();
    let (hs, half) = (heads.head_size(width), rotary.half);
    let turned = heads.count + heads.kv_count;
    let device = qkv.device().clone();
    // One row a head, and its cosines and sines: (N * turned, half).
    let table = |table: &[f32]| {
        let row = |i: usize| (heads.first + i / turned % heads.block) * half;
        let rows = (0..n * turned).flat_map(|i| &table[row(i)..][..half]);
        device.try_tensor_from_vec(rows.copied().collect(), (n * turned, half))
    };
    let (cos, sin): (Matrix<D>, Matrix<D>) = (table(&rotary.cos)?, table(&rotary.sin)?);
    let x: Matrix<D, T> = columns(&qkv, 0..turned * hs)?.try_reshape_like(&(n * turned, hs))?;
    let (a, b) = (columns(&x, 0..half)?, columns(&x, half..2 * half)?); // (N * turned, half)
    let first = times(&a, &cos)?.try_sub(times(&b, &sin)?)?;
    let second = times(&b, &cos)?.try_add(times(&a, &sin)?)?;
    let mut y = beside(first, second)?;
    if 2 * half < hs {
        y = beside(y, columns(&x, 2 * half..hs)?)?;
    }
    let values = columns(&qkv, turned * hs..width)?;
    let y = beside(y.try_reshape_like(&(n, turned * hs))?, values)?;
    Ok(with_tapes(y, [a, b, x, qkv]))
}

/// The product with a table, on a tape of its own.
fn times<D: Device<f32>, T: Tape<f32, D>>(
    x: &Matrix<D, T>,
    table: &Matrix<D>,
) -> Result<Matrix<D, T>, DeviceError<D>> {
    x.with_empty_tape().try_mul(table.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{check_against_reference, check_gradient, matrices};
    use crate::kernels::{Backend, CpuBackend};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::kernels::testing::cases())]
        #[test]
        fn the_kernel_agrees_with_the_reference(
            b in 1usize..4, t in 1usize..20, kv_count in 1usize..3, group in 1usize..3, half in 1usize..20, rest in 0usize..9, seed: u64
        ) {
            let heads = Heads { kv_count, ..Heads::new(kv_count * group, t) };
            let rotary = Rotary::new(100.0, 2 * half, t + 3);
            let width = (group + 2) * kv_count * (2 * half + rest);
            check_against_reference(&matrices(seed, &[(b * t, width)]),
                |x| reference(x[0].retaped(), heads, &rotary),
                |x| CpuBackend::rotary(x[0].retaped(), heads, &rotary))?;
        }
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        let rotary = Rotary::new(10.0, 4, 3);
        check_gradient(&matrices(5, &[(6, 20)]), |x| {
            CpuBackend::rotary(
                x[0].retaped(),
                Heads {
                    kv_count: 1,
                    ..Heads::new(2, 3)
                },
                &rotary,
            )
        });
    }

    /// What makes them positions: a score depends on the distance alone.
    #[test]
    fn a_score_depends_on_the_distance_alone() {
        let (width, places) = (8, 50);
        let rotary = Rotary::new(10_000.0, width, places);
        let head = matrices(3, &[(1, 3 * width)]).remove(0).as_vec();
        let rows: Vec<f32> = (0..places).flat_map(|_| head.clone()).collect();
        let x = Cpu::default().tensor_from_vec(rows, (places, 3 * width));
        let y: Matrix<Cpu> = CpuBackend::rotary(x, Heads::new(1, places), &rotary).unwrap();
        let score = |query: usize, key: usize| -> f32 {
            (0..width)
                .map(|d| y[[query, d]] * y[[key, width + d]])
                .sum()
        };
        for distance in 0..20 {
            let difference = score(distance, 0) - score(29 + distance, 29);
            assert!(difference.abs() < 1e-4, "{distance}: {difference}");
        }
        assert!((score(0, 0) - score(5, 0)).abs() > 1e-2);
    }
}
