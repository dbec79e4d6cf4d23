//! Rotary positions (Su et al. 2021, section 3.2).

mod cpu;

use super::attention::Heads;
use super::backend::operation;
use super::matrix::{DeviceError, Matrix, columns, concat_columns, merge_tapes};
use dfdx::prelude::*;
use std::sync::Arc;

/// The angles by which pairs of a head's columns are rotated at each position.
///
/// Column `d` of the first half of the rotated columns makes a pair with column `d` of the second
/// half, as in GPT-NeoX. The paper pairs neighbouring columns, which is the same up to the order of
/// columns.
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
    /// Angles for the first `width` columns of a head, an even number, at positions below
    /// `positions`. Pair `d` is rotated by `base^(-2d / width)` times the position.
    pub fn new(base: f64, width: usize, positions: usize) -> Self {
        let half = width / 2;
        let angle = |i: usize| {
            let (position, pair) = ((i / half) as f64, (i % half) as f64);
            position * libm::pow(base, -2.0 * pair / width as f64)
        };
        let table = |f: fn(f64) -> f64| (0..positions * half).map(|i| f(angle(i)) as f32).collect();
        Self {
            half,
            cos: table(libm::cos),
            sin: table(libm::sin),
        }
    }

    /// Cosines and sines (half) of a position.
    #[inline(always)]
    fn at(&self, position: usize) -> (&[f32], &[f32]) {
        let row = position * self.half..(position + 1) * self.half;
        (&self.cos[row.clone()], &self.sin[row])
    }
}

operation! {
    /// Rotates queries and keys in `qkv` (N, width), whose columns are as [`Heads`] describes, by
    /// the angles of their positions. Values are unchanged. Returns (N, width).
    pub RotatePositions, trait RotaryMethod {
        fn rotary<'a, D, T>(qkv: Matrix<D, T>, heads: Heads, rotary: &'a Rotary) -> Matrix<D, T>;
    }
    reference: reference,
    cpu: cpu::rotary,
    input: qkv,
}

fn reference<D: Device<f32>, T: Tape<f32, D>>(
    qkv: Matrix<D, T>,
    heads: Heads,
    rotary: &Rotary,
) -> Result<Matrix<D, T>, DeviceError<D>> {
    let (n, width) = *qkv.shape();
    let (hs, half) = (heads.head_size(width), rotary.half);
    let rotated = heads.count + heads.kv_count;
    let device = qkv.device().clone();
    // The cosines or sines of each head of each row: (N * rotated, half).
    let table = |table: &[f32]| {
        let row = |i: usize| (heads.first + i / rotated % heads.block) * half;
        let rows = (0..n * rotated).flat_map(|i| &table[row(i)..][..half]);
        device.try_tensor_from_vec(rows.copied().collect(), (n * rotated, half))
    };
    let (cos, sin): (Matrix<D>, Matrix<D>) = (table(&rotary.cos)?, table(&rotary.sin)?);
    let x: Matrix<D, T> = columns(&qkv, 0..rotated * hs)?.try_reshape_like(&(n * rotated, hs))?;
    let (a, b) = (columns(&x, 0..half)?, columns(&x, half..2 * half)?); // (N * rotated, half)
    let first = times(&a, &cos)?.try_sub(times(&b, &sin)?)?;
    let second = times(&b, &cos)?.try_add(times(&a, &sin)?)?;
    let mut y = concat_columns(first, second)?;
    if 2 * half < hs {
        y = concat_columns(y, columns(&x, 2 * half..hs)?)?;
    }
    let values = columns(&qkv, rotated * hs..width)?;
    let y = concat_columns(y.try_reshape_like(&(n, rotated * hs))?, values)?;
    Ok(merge_tapes(y, [a, b, x, qkv]))
}

/// `x` times a table, on a new tape.
fn times<D: Device<f32>, T: Tape<f32, D>>(
    x: &Matrix<D, T>,
    table: &Matrix<D>,
) -> Result<Matrix<D, T>, DeviceError<D>> {
    x.with_empty_tape().try_mul(table.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::CpuBackend;
    use crate::kernels::testing::{check_against_reference, check_gradient, matrices};
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

    /// The property that makes the rotation a relative position.
    #[test]
    fn a_score_depends_on_the_distance_alone() {
        let (width, positions) = (8, 50);
        let rotary = Rotary::new(10_000.0, width, positions);
        let head = matrices(3, &[(1, 3 * width)]).remove(0).as_vec();
        let rows: Vec<f32> = (0..positions).flat_map(|_| head.clone()).collect();
        let x = Cpu::default().tensor_from_vec(rows, (positions, 3 * width));
        let y: Matrix<Cpu> = CpuBackend::rotary(x, Heads::new(1, positions), &rotary).unwrap();
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
