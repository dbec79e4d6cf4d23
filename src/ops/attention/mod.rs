//! Causal self-attention over heads (Vaswani et al. 2017, section 3.2).

pub(super) mod cpu;
pub(super) mod recall;

use super::{Dropout, Fault, Matrix, dropout};
use dfdx::prelude::*;
pub use recall::Memory;

/// How the rows and columns of (N, 3C) are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heads {
    /// Number of heads; divides C.
    pub count: usize,
    /// Tokens in a sequence; divides N. A token sees those before it in its sequence and itself.
    pub block: usize,
}

/// Added to the scores of tokens that are not to be seen. Finite, as infinity times zero is NaN.
const MASKED: f32 = -1e30;

/// (B, nh, T, hs)
type ByHead<D, T> = Tensor<(usize, usize, usize, usize), f32, D, T>;

/// Composed of dfdx's own operations.
pub fn reference<D: Device<f32>, T: Tape<f32, D>>(
    qkv: Matrix<D, T>,
    heads: Heads,
    dropout: Option<Dropout>,
) -> Result<Matrix<D, T>, Fault<D>> {
    let (n, c3) = *qkv.shape();
    let (c, nh, t) = (c3 / 3, heads.count, heads.block);
    let (b, hs) = (n / t, c / nh);
    let part = |i: usize| -> Result<ByHead<D, T>, Fault<D>> {
        realized(
            qkv.with_empty_tape()
                .try_slice((0..n, i * c..(i + 1) * c))?,
        )
        .try_reshape_like(&(b, t, nh, hs))?
        .try_permute::<_, Axes4<0, 2, 1, 3>>() // (B, nh, T, hs)
    };
    let (q, k, v) = (part(0)?, part(1)?, part(2)?);
    let (qkv, tape) = qkv.split_tape();
    let device = qkv.device().clone();
    let scores = q
        .try_matmul(k.try_permute::<_, Axes4<0, 1, 3, 2>>()?)? // (B, nh, T, T)
        .try_mul(1.0 / (hs as f32).sqrt())?;
    let mask = device
        .try_upper_tri_like(&(t, t), MASKED, 1)?
        .try_broadcast_like::<_, Axes2<0, 1>>(&(b, nh, t, t))?;
    let mut p = scores.try_add(mask)?.try_softmax::<Axis<3>>()?;
    if let Some(dropout) = dropout {
        let mask = dropout::mask(&device, dropout, 0, b * nh * t, t)?;
        p = p.try_mul(mask.try_reshape_like(&(b, nh, t, t))?)?;
    }
    let y = p
        .try_matmul(v)? // (B, nh, T, hs)
        .try_permute::<(usize, usize, usize, usize), Axes4<0, 2, 1, 3>>()?
        .try_reshape_like(&(n, c))?;
    let (y, own) = y.split_tape();
    Ok(y.put_tape(tape.merge(own)))
}

/// What the reference keeps of the tokens so far: of each sequence, all rows as they came.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    sequences: Vec<Vec<f32>>,
}

/// [`reference`] over all tokens of each sequence, of which the last `heads.block` are new.
pub fn reference_recalling<D: Device<f32>>(
    qkv: &Matrix<D>,
    heads: Heads,
    memory: &mut Rows,
) -> Result<Matrix<D>, Fault<D>> {
    let (n, c3) = *qkv.shape();
    let (c, m) = (c3 / 3, heads.block);
    memory.sequences.resize_with(n / m, Vec::new);
    let mut y = Vec::with_capacity(n * c);
    for (rows, new) in memory
        .sequences
        .iter_mut()
        .zip(qkv.as_vec().chunks_exact(m * c3))
    {
        rows.extend_from_slice(new);
        let t = rows.len() / c3;
        let all = qkv.device().try_tensor_from_vec(rows.clone(), (t, c3))?;
        let seen: Matrix<D> = reference(all, Heads { block: t, ..heads }, None)?; // (T, C)
        y.extend_from_slice(&seen.as_vec()[(t - m) * c..]);
    }
    qkv.device().try_tensor_from_vec(y, (n, c))
}

