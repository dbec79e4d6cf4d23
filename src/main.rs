//! Parse, run, render the error, exit.

use clap::Parser;
use runner::cli::Cli;
use std::process::ExitCode;

// Training allocates and frees the same large buffers at every step. With mimalloc, told to keep
// them, that costs nothing; with the system's they go back and forth.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match runner::cli::run(Cli::parse()) {
        Ok(exit) => exit.into(),
        Err(error) => {
            error.render();
            error.exit().into()
        }
    }
}
