//! Work on all processor cores.

use super::DataError;
use rayon::ThreadPoolBuilder;
use rayon::prelude::*;
use std::error::Error;
use std::io::{self, ErrorKind};
use std::sync::OnceLock;

/// Applies a function to items, in parallel. The results are in the order of the items.
///
/// # Errors
/// The first error of `f`, or [`DataError::Threads`].
pub(super) fn parallel_map<T: Send, R: Send>(
    items: Vec<T>,
    f: impl Fn(T) -> Result<R, DataError> + Send + Sync,
) -> Result<Vec<R>, DataError> {
    start_threads()?;
    items.into_par_iter().map(f).collect()
}

/// Starts the threads that rayon uses outside a pool. On its own, rayon panics if there are no more threads.
fn start_threads() -> Result<(), DataError> {
    // Rayon tries to start its threads once, so the outcome is the same for the whole process.
    static OUTCOME: OnceLock<Result<(), (ErrorKind, String)>> = OnceLock::new();
    if rayon::current_thread_index().is_some() {
        return Ok(()); // this is a thread of a pool, which does the work
    }
    let outcome = OUTCOME.get_or_init(|| match ThreadPoolBuilder::new().build_global() {
        Ok(()) => Ok(()),
        Err(error) => {
            let cause = error
                .source()
                .and_then(|cause| cause.downcast_ref::<io::Error>());
            // Without a cause, the threads were started before.
            cause.map_or(Ok(()), |cause| Err((cause.kind(), cause.to_string())))
        }
    });
    let failed = |(kind, text): &(ErrorKind, String)| {
        DataError::Threads(io::Error::new(*kind, text.clone()))
    };
    outcome.as_ref().map(|_| ()).map_err(failed)
}
