//! Causal self-attention over heads (Vaswani et al. 2017, section 3.2).

mod block;
pub(super) mod cached;
pub(super) mod cpu;

use super::column_slices::{columns, with_tapes};
use super::{DeviceError, Dropout, Matrix, dropout};
pub use cached::LayerCache;
use dfdx::prelude::*;

/// How the rows and columns of a matrix of queries, keys and values are to be read: its columns are
/// the queries of all heads, then the keys, then the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heads {
    /// Number of heads of queries.
    pub count: usize,
    /// Number of heads of keys, and of values; divides `count`. A head of keys is shared by heads of
    /// queries that are next to each other.
    pub kv_count: usize,
    /// Tokens in a sequence; divides N. A token sees those before it in its sequence and itself.
    pub block: usize,
    /// Place of the first of them: how many tokens of the sequence came earlier, and are remembered.
    pub first: usize,
    /// How many of them it sees, the nearest.
    pub window: Option<usize>,
    /// Whether scores are lowered in proportion to the distance.
    pub alibi: bool,
}

impl Heads {
    /// Plain ones, each with keys of its own, of whole sequences of `block` tokens.
    pub fn new(count: usize, block: usize) -> Self {
        Self {
            count,
            kv_count: count,
            block,
            first: 0,
            window: None,
            alibi: false,
        }
    }

    /// The head of keys that a head of queries reads.
    pub(super) fn kv_of(&self, head: usize) -> usize {
        head / (self.count / self.kv_count)
    }

    /// Of columns `width` in all.
    pub(super) fn head_size(&self, width: usize) -> usize {
        width / (self.count + 2 * self.kv_count)
    }

    /// What a score is lowered by for each token of distance: powers of 2 from 2^-8/n to 2^-8 for a
    /// power of two n of heads, and for other numbers those of the next lower power, then every
    /// other one of the next higher (Press et al. 2022, section 3, and the authors' code).
    fn slope(&self, head: usize) -> f32 {
        if !self.alibi {
            return 0.0;
        }
        let lower = 1 << self.count.ilog2();
        let exponent = match head < lower {
            true => 8.0 * (head + 1) as f32 / lower as f32,
            false => 4.0 * (2 * (head - lower) + 1) as f32 / lower as f32,
        };
        (-exponent).exp2()
    }
}

/// Added to the scores of tokens that are not to be seen. Finite, as infinity times zero is NaN.
const MASKED: f32 = -1e30;

/// (B, nh, T, hs)
type ByHead<D, T> = Tensor<(usize, usize, usize, usize), f32, D, T>;

