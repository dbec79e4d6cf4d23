//! The one place that reaches into a dfdx CPU tensor's memory.
//!
//! dfdx 0.13 gives no slice of a tensor's data, only an index to one element at a time. A tensor
//! that is contiguous is a slice that starts at its first element.

use crate::kernels::Matrix;
use dfdx::prelude::*;

/// The elements of a contiguous matrix, row by row.
///
/// # Panics
/// If the matrix is not contiguous (a broadcast or permuted one): the operations of this crate
/// make contiguous matrices only.
pub fn slice(x: &Matrix<Cpu>) -> &[f32] {
    let (rows, cols) = *x.shape();
    if rows * cols == 0 {
        return &[];
    }
    let first: *const f32 = &x[[0, 0]];
    let last: *const f32 = &x[[rows - 1, cols - 1]];
    let next_row: *const f32 = &x[[rows.min(2) - 1, 0]];
    assert!(
        last == first.wrapping_add(rows * cols - 1)
            && next_row == first.wrapping_add((rows.min(2) - 1) * cols),
        "a fused operation takes contiguous matrices"
    );
    // SAFETY: the matrix owns one allocation of at least rows * cols elements in row order, as just
    // checked, which lives as long as `x` and is not written to while `x` is borrowed.
    unsafe { std::slice::from_raw_parts(first, rows * cols) }
}

/// [`slice`], to be written to. Copies the data first if another tensor shares it.
pub(crate) fn slice_mut(x: &mut Matrix<Cpu>) -> &mut [f32] {
    let len = slice(x).len();
    if len == 0 {
        return &mut [];
    }
    let first: *mut f32 = &mut x[[0, 0]];
    // SAFETY: as in `slice`; indexing mutably has made this tensor the only owner of its data.
    unsafe { std::slice::from_raw_parts_mut(first, len) }
}

/// A matrix of these elements, without a copy.
pub(crate) fn matrix((rows, cols): (usize, usize), data: Vec<f32>) -> Matrix<Cpu> {
    assert_eq!(data.len(), rows * cols, "shape and data agree");
    DEVICE.with(|device| device.tensor_from_vec(data, (rows, cols)))
}

thread_local! {
    /// dfdx devices are handles; all CPU tensors may share one.
    static DEVICE: Cpu = Cpu::default();
}

/// A vector of `len` elements that `write` fills in, without its being zeroed first.
///
/// # Safety
/// `write` writes every element, and reads none before it has written it.
pub(crate) unsafe fn filled(len: usize, write: impl FnOnce(&mut [f32])) -> Vec<f32> {
    let mut data = Box::<[f32]>::new_uninit_slice(len);
    // SAFETY: the memory is valid for `len` elements, and by the contract only written to.
    write(unsafe { std::slice::from_raw_parts_mut(data.as_mut_ptr().cast(), len) });
    // SAFETY: by the contract every element is written.
    unsafe { data.assume_init() }.into_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_is_its_rows_one_after_another() {
        for (rows, cols) in [(1, 1), (1, 5), (5, 1), (2, 3)] {
            let data: Vec<f32> = (0..rows * cols).map(|i| i as f32).collect();
            let mut x = matrix((rows, cols), data.clone());
            assert_eq!(slice(&x), data);
            slice_mut(&mut x)[0] = 7.0;
            assert_eq!(x[[0, 0]], 7.0);
        }
        assert!(slice(&matrix((0, 4), Vec::new())).is_empty());
    }

    #[test]
    fn writing_leaves_a_clone_alone() {
        let mut x = matrix((2, 2), vec![1.0; 4]);
        let clone = x.clone();
        slice_mut(&mut x).fill(2.0);
        assert_eq!(slice(&clone), [1.0; 4]);
    }

    #[test]
    #[should_panic(expected = "contiguous")]
    fn a_permuted_matrix_is_refused() {
        slice(&matrix((2, 3), vec![0.0; 6]).permute());
    }
}
