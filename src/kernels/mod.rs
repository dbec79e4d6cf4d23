//! Differentiable operations on dfdx tensors, with kernels for the CPU.
//!
//! Each operation is a folder: its declaration and its reference, composed of dfdx's own
//! operations, in `mod.rs`, and its kernel in `cpu.rs`. The reference runs on every dfdx device,
//! and tests compare the kernel with it. The model calls an operation as a method of a [`Backend`],
//! which decides what runs. To add an operation, add a folder, and a line to this file and to
//! [`operations`].
//!
//! All values are matrices. With B sequences of T tokens in a batch, activations are (N, C), where
//! N = B*T: one row per token, in reading order. Parameters are matrices too; a vector is one row.
//! V is the size of the vocabulary, nh the number of heads, hs the columns of a head.

mod activation;
pub mod attention;
mod backend;
pub(crate) mod cpu;
pub mod cross_entropy;
pub mod dropout;
pub mod embedding;
pub mod gradient_sum;
pub mod linear;
mod linear_products;
mod matrix;
mod nan_check;
mod non_finite;
pub mod norm;
pub mod qk_norm;
pub mod rotary;
mod shared_gradients;
pub mod take_gradient;
#[cfg(test)]
pub(crate) mod testing;
mod update;

pub use attention::{Heads, LayerCache};
pub use backend::{Backend, Bf16Backend, CpuBackend, DecodeBackend, Operation, ReferenceBackend};
pub use cpu::instruction_set::InstructionSet;
pub use cpu::matmul::with_product_threads;
pub use cpu::storage::slice as elements;
pub(crate) use cpu::thread_team;
pub use cpu::threads::with_helper_thread;
pub use cross_entropy::Head;
pub use dropout::Dropout;
pub use gradient_sum::GradientSum;
pub use linear::packed;
pub use linear_products::LinearProducts;
pub use matrix::{DeviceError, Matrix, Scalar};
pub use nan_check::{Checkable, NanCheckBackend, NonFinite, detect_non_finite, non_finite_name};
pub use non_finite::first_non_finite;
pub use rotary::Rotary;
pub use shared_gradients::SharedGradients;
pub use update::UpdateRule;

/// The operations, as methods of every [`Backend`]: `use kernels::operations::*`.
pub mod operations {
    pub use super::attention::{AttentionCachedMethod, AttentionMethod};
    pub use super::cross_entropy::{CrossEntropyMethod, HeadCrossEntropyMethod, LogitsMethod};
    pub use super::dropout::DropoutMethod;
    pub use super::embedding::EmbedMethod;
    pub use super::gradient_sum::SumGradientsMethod;
    pub use super::linear::{LinearActivationMethod, LinearMethod, LinearResidualMethod};
    pub use super::norm::NormMethod;
    pub use super::qk_norm::QkNormMethod;
    pub use super::rotary::RotaryMethod;
    pub use super::take_gradient::TakeGradientMethod;
}
