//! Dropout (Srivastava et al. 2014). The mask is a function of a key and of the element's index, so
//! the backward pass computes it again and nothing is stored.

mod cpu;

use super::backend::operation;
use super::matrix::{DeviceError, Matrix};
use crate::random::Stream;
use dfdx::prelude::*;
use rand_core::RngCore;

/// The mask of one dropout layer in one training step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dropout {
    /// An element is kept if its hash is at least the threshold.
    threshold: u32,
    /// The factor of a kept element: 1 / (1 - p).
    scale: f32,
    key: u32,
    /// Index in the whole batch of the first element, so that the mask does not depend on how the
    /// batch is split into shards.
    offset: u32,
}

impl Dropout {
    /// Dropout with probability `p` at a training step. `site` is the number of the layer in the
    /// model, `offset` the index in the whole batch of the first element.
    pub fn new(p: f32, stream: &Stream, step: u64, site: u32, offset: usize) -> Self {
        let mut rng = stream.at(step);
        let base = rng.next_u32();
        Self {
            threshold: (f64::from(p) * 2f64.powi(32)) as u32,
            scale: 1.0 / (1.0 - p),
            key: hash(base.wrapping_add(site.wrapping_mul(0x9e37_79b9))),
            offset: offset as u32,
        }
    }

    /// The factor of element `index`: 0 or 1 / (1 - p).
    #[inline(always)]
    fn factor(self, index: u32) -> f32 {
        let drawn = hash(hash(index.wrapping_add(self.offset)) ^ self.key);
        if drawn >= self.threshold {
            self.scale
        } else {
            0.0
        }
    }
}

/// A hash of 32 bits: C. Wellons' "lowbias32", whose constants were found by a search for the least
/// bias between input and output bits.
#[inline(always)]
fn hash(mut x: u32) -> u32 {
    x ^= x >> 16;
    x = x.wrapping_mul(0x7feb_352d);
    x ^= x >> 15;
    x = x.wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}

operation! {
    /// Multiplies each element of `x` (N, C) by its factor, 0 or 1 / (1 - p): (N, C).
    pub ApplyDropout, trait DropoutMethod {
        fn dropout<'a, D, T>(x: Matrix<D, T>, dropout: Dropout) -> Matrix<D, T>;
    }
    reference: reference,
    cpu: cpu::dropout,
    input: x,
}

fn reference<D: Device<f32>, T: Tape<f32, D>>(
    x: Matrix<D, T>,
    dropout: Dropout,
) -> Result<Matrix<D, T>, DeviceError<D>> {
    let (n, c) = *x.shape();
    let mask = mask(x.device(), dropout, n, c)?;
    x.try_mul(mask)
}

/// The factors of the elements of (N, C).
pub(super) fn mask<D: Device<f32>>(
    device: &D,
    dropout: Dropout,
    n: usize,
    c: usize,
) -> Result<Matrix<D>, DeviceError<D>> {
    let factors = (0..n * c).map(|i| dropout.factor(i as u32)).collect();
    device.try_tensor_from_vec(factors, (n, c))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::CpuBackend;
    use crate::kernels::testing::{check_against_reference, check_gradient, matrices};

    fn dropout(p: f32, step: u64, site: u32) -> Dropout {
        Dropout::new(p, &Stream::new(1, "dropout"), step, site, 0)
    }

    #[test]
    fn the_kernel_agrees_with_the_reference() {
        let d = dropout(0.4, 0, 0);
        check_against_reference(
            &matrices(7, &[(9, 21)]),
            |x| reference(x[0].retaped(), d),
            |x| CpuBackend::dropout(x[0].retaped(), d),
        )
        .unwrap();
    }

    #[test]
    fn the_share_dropped_is_p_and_sites_and_steps_are_independent() {
        let masks = [dropout(0.3, 0, 0), dropout(0.3, 0, 1), dropout(0.3, 1, 0)];
        let n = 100_000;
        let kept = |d: Dropout| (0..n).filter(|&i| d.factor(i) > 0.0).count() as f64 / f64::from(n);
        for d in masks {
            assert!((kept(d) - 0.7).abs() < 0.005);
        }
        for (a, b) in [(0, 1), (0, 2), (1, 2)] {
            let both = (0..n).filter(|&i| masks[a].factor(i) > 0.0 && masks[b].factor(i) > 0.0);
            assert!((both.count() as f64 / f64::from(n) - 0.49).abs() < 0.006);
        }
    }

    #[test]
    fn a_shard_has_its_part_of_the_whole_mask() {
        let stream = Stream::new(1, "dropout");
        let whole = Dropout::new(0.5, &stream, 4, 2, 0);
        let part = Dropout::new(0.5, &stream, 4, 2, 1000);
        assert!((0..500).all(|i| whole.factor(1000 + i) == part.factor(i)));
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        let d = dropout(0.4, 0, 0);
        check_gradient(&matrices(7, &[(4, 9)]), |x| {
            CpuBackend::dropout(x[0].retaped(), d)
        });
    }
}
