//! The arguments of every command, and their help.

mod experiment_args;
mod export_args;
mod generate_args;
mod result_args;
mod whole_number;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use std::path::PathBuf;

pub(super) use experiment_args::{Init, Plan, Sweep, SweepFormat, Target, Validate};
pub(super) use export_args::{Export, ExportFormat};
pub(super) use generate_args::Generate;
pub(super) use result_args::{
    CheckTemplate, Compare, CompareFormat, Confirm, ConfirmFormat, Diff, Report, ReportFormat,
    Verify, Watch,
};

const EXIT_CODES: &str = "\
Exit codes:
  0    success
  1    a run failed or diverged (the report says which run and why), or a file could not be written
  2    the command line, the experiment file or its data has an error; nothing was trained
  3    an expected value was missed, by a finished sweep or by a plan, or a claim fails
  4    a claim is open although its runs have ended
  130  interrupted; the same command continues from there

First command to try:
  runner sweep experiments/quickstart.yaml";

/// A declarative experiment runner for small language models.
///
/// A YAML file describes an experiment, such as RMSNorm against LayerNorm at a given model size. One
/// command trains every variant with every seed, and writes a report that compares them with plots.
#[derive(Debug, Parser)]
#[command(name = "runner", version, after_help = EXIT_CODES)]
#[command(arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Sweep(Sweep),
    Plan(Plan),
    Report(Report),
    Compare(Compare),
    Confirm(Confirm),
    Diff(Diff),
    Verify(Verify),
    Watch(Watch),
    Generate(Generate),
    Export(Export),
    Init(Init),
    Validate(Validate),
    Schema(Schema),
    Completions(Completions),
    Man(Man),
    /// Train the run that standard input describes. Used by `runner sweep` only.
    #[command(hide = true)]
    Worker,
    /// Write the report of a results folder with limits on memory and time. Used for templates only.
    #[command(hide = true)]
    CheckTemplate(CheckTemplate),
}

/// Print the JSON Schema of experiment files, for completion and checks in an editor.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  runner schema > experiments/schema.json

An editor with a YAML language server then completes and checks every experiment file that starts with
  # yaml-language-server: $schema=schema.json")]
pub struct Schema {}

/// Print completions of commands and options for a shell.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  runner completions bash > ~/.local/share/bash-completion/completions/runner
  runner completions zsh > ~/.zfunc/_runner
  runner completions fish > ~/.config/fish/completions/runner.fish")]
pub struct Completions {
    /// The shell.
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// Write the manual as pages for `man`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  runner man ~/.local/share/man/man1")]
pub struct Man {
    /// Folder for the pages, one for each command.
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep::Jobs;
    use clap::CommandFactory;

    #[test]
    fn definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_can_follow_overrides() {
        let cli = Cli::try_parse_from([
            "runner",
            "sweep",
            "a.yaml",
            "train.steps=5",
            "--jobs",
            "2",
            "model.norm=rmsnorm",
        ]);
        let Command::Sweep(sweep) = cli.unwrap().command else {
            panic!("not a sweep");
        };
        assert_eq!(
            sweep.target.overrides,
            ["train.steps=5", "model.norm=rmsnorm"]
        );
        assert_eq!(sweep.jobs, Jobs::Exactly(2));
    }
}
