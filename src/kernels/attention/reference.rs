//! Attention composed of dfdx's own operations.

use super::heads::{Heads, Layout};
use super::layer_cache::LayerCache;
use crate::kernels::dropout::{self, Dropout};
use crate::kernels::matrix::{DeviceError, Matrix, columns, merge_tapes};
use dfdx::prelude::*;

/// Added to the scores of masked tokens. Finite, because infinity times zero is NaN.
const MASKED: f32 = -1e30;

/// (B, nh, T, hs)
type ByHead<D, T> = Tensor<(usize, usize, usize, usize), f32, D, T>;

/// The reference of [`super::Attention`].
pub(super) fn reference<D: Device<f32>, T: Tape<f32, D>>(
    qkv: Matrix<D, T>,
    heads: Heads,
    dropout: Option<Dropout>,
) -> Result<Matrix<D, T>, DeviceError<D>> {
    let (n, width) = *qkv.shape();
    let (nh, kv, t) = (heads.count, heads.kv_count, heads.block);
    let (b, hs) = (n / t, heads.head_size(width));
    // The columns of `count` heads, beginning with head `first`.
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
        let mask = dropout::mask(&device, dropout, b * nh * t, t)?;
        p = p.try_mul(mask.try_reshape_like(&(b, nh, t, t))?)?;
    }
    let y = p
        .try_matmul(v)? // (B, nh, T, hs)
        .try_permute::<(usize, usize, usize, usize), Axes4<0, 2, 1, 3>>()?
        .try_reshape_like(&(n, nh * hs))?;
    Ok(merge_tapes(y, [qkv]))
}

/// The reference of [`super::AttentionCached`]: [`reference`] over all tokens of each sequence. The
/// queries of cached tokens are not known, and their results are not used.
pub(super) fn reference_cached<D: Device<f32>, T: Tape<f32, D>>(
    qkv: Matrix<D, T>,
    heads: Heads,
    cache: &mut LayerCache,
) -> Result<Matrix<D, T>, DeviceError<D>> {
    let (qkv, tape) = qkv.split_tape();
    let layout = Layout::new(*qkv.shape(), heads);
    let Layout { n, width, c, .. } = layout;
    let m = heads.block;
    let new = qkv.as_vec();
    cache.append(&new, layout);
    let mut y = Vec::with_capacity(n * c);
    for (sequence, new) in cache.sequences().zip(new.chunks_exact(m * width)) {
        let mut rows = sequence.rows_without_queries(layout);
        let t = rows.len() / width;
        rows[(t - m) * width..].copy_from_slice(new);
        let heads = Heads {
            block: t,
            first: 0,
            ..heads
        };
        let all = qkv.device().try_tensor_from_vec(rows, (t, width))?;
        let attended: Matrix<D> = reference(all, heads, None)?; // (T, C)
        y.extend_from_slice(&attended.as_vec()[(t - m) * c..]);
    }
    Ok(qkv.device().try_tensor_from_vec(y, (n, c))?.put_tape(tape))
}

/// (nh, T, T)
type ScoreMask<D> = Tensor<(usize, usize, usize), f32, D>;

/// The mask and the ALiBi terms that are added to the scores (nh, T, T) of a sequence.
fn mask<D: Device<f32>>(device: &D, heads: Heads) -> Result<ScoreMask<D>, DeviceError<D>> {
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
