//! The matrices that every operation works on, and what the references compose from dfdx's own
//! operations.

use dfdx::prelude::*;
use std::ops::Range;

/// A matrix on a device, with or without a tape.
pub type Matrix<D, T = NoneTape> = Tensor<(usize, usize), f32, D, T>;
/// A single number on a device.
pub type Scalar<D, T = NoneTape> = Tensor<Rank0, f32, D, T>;
/// The error type of a device: out of memory, or a refusal of the driver.
pub type DeviceError<D> = <D as HasErr>::Err;

/// Columns `range` of a matrix (N, C), on a new tape. The caller puts the tape of `x` back with
/// [`merge_tapes`].
pub(super) fn columns<D: Device<f32>, T: Tape<f32, D>>(
    x: &Matrix<D, T>,
    range: Range<usize>,
) -> Result<Matrix<D, T>, DeviceError<D>> {
    let all = 0..x.shape().0;
    Ok(with_dynamic_shape(
        x.with_empty_tape().try_slice((all, range))?,
    ))
}

/// Concatenates the columns of (N, A) and (N, B) to (N, A + B).
pub(super) fn concat_columns<D: Device<f32>, T: Tape<f32, D>>(
    a: Matrix<D, T>,
    b: Matrix<D, T>,
) -> Result<Matrix<D, T>, DeviceError<D>> {
    (a, b).try_concat_along(Axis::<1>)
}

/// `y` with its own tape merged with the tapes of its inputs.
pub(super) fn merge_tapes<D: Device<f32>, T: Tape<f32, D>, const N: usize>(
    y: Matrix<D, T>,
    inputs: [Matrix<D, T>; N],
) -> Matrix<D, T> {
    let (y, own) = y.split_tape();
    let tape = inputs
        .into_iter()
        .fold(own, |tape, x| tape.merge(x.split_tape().1));
    y.put_tape(tape)
}

/// Adds a row (1, C) to each row of (N, C).
pub(super) fn add_row<D: Device<f32>, T: Tape<f32, D>>(
    x: Matrix<D, T>,
    row: &Matrix<D>,
) -> Result<Matrix<D, T>, DeviceError<D>> {
    let shape = *x.shape();
    x.try_add(broadcast_row::<D, T>(row, shape)?)
}

/// Repeats a row (1, C) to (N, C).
pub(super) fn broadcast_row<D: Device<f32>, T: Tape<f32, D>>(
    row: &Matrix<D>,
    shape: (usize, usize),
) -> Result<Matrix<D, T>, DeviceError<D>> {
    row.retaped::<T>()
        .try_reshape_like(&(shape.1,))?
        .try_broadcast_like::<_, Axis<0>>(&shape)
}

/// Gives the result of a slice by ranges, whose type is dfdx's own, the type of a matrix.
fn with_dynamic_shape<S, D: Device<f32>, T: Tape<f32, D>>(x: Tensor<S, f32, D, T>) -> Matrix<D, T>
where
    S: Shape<Concrete = [usize; 2]>,
{
    match x.try_realize::<(usize, usize)>() {
        Ok(x) => x,
        Err(_) => unreachable!("every shape of two dimensions is one of two dynamic dimensions"),
    }
}
