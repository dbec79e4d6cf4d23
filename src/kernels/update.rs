use super::matrix::{DeviceError, Matrix};
use dfdx::prelude::*;

/// A rule that updates a matrix in place from a second matrix of the same shape, such as the update
/// of a parameter from its gradient. It keeps `STATES` matrices of that shape from step to step,
/// such as the two moments of Adam.
///
/// [`Backend::update`](super::Backend::update) applies it. Both implementations compute the same,
/// up to rounding.
pub trait UpdateRule<const STATES: usize> {
    /// Updates on the CPU. The slices hold the rows of matrices of `shape`, one after another.
    fn cpu(
        &self,
        shape: (usize, usize),
        parameter: &mut [f32],
        gradient: &[f32],
        state: [&mut [f32]; STATES],
    );

    /// Updates by dfdx's own operations, which run on every device. Tests compare [`Self::cpu`]
    /// with it.
    ///
    /// # Errors
    /// If the device fails.
    fn reference<D: Device<f32>>(
        &self,
        parameter: &mut Matrix<D>,
        gradient: &Matrix<D>,
        state: [&mut Matrix<D>; STATES],
    ) -> Result<(), DeviceError<D>>;
}
