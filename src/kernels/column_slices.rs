//! Columns of matrices, in dfdx's own operations.

use super::{DeviceError, Matrix};
use dfdx::prelude::*;
use std::ops::Range;

/// Some columns of a matrix, on a tape of their own: that of the matrix is still to be put back, by
/// [`with_tapes`].
pub(super) fn columns<D: Device<f32>, T: Tape<f32, D>>(
    x: &Matrix<D, T>,
    range: Range<usize>,
) -> Result<Matrix<D, T>, DeviceError<D>> {
    let all = 0..x.shape().0;
    Ok(realized(x.with_empty_tape().try_slice((all, range))?))
}

/// The columns of `a`, then those of `b`.
pub(super) fn beside<D: Device<f32>, T: Tape<f32, D>>(
    a: Matrix<D, T>,
    b: Matrix<D, T>,
) -> Result<Matrix<D, T>, DeviceError<D>> {
    (a, b).try_concat_along(Axis::<1>)
}

/// `y` on its own tape and those of what it was made of.
pub(super) fn with_tapes<D: Device<f32>, T: Tape<f32, D>, const N: usize>(
    y: Matrix<D, T>,
    of: [Matrix<D, T>; N],
) -> Matrix<D, T> {
    let (y, own) = y.split_tape();
    let tape = of
        .into_iter()
        .fold(own, |tape, x| tape.merge(x.split_tape().1));
    y.put_tape(tape)
}

/// A slice by ranges keeps its shape's type only in dfdx's own words.
fn realized<S, D: Device<f32>, T: Tape<f32, D>>(x: Tensor<S, f32, D, T>) -> Matrix<D, T>
where
    S: Shape<Concrete = [usize; 2]>,
{
    match x.try_realize::<(usize, usize)>() {
        Ok(x) => x,
        Err(_) => unreachable!("every shape of two dimensions is one of two dynamic dimensions"),
    }
}
