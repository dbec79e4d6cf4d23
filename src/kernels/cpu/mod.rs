//! What the CPU kernels are made of: vectors of lanes, tiles, matrix products and threads.

pub(crate) mod matmul;
pub mod simd;
pub(crate) mod storage;
pub(crate) mod threads;
pub(crate) mod tile;
pub(crate) mod weighted_rows;
