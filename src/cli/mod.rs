//! One file a command: what it does, from its arguments to what is printed.

mod args;
mod cli_error;
mod experiment_target;
mod find_run;
mod generate;
mod plan;
mod report;
mod result_tables;
mod schema;
mod shell_quoting;
mod sweep;

use crate::sweep as sweeps;
use crate::text::escape;
pub use args::Cli;
use args::Command;
pub use cli_error::{Error, Exit};
use std::io::{self, Write};

/// Carries out a command line.
pub fn run(cli: Cli) -> Result<Exit, Error> {
    match cli.command {
        Command::Sweep(arguments) if arguments.dry_run => plan::run(&arguments.into()),
        Command::Sweep(arguments) => sweep::run(&arguments),
        Command::Plan(arguments) => plan::run(&arguments),
        Command::Report(arguments) => report::run(&arguments),
        Command::Generate(arguments) => generate::run(&arguments),
        Command::Schema(_) => schema::run(),
        Command::Worker => sweeps::run_worker()
            .map(|()| Exit::Success)
            .map_err(Error::Worker),
    }
}

/// Prints a text to standard output, with control characters made visible: names, paths and foreign
/// results can contain sequences that a terminal would carry out.
fn print(text: &str) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    match out
        .write_all(escape::visible(text).as_bytes())
        .and_then(|()| out.flush())
    {
        // The reader, such as `head`, has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(Error::Output),
    }
}
