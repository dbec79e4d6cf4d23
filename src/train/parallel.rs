use crate::kernels::{
    Backend, Bf16Backend, CpuBackend, DeviceError, NanCheckBackend, ReferenceBackend, thread_team,
    with_product_threads,
};
use dfdx::prelude::*;
use rayon::ThreadPoolBuilder;
use rayon::prelude::*;
use std::error::Error;
use std::io::{self, ErrorKind};

/// Applies a function to items: on the CPU in parallel, on any other device one after another. The
/// results are in the order of the items, so they do not depend on the number of threads.
///
/// The types of the items and results are parameters of the trait because the implementations ask
/// different things of them: threads of the CPU can share only what is `Send`, and dfdx's CUDA device
/// is not.
pub trait MapOrdered<T, R>: Backend {
    /// # Errors
    /// If `f` fails for an item.
    fn map_ordered(
        items: Vec<T>,
        f: fn(T) -> Result<R, DeviceError<Self::Device>>,
    ) -> Result<Vec<R>, DeviceError<Self::Device>>;
}

/// Whether a thread team of this size computes so many items. It begins them in their order, so that one may wait
/// for an earlier one. Fewer items than threads are computed by rayon, whose other threads help with the matrix
/// products, and where a thread that waits for them may begin another item.
pub(super) fn uses_thread_team(items: usize, threads: usize) -> bool {
    items >= threads
}

/// [`uses_thread_team`] for the team of this thread, if it has one.
pub(super) fn uses_own_thread_team(items: usize) -> bool {
    thread_team::threads().is_some_and(|threads| uses_thread_team(items, threads))
}

impl<T: Send, R: Send> MapOrdered<T, R> for CpuBackend {
    fn map_ordered(items: Vec<T>, f: fn(T) -> Result<R, CpuError>) -> Result<Vec<R>, CpuError> {
        if uses_own_thread_team(items.len()) {
            return thread_team::map(items, f).into_iter().collect();
        }
        let threads = rayon::current_num_threads() / items.len().max(1);
        let items = items.into_par_iter().with_max_len(1);
        items
            .map(|item| with_product_threads(threads, || f(item)))
            .collect()
    }
}

impl<T: Send, R: Send> MapOrdered<T, R> for Bf16Backend {
    fn map_ordered(items: Vec<T>, f: fn(T) -> Result<R, CpuError>) -> Result<Vec<R>, CpuError> {
        CpuBackend::map_ordered(items, f)
    }
}

/// Runs `work` on this number of threads, which [`MapOrdered`] uses.
///
/// # Errors
/// If the system has no more threads.
pub fn on_threads<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> io::Result<R> {
    let pool = ThreadPoolBuilder::new().num_threads(threads).build();
    let pool = pool.map_err(|error| {
        // The cause says which resource is missing.
        let cause = error
            .source()
            .and_then(|cause| cause.downcast_ref::<io::Error>());
        let kind = cause.map_or(ErrorKind::WouldBlock, io::Error::kind);
        io::Error::new(kind, error)
    })?;
    Ok(pool.install(|| thread_team::with_team(threads, work)))
}

impl<D: Device<f32>, T, R> MapOrdered<T, R> for ReferenceBackend<D> {
    fn map_ordered(
        items: Vec<T>,
        f: fn(T) -> Result<R, DeviceError<D>>,
    ) -> Result<Vec<R>, DeviceError<D>> {
        items.into_iter().map(f).collect()
    }
}

impl<B: MapOrdered<T, R>, T, R> MapOrdered<T, R> for NanCheckBackend<B> {
    fn map_ordered(
        items: Vec<T>,
        f: fn(T) -> Result<R, DeviceError<B::Device>>,
    ) -> Result<Vec<R>, DeviceError<B::Device>> {
        B::map_ordered(items, f)
    }
}