/// ReferenceBackend of dfdx's own operations.
pub fn reference<D: Device<f32>, T: Tape<f32, D>>(
    qkv: Matrix<D, T>,
    heads: Heads,
    dropout: Option<Dropout>,
) -> Result<Matrix<D, T>, DeviceError<D>> {
    let (n, width) = *qkv.shape();
    let (nh, kv, t) = (heads.count, heads.kv_count, heads.block);
    let (b, hs) = (n / t, heads.head_size(width));
    // Columns of `count` heads from the `first` on.
    let part = |first: usize, count: usize| -> Result<ByHead<D, T>, DeviceError<D>> {
        let part = columns(&qkv, first * hs..(first + count) * hs)?
            .try_reshape_like(&(b, t, count, hs))?
            .try_permute::<_, Axes4<0, 2, 1, 3>>()?; // (B, count, T, hs)
        match nh / count {
            1 => Ok(part),
            group => part
                .try_broadcast_like::<_, Axis<2>>(&(b, count, group, t, hs))?
                .try_reshape_like(&(b, nh, t, hs)),
        }
    };
    let (q, k, v) = (part(0, nh)?, part(nh, kv)?, part(nh + kv, kv)?); // (B, nh, T, hs)
    let device = qkv.device().clone();
    let scores = q
        .try_matmul(k.try_permute::<_, Axes4<0, 1, 3, 2>>()?)? // (B, nh, T, T)
        .try_mul(1.0 / (hs as f32).sqrt())?;
    let mask = mask(&device, heads)?.try_broadcast_like::<_, Axis<0>>(&(b, nh, t, t))?;
    let mut p = scores.try_add(mask)?.try_softmax::<Axis<3>>()?;
    if let Some(dropout) = dropout {
        let mask = dropout::mask(&device, dropout, 0, b * nh * t, t)?;
        p = p.try_mul(mask.try_reshape_like(&(b, nh, t, t))?)?;
    }
    let y = p
        .try_matmul(v)? // (B, nh, T, hs)
        .try_permute::<(usize, usize, usize, usize), Axes4<0, 2, 1, 3>>()?
        .try_reshape_like(&(n, nh * hs))?;
    Ok(with_tapes(y, [qkv]))
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
) -> Result<Matrix<D>, DeviceError<D>> {
    let (n, width) = *qkv.shape();
    let (c, m) = (heads.count * heads.head_size(width), heads.block);
    memory.sequences.resize_with(n / m, Vec::new);
    let mut y = Vec::with_capacity(n * c);
    let new = qkv.as_vec();
    let new = new.chunks_exact(m * width);
    for (rows, new) in memory.sequences.iter_mut().zip(new) {
        rows.extend_from_slice(new);
        let t = rows.len() / width;
        let all = qkv.device().try_tensor_from_vec(rows.clone(), (t, width))?;
        let heads = Heads {
            block: t,
            first: 0,
            ..heads
        };
        let seen: Matrix<D> = reference(all, heads, None)?; // (T, C)
        y.extend_from_slice(&seen.as_vec()[(t - m) * c..]);
    }
    qkv.device().try_tensor_from_vec(y, (n, c))
}

/// (nh, T, T)
type Added<D> = Tensor<(usize, usize, usize), f32, D>;

