//! The search for numbers that are not finite: NaN and the two infinities.

use super::cpu::simd::vectorized;
use super::cpu::storage::try_slice;
use super::matrix::Matrix;
use dfdx::prelude::*;
use std::any::Any;

/// Elements that are read before the search can end. A loop that can end after each element is not
/// compiled to vector instructions.
const CHUNK: usize = 4096;

/// The bits of the exponent. NaN and infinity have all of them set, and no other number does.
const EXPONENT: u32 = 0x7f80_0000;

/// The first element that is not finite. A contiguous matrix on the CPU is not copied.
pub fn first_non_finite<S: Shape, D: Device<f32>, T>(x: &Tensor<S, f32, D, T>) -> Option<f32> {
    // Shares the elements. The type of a tape may have references, which `Any` does not allow.
    let x = x.retaped::<NoneTape>();
    let matrix = (&x as &dyn Any).downcast_ref::<Matrix<Cpu>>();
    match matrix.and_then(try_slice) {
        Some(elements) => first_in_slice(elements),
        None => first_in_slice(&x.as_vec()),
    }
}

fn first_in_slice(x: &[f32]) -> Option<f32> {
    let mut chunks = x.chunks(CHUNK);
    let chunk = chunks.find(|chunk| largest_exponent(chunk) == EXPONENT)?;
    chunk.iter().copied().find(|value| !value.is_finite())
}

/// The largest exponent of the elements, as its bits.
fn largest_exponent(x: &[f32]) -> u32 {
    vectorized(
        #[inline(always)]
        || {
            let exponents = x.iter().map(|x| x.to_bits() & EXPONENT);
            exponents.fold(0u32, |largest, exponent| largest.max(exponent))
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::cpu::storage::matrix;

    #[test]
    fn the_first_element_that_is_not_finite_is_found_in_every_place() {
        let finite = [0.0, -0.0, 1e-45, f32::MIN_POSITIVE, f32::MAX, f32::MIN];
        let mut data = finite.repeat(2000);
        let first = |data: &[f32]| first_non_finite(&matrix((2000, 6), data.to_vec()));
        assert_eq!(first(&data), None);
        // Each is before the one in the line above.
        for (i, value) in [
            (11_999, f32::NEG_INFINITY),
            (CHUNK, f32::NAN),
            (CHUNK - 1, f32::INFINITY),
            (17, -f32::NAN),
            (0, f32::NEG_INFINITY),
        ] {
            data[i] = value;
            assert_eq!(first(&data).map(f32::to_bits), Some(value.to_bits()));
        }
        assert_eq!(first_non_finite(&matrix((0, 3), Vec::new())), None);
    }

    #[test]
    fn a_matrix_that_is_not_contiguous_is_searched_row_by_row() {
        let data = vec![1.0, f32::INFINITY, 3.0, f32::NEG_INFINITY, 5.0, 6.0];
        let x: Matrix<Cpu> = matrix((2, 3), data).permute();
        assert_eq!(first_non_finite(&x), Some(f32::NEG_INFINITY));
    }
}
