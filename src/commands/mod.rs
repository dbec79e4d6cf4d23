//! One file a command: what it does, from its arguments to what is printed.

mod error;
mod find;
mod generate;
mod plan;
mod report;
mod results;
mod schema;
mod sweep;
mod target;

use crate::cli::{Cli, Command};
use crate::runner;
pub use error::{Error, Exit};
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
        Command::Worker => runner::work().map(|()| Exit::Well).map_err(Error::Worker),
    }
}

/// Prints a text to standard output.
fn print(text: &str) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // The reader, such as `head`, has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(Error::Output),
    }
}
