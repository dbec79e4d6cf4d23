//! The command line. Each command has one file, from its arguments to its output.

mod args;
mod cli_error;
mod compare_results;
mod confirm;
mod confirm_error;
mod confirmation;
mod diff_runs;
mod exit_verdict;
mod experiment_target;
mod export;
mod export_error;
mod file_size_limit;
mod find_run;
mod generate;
mod generate_error;
mod init;
mod live_report;
mod manual;
mod plan;
mod print_schema;
mod renamed_options;
mod report;
mod result_tables;
mod saved_model;
mod scored_runs;
mod shell_quoting;
mod sweep;
mod sweep_notes;
mod template_check;
mod test_scores;
mod validate_files;
mod verify;
mod watch;

use crate::kernels::InstructionSet;
use crate::sweep as sweeps;
use crate::text::escape;
use crate::text::terminal::print_note;
pub use args::Cli;
use args::Command;
use clap::Parser;
pub use cli_error::{Error, Exit};
use std::io::{self, Write};

/// Parses the command line. Prints help or a usage error and exits if there is no command to run.
pub fn parse() -> Cli {
    Cli::try_parse().unwrap_or_else(|error| {
        let is_visible = |text: &str| escape::visible(text) == text;
        let plain = std::env::args_os().all(|argument| argument.to_str().is_some_and(is_visible));
        if plain || !error.use_stderr() {
            error.exit();
        }
        // The message repeats an argument with control characters. It is printed without colors, so that
        // they can be told apart from those of the message.
        print_note(error.render().to_string().trim_end());
        std::process::exit(error.exit_code())
    })
}

/// Runs a command.
pub fn run(cli: Cli) -> Result<Exit, Error> {
    file_size_limit::fail_writes();
    InstructionSet::chosen().map_err(Error::Environment)?;
    match cli.command {
        Command::Sweep(mut arguments) => {
            arguments.apply_former_names();
            match arguments.dry_run {
                true => plan::run(&arguments.into()),
                false => sweep::run(&arguments),
            }
        }
        Command::Plan(arguments) => plan::run(&arguments),
        Command::Report(arguments) => report::run(&arguments),
        Command::Compare(arguments) => compare_results::run(&arguments),
        Command::Confirm(arguments) => confirm::run(&arguments),
        Command::Diff(arguments) => diff_runs::run(&arguments),
        Command::Watch(arguments) => watch::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Generate(mut arguments) => {
            arguments.apply_former_names();
            generate::run(&arguments)
        }
        Command::Export(arguments) => export::run(&arguments),
        Command::Init(arguments) => init::run(&arguments),
        Command::Validate(arguments) => validate_files::run(&arguments),
        Command::Schema(_) => print_schema::run(),
        Command::Completions(arguments) => manual::print_completions(&arguments),
        Command::Man(arguments) => manual::write_pages(&arguments),
        Command::CheckTemplate(arguments) => template_check::run(&arguments),
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
        // The reader, such as `head`, has closed the pipe.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(Error::Output),
    }
}
