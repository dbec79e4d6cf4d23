//! Fused differentiable operations on dfdx tensors.
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
mod columns;
pub mod cross_entropy;
pub mod dropout;
pub mod embedding;
pub mod linear;
pub mod norm;
pub mod qk_norm;
pub mod rotary;
pub mod update;

mod duet;
mod fused;
mod matmul;
mod rowwise;
pub mod simd;
mod storage;
#[cfg(test)]
mod testing;
mod tile;
mod watched;
mod weighted;

pub use attention::Heads;
pub use backend::{Backend, Composed};
pub use cross_entropy::Head;
pub use dropout::Dropout;
pub use duet::together;
pub use fused::Fused;
pub use matmul::{LinearProducts, with_product_threads};
pub use norm::Normalization;
pub use rotary::Rotary;
pub use rowwise::Rowwise;
pub use storage::slice as elements;
pub use update::{AdamW, GradientSum, Lion, Muon, RmsProp, Sgd};
pub use watched::{Watched, first_not_finite, not_finite, watch};

use dfdx::prelude::*;

/// A matrix on a device, with or without a tape.
pub type Matrix<D, T = NoneTape> = Tensor<(usize, usize), f32, D, T>;
/// A single number on a device.
pub type Scalar<D, T = NoneTape> = Tensor<Rank0, f32, D, T>;
/// The one error a device can answer with (no memory, a driver's refusal).
pub type Fault<D> = <D as HasErr>::Err;
