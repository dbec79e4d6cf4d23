//! Parses the command line, runs the command, prints its error, and exits.

use mimalloc::MiMalloc;
use runner::out_of_memory::{WatchedAllocator, explain_abort};
use std::process::ExitCode;

// Training allocates and frees the same large buffers at every step. The system's allocator returns them
// to the system each time. mimalloc keeps them if it is told to (see `WORKER_ENVIRONMENT`).
#[global_allocator]
static ALLOCATOR: WatchedAllocator<MiMalloc> = WatchedAllocator(MiMalloc);

fn main() -> ExitCode {
    explain_abort();
    match runner::cli::run(runner::cli::parse()) {
        Ok(exit) => exit.into(),
        Err(error) => {
            error.print();
            error.exit().into()
        }
    }
}