/// A slice by ranges keeps its shape's type only in dfdx's own words.
pub(super) fn realized<S, D: Device<f32>, T: Tape<f32, D>>(x: Tensor<S, f32, D, T>) -> Matrix<D, T>
where
    S: Shape<Concrete = [usize; 2]>,
{
    match x.try_realize::<(usize, usize)>() {
        Ok(x) => x,
        Err(_) => unreachable!("every shape of two dimensions is one of two dynamic dimensions"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::{check_against_reference, check_gradient, matrices};
    use crate::ops::{Backend, Fused};
    use crate::random::Stream;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::ops::testing::cases())]
        #[test]
        fn the_kernel_agrees_with_the_reference(
            b in 1usize..4, t in 1usize..90, count in 1usize..4, hs in 1usize..20, seed: u64, p in prop_oneof![Just(0.0f32), Just(0.3)]
        ) {
            let heads = Heads { count, block: t };
            let dropout = (p > 0.0).then(|| Dropout::new(p, &Stream::new(seed, "dropout"), 3, 0, 0));
            let inputs = matrices(seed, &[(b * t, 3 * count * hs)]);
            check_against_reference(&inputs, |x| reference(x[0].retaped(), heads, dropout),
                |x| Fused::attention(x[0].retaped(), heads, dropout))?;
        }
    }

    proptest! {
        #![proptest_config(crate::ops::testing::cases())]
        /// However the tokens are dealt out, they see what they see all at once.
        #[test]
        fn remembered_tokens_are_seen(
            b in 1usize..4, cuts in prop::collection::vec(1usize..40, 1..5), count in 1usize..4, hs in 1usize..20, seed: u64
        ) {
            let (t, c) = (cuts.iter().sum(), count * hs);
            let qkv = matrices(seed, &[(b * t, 3 * c)]).remove(0).as_vec();
            // Tokens `from..to` of each sequence, of rows of `width`.
            let part = |rows: &[f32], from: usize, to: usize, width: usize| -> Vec<f32> {
                rows.chunks_exact(t * width).flat_map(|s| s[from * width..to * width].to_vec()).collect()
            };
            let all = Heads { count, block: t };
            let want: Matrix<Cpu> = Fused::attention(super::super::storage::matrix((b * t, 3 * c), qkv.clone()), all, None).unwrap();
            let (mut memory, mut rows) = (Memory::default(), Rows::default());
            let mut from = 0;
            for m in cuts {
                let heads = Heads { count, block: m };
                let new = super::super::storage::matrix((b * m, 3 * c), part(&qkv, from, from + m, 3 * c));
                let got = Fused::attention_recalling(&new, heads, &mut memory).unwrap();
                let oracle = reference_recalling(&new, heads, &mut rows).unwrap();
                from += m;
                prop_assert_eq!(got.as_vec(), part(&want.as_vec(), from - m, from, c));
                super::super::testing::assert_close(&oracle, &got, 1e-5);
            }
        }
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        check_gradient(&matrices(5, &[(10, 12)]), |x| {
            Fused::attention(x[0].retaped(), Heads { count: 2, block: 5 }, None)
        });
    }

    #[test]
    fn no_token_sees_a_later_one() {
        let heads = Heads { count: 2, block: 6 };
        let x = matrices(6, &[(6, 12)]).remove(0);
        let before: Matrix<Cpu> = Fused::attention(x.clone(), heads, None).unwrap();
        for (value, seen) in [
            (100.0, f32::is_finite as fn(f32) -> bool),
            (f32::NAN, f32::is_nan),
        ] {
            let mut changed = x.clone();
            (0..12).for_each(|j| changed[[4, j]] = value);
            let after: Matrix<Cpu> = Fused::attention(changed, heads, None).unwrap();
            for j in 0..4 {
                if value.is_finite() {
                    assert!((0..4).all(|i| before[[i, j]] == after[[i, j]]));
                }
                for i in 4..6 {
                    assert!(before[[i, j]] != after[[i, j]] && seen(after[[i, j]]));
                }
            }
        }
    }
}
