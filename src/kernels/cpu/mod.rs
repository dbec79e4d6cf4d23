//! Building blocks of the CPU kernels: SIMD loops, tiles, matrix products, threads and tensor
//! memory.

#[cfg(all(target_arch = "x86_64", target_os = "linux", not(miri)))]
mod amx;
mod blocked_product;
pub(crate) mod instruction_set;
pub(crate) mod matmul;
mod microkernel;
mod packing;
pub(crate) mod simd;
pub(crate) mod storage;
mod term_format;
pub(crate) mod thread_team;
pub(crate) mod threads;
pub(crate) mod tile;
pub(crate) mod transpose;
mod view;
pub(crate) mod weighted_rows;