/// What is added to the scores (nh, T, T) of a sequence.
fn mask<D: Device<f32>>(device: &D, heads: Heads) -> Result<Added<D>, DeviceError<D>> {
    let (nh, t) = (heads.count, heads.block);
    let window = heads.window.unwrap_or(t);
    let mut mask = Vec::with_capacity(nh * t * t);
    for head in 0..nh {
        let slope = heads.slope(head);
        for query in 0..t {
            mask.extend((0..t).map(|key| match query.checked_sub(key) {
                Some(distance) if distance < window => -slope * distance as f32,
                _ => MASKED,
            }));
        }
    }
    device.try_tensor_from_vec(mask, (nh, t, t))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::cpu::storage::{matrix, slice};
    use crate::kernels::testing::{
        assert_close, check_against_reference, check_gradient, matrices,
    };
    use crate::kernels::{Backend, CpuBackend};
    use crate::random::Stream;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::kernels::testing::cases())]
        #[test]
        fn the_kernel_agrees_with_the_reference(
            b in 1usize..4, t in 1usize..90, count in 1usize..4, hs in 1usize..20, seed: u64, p in prop_oneof![Just(0.0f32), Just(0.3)]
        ) {
            let heads = Heads::new(count, t);
            let dropout = (p > 0.0).then(|| Dropout::new(p, &Stream::new(seed, "dropout"), 3, 0, 0));
            let inputs = matrices(seed, &[(b * t, 3 * count * hs)]);
            check_against_reference(&inputs, |x| reference(x[0].retaped(), heads, dropout),
                |x| CpuBackend::attention(x[0].retaped(), heads, dropout))?;
        }

        #[test]
        fn the_kernel_agrees_with_the_reference_on_shared_keys_windows_and_slopes(
            t in 1usize..200, kv_count in 1usize..4, group in 1usize..4, hs in 1usize..20, window in 1usize..150,
            alibi: bool, seed: u64, p in prop_oneof![Just(0.0f32), Just(0.3)]
        ) {
            let heads = Heads { kv_count, alibi, window: (window < t).then_some(window), ..Heads::new(kv_count * group, t) };
            let dropout = (p > 0.0).then(|| Dropout::new(p, &Stream::new(seed, "dropout"), 3, 0, 0));
            let inputs = matrices(seed, &[(2 * t, (group + 2) * kv_count * hs)]);
            check_against_reference(&inputs, |x| reference(x[0].retaped(), heads, dropout),
                |x| CpuBackend::attention(x[0].retaped(), heads, dropout))?;
        }
    }

    proptest! {
        #![proptest_config(crate::kernels::testing::cases())]
        /// However the tokens are dealt out, they see what they see all at once.
        #[test]
        fn remembered_tokens_are_seen(
            b in 1usize..4, cuts in prop::collection::vec(1usize..40, 1..5), kv_count in 1usize..3, group in 1usize..3,
            hs in 1usize..20, window in prop::option::of(1usize..100), alibi: bool, seed: u64
        ) {
            let t = cuts.iter().sum();
            let count = kv_count * group;
            let (c, width) = (count * hs, (count + 2 * kv_count) * hs);
            let qkv = matrices(seed, &[(b * t, width)]).remove(0);
            let all = Heads { kv_count, window, alibi, ..Heads::new(count, t) };
            let want: Matrix<Cpu> = CpuBackend::attention(qkv.clone(), all, None).unwrap();
            // Tokens `from..to` of each sequence.
            let part = |rows: &Matrix<Cpu>, from: usize, to: usize| -> Vec<f32> {
                let width = rows.shape().1;
                let sequences = slice(rows).chunks_exact(t * width);
                sequences.flat_map(|rows| &rows[from * width..to * width]).copied().collect()
            };
            let (mut memory, mut rows) = (LayerCache::default(), Rows::default());
            let mut first = 0;
            for block in cuts {
                let heads = Heads { block, first, ..all };
                let new = matrix((b * block, width), part(&qkv, first, first + block));
                let got = CpuBackend::attention_cached(&new, heads, &mut memory).unwrap();
                let oracle = reference_recalling(&new, heads, &mut rows).unwrap();
                prop_assert_eq!(got.as_vec(), part(&want, first, first + block));
                prop_assert_eq!(got.shape().1, c);
                assert_close(&oracle, &got, 1e-5);
                first += block;
            }
        }
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        let plain = Heads::new(2, 5);
        let shared = Heads {
            kv_count: 1,
            window: Some(3),
            alibi: true,
            ..plain
        };
        for (heads, width) in [(plain, 12), (shared, 8)] {
            check_gradient(&matrices(5, &[(10, width)]), |x| {
                CpuBackend::attention(x[0].retaped(), heads, None)
            });
        }
    }

    #[test]
    fn slopes_are_those_of_the_authors() {
        let slopes = |count| {
            let heads = Heads {
                alibi: true,
                ..Heads::new(count, 1)
            };
            (0..count).map(|head| heads.slope(head)).collect::<Vec<_>>()
        };
        assert_eq!(slopes(4), [0.25, 0.0625, 0.015_625, 0.003_906_25]);
        assert_eq!(slopes(3), [0.0625, 0.003_906_25, 0.25]);
    }

    #[test]
    fn a_token_sees_its_window_and_no_more() {
        let heads = Heads {
            window: Some(3),
            ..Heads::new(1, 100)
        };
        let x = matrices(6, &[(100, 6)]).remove(0);
        let before: Matrix<Cpu> = CpuBackend::attention(x.clone(), heads, None).unwrap();
        let mut changed = x;
        (0..6).for_each(|j| changed[[70, j]] = 100.0);
        let after: Matrix<Cpu> = CpuBackend::attention(changed, heads, None).unwrap();
        for i in 0..100 {
            let seen = (70..73).contains(&i);
            assert_eq!(before[[i, 0]] != after[[i, 0]], seen, "{i}");
        }
    }

    #[test]
    fn no_token_sees_a_later_one() {
        let heads = Heads::new(2, 6);
        let x = matrices(6, &[(6, 12)]).remove(0);
        let before: Matrix<Cpu> = CpuBackend::attention(x.clone(), heads, None).unwrap();
        for (value, seen) in [
            (100.0, f32::is_finite as fn(f32) -> bool),
            (f32::NAN, f32::is_nan),
        ] {
            let mut changed = x.clone();
            (0..12).for_each(|j| changed[[4, j]] = value);
            let after: Matrix<Cpu> = CpuBackend::attention(changed, heads, None).unwrap();
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
