//! CpuBackend differentiable operations on dfdx tensors.
//!
//! An operation is a method of [`Backend`] that records one backward closure on the tape. Its
//! default is the reference: the same operation composed of dfdx's own, which runs on every dfdx
//! device and is the oracle in tests. The CPU replaces it by a kernel. The model is written against
//! the trait and does not know which of the two it runs.
//!
//! All values are matrices. With B sequences of T tokens in a batch, activations are (B*T, C): one
//! row a token, in reading order. Parameters are matrices too; a vector is one row.

pub mod activation;
pub mod attention;
mod backend;
mod column_slices;
pub mod cpu;
mod cpu_backend;
pub mod cross_entropy;
mod decode_backend;
pub mod dropout;
pub mod embedding;
pub mod gradient_sum;
pub mod linear;
mod nan_check;
pub mod norm;
pub mod qk_norm;
pub mod rotary;
#[cfg(test)]
pub(crate) mod testing;
mod update;

pub use attention::Heads;
pub use backend::{Backend, ReferenceBackend};
pub use cpu::matmul::{LinearProducts, with_product_threads};
pub use cpu::storage::slice as elements;
pub use cpu::threads::together;
pub use cpu_backend::CpuBackend;
pub use cross_entropy::Head;
pub use decode_backend::DecodeBackend;
pub use dropout::Dropout;
pub use gradient_sum::GradientSum;
pub use nan_check::{NanCheckBackend, first_not_finite, not_finite, watch};
pub use norm::Normalization;
pub use rotary::Rotary;
pub use update::UpdateRule;

use dfdx::prelude::*;

/// A matrix on a device, with or without a tape.
pub type Matrix<D, T = NoneTape> = Tensor<(usize, usize), f32, D, T>;
/// A single number on a device.
pub type Scalar<D, T = NoneTape> = Tensor<Rank0, f32, D, T>;
/// The one error a device can answer with (no memory, a driver's refusal).
pub type DeviceError<D> = <D as HasErr>::Err;
