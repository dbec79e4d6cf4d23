//! Causal self-attention over heads (Vaswani et al. 2017, section 3.2).

mod cached;
mod cpu;
mod heads;
mod layer_cache;
mod query_block;
mod reference;

use super::backend::operation;
use super::dropout::Dropout;
use super::matrix::{DeviceError, Matrix};
use dfdx::prelude::*;
pub use heads::Heads;
pub use layer_cache::LayerCache;

operation! {
    /// Causal self-attention of `qkv` (N, width), whose columns are as [`Heads`] describes: (N, C),
    /// the results of the query heads side by side. `dropout` applies to the attention weights (B,
    /// nh, T, T).
    pub Attention, trait AttentionMethod {
        fn attention<'a, D, T>(
            qkv: Matrix<D, T>,
            heads: Heads,
            dropout: Option<Dropout>,
        ) -> Matrix<D, T>;
    }
    reference: reference::reference,
    cpu: cpu::attention,
    input: qkv,
}

operation! {
    /// [`Attention`] of new tokens, `heads.block` of each sequence, to themselves and to the tokens
    /// in `cache`, which then contains them too. No gradients.
    pub AttentionCached, trait AttentionCachedMethod {
        fn attention_cached<'a, D, T>(
            qkv: Matrix<D, T>,
            heads: Heads,
            cache: &'a mut LayerCache,
        ) -> Matrix<D, T>;
    }
    reference: reference::reference_cached,
    cpu: cached::attention,
    input: qkv,
}

#[cfg(test)]
mod tests {
    use super::reference::reference;
    use super::*;
    use crate::kernels::cpu::storage::{matrix, slice};
    use crate::kernels::testing::{
        assert_close, check_against_reference, check_gradient, matrices,
    };
    use crate::kernels::{CpuBackend, ReferenceBackend};
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
        /// The result does not depend on how many tokens come in one call.
        #[test]
        fn cached_tokens_are_seen(
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
            let (mut cache, mut reference_cache) = (LayerCache::default(), LayerCache::default());
            let mut first = 0;
            for block in cuts {
                let heads = Heads { block, first, ..all };
                let new = matrix((b * block, width), part(&qkv, first, first + block));
                let got: Matrix<Cpu> = CpuBackend::attention_cached(new.clone(), heads, &mut cache).unwrap();
                let reference: Matrix<Cpu> =
                    ReferenceBackend::attention_cached(new, heads, &mut reference_cache).unwrap();
                prop_assert_eq!(got.as_vec(), part(&want, first, first + block));
                prop_assert_eq!(got.shape().1, c);
                assert_close(&reference, &got, 1e-5);
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
