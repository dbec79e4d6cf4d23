//! Building blocks of the CPU kernels: SIMD loops, tiles, matrix products, threads and tensor
//! memory.

pub(crate) mod matmul;
pub(crate) mod simd;
pub(crate) mod storage;
pub(crate) mod threads;
pub(crate) mod tile;
pub(crate) mod weighted_rows;
