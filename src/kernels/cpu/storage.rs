//! Access to the memory of a dfdx CPU tensor. This is the only module that reaches into it.
//!
//! dfdx 0.13 gives no slice of a tensor's data, only an index to one element at a time. A
//! contiguous tensor is a slice that starts at its first element.

use crate::kernels::matrix::Matrix;
use dfdx::prelude::*;
use std::mem::MaybeUninit;

/// The elements of a contiguous matrix, row by row.
///
/// # Panics
/// If the matrix is not contiguous, that is broadcast or permuted. The operations of this crate make
/// contiguous matrices only.
pub fn slice(x: &Matrix<Cpu>) -> &[f32] {
    try_slice(x).expect("a kernel needs a contiguous matrix")
}

/// [`slice`], or `None` if the matrix is not contiguous.
pub(crate) fn try_slice(x: &Matrix<Cpu>) -> Option<&[f32]> {
    let (rows, cols) = *x.shape();
    if rows * cols == 0 {
        return Some(&[]);
    }
    let first: *const f32 = &x[[0, 0]];
    let last: *const f32 = &x[[rows - 1, cols - 1]];
    let next_row: *const f32 = &x[[rows.min(2) - 1, 0]];
    let is_contiguous = last == first.wrapping_add(rows * cols - 1)
        && next_row == first.wrapping_add((rows.min(2) - 1) * cols);
    if !is_contiguous {
        return None;
    }
    // SAFETY: dfdx keeps the elements in one `Vec<f32>`, and bounds checks of `Index` have shown
    // that the first and the last element lie in it. They are rows * cols - 1 elements apart, so
    // that all elements between them are initialized elements of this vector. It lives as long as
    // `x`, and nobody writes to it while `x` is borrowed. (The pointer comes from a reference to
    // the first element. That it may reach the others holds under Tree Borrows; Stacked Borrows is
    // stricter.)
    Some(unsafe { std::slice::from_raw_parts(first, rows * cols) })
}

/// [`slice`], mutable. Copies the data first if another tensor shares it.
pub(crate) fn slice_mut(x: &mut Matrix<Cpu>) -> &mut [f32] {
    let len = slice(x).len();
    if len == 0 {
        return &mut [];
    }
    let first: *mut f32 = &mut x[[0, 0]];
    // SAFETY: as in `slice`. `IndexMut` has made this tensor the only owner of its data, by a copy
    // where it was shared; `len` elements are contiguous in the copy too, which has the same
    // strides. `x` is mutably borrowed for as long as the slice.
    unsafe { std::slice::from_raw_parts_mut(first, len) }
}

/// A matrix of these elements, without a copy.
pub(crate) fn matrix((rows, cols): (usize, usize), data: Vec<f32>) -> Matrix<Cpu> {
    assert_eq!(
        data.len(),
        rows * cols,
        "a shape of as many elements as there are"
    );
    DEVICE.with(|device| device.tensor_from_vec(data, (rows, cols)))
}

thread_local! {
    /// dfdx devices are handles; all CPU tensors may share one.
    static DEVICE: Cpu = Cpu::default();
}

/// A vector of `len` elements that `write` initializes. The memory is not zeroed first.
///
/// # Safety
/// When `write` returns, it has initialized every element.
pub(crate) unsafe fn vec_from_writer(
    len: usize,
    write: impl FnOnce(&mut [MaybeUninit<f32>]),
) -> Vec<f32> {
    let mut data = Box::new_uninit_slice(len);
    write(&mut data);
    // SAFETY: by the contract, every element is initialized.
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
    fn a_written_vector_has_what_was_written() {
        // SAFETY: every element is written.
        let data = unsafe {
            vec_from_writer(5, |data| {
                for (i, x) in data.iter_mut().enumerate() {
                    x.write(i as f32);
                }
            })
        };
        assert_eq!(data, [0.0, 1.0, 2.0, 3.0, 4.0]);
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
