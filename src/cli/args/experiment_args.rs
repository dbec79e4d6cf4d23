//! The arguments of `sweep` and `plan`, which take an experiment file.

use super::whole_number::count;
use crate::regular_file::is_absent;
use crate::sweep::{DeviceChoice, Jobs};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Train the runs of an experiment and write its report.
///
/// Finished runs are skipped, and interrupted runs continue from their last checkpoint. After Ctrl-C or
/// a crash, run the same command again: the results are identical to those of an uninterrupted sweep. A
/// run that fails or diverges is reported and does not stop the others.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  runner sweep experiments/ablation.yaml
  runner sweep experiments/ablation.yaml train.steps=500 model.n_layer=1
  runner sweep experiments/ablation.yaml --only 'swiglu*' --jobs 4
  runner sweep experiments/ablation.yaml --format json --exit-verdict rope

Exit codes: 0 success, 1 a run failed or diverged, 2 the command line, the file or its data has an \
error, 3 a value that the experiment expects was missed or a claim fails, 4 a claim is open, 130 \
interrupted.")]
#[command(override_usage = "runner sweep FILE [PATH=VALUE]... [OPTIONS]")]
pub struct Sweep {
    #[command(flatten)]
    pub target: Target,
    /// Number of runs to train at the same time. `auto` takes 1 on a GPU. On the CPU it takes the number
    /// with the earliest estimated end, and divides the cores among the runs. The results do not depend on
    /// it.
    #[arg(
        long,
        value_name = "N|auto",
        default_value = "auto",
        allow_negative_numbers = true
    )]
    pub jobs: Jobs,
    /// Where to train: `cpu`, `cuda`, `cuda:N` or `auto`. `auto` takes a GPU if there is one, else the
    /// CPU.
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: DeviceChoice,
    /// Train failed runs again from their last checkpoint, and diverged runs from the beginning.
    #[arg(long)]
    pub retry_failed: bool,
    /// Train all runs again from the beginning, including finished ones.
    #[arg(long)]
    pub restart: bool,
    /// Show what would be trained, as `runner plan` does, and exit.
    #[arg(long, conflicts_with_all = ["format", "exit_verdict"])]
    pub dry_run: bool,
    /// Seconds between two reports that are written while runs are trained. 0 writes the report at the end only. If a
    /// report takes long to write, the next one waits for at least 50 times as long, so that reports take at most 2 %
    /// of the time.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 15,
        value_parser = count::<u64>,
        allow_negative_numbers = true
    )]
    pub report_every: u64,
    /// What is printed to standard output: the answer and the ranking as text, or one JSON document per line for
    /// each event. The last one has the contents of report.json. experiments/programs.md describes them.
    #[arg(long, value_enum, default_value_t = SweepFormat::Text)]
    pub format: SweepFormat,
    /// Let the exit code be the verdict on this variant: 0 better, 3 worse or equivalent, 4 undecided, 1 if one of
    /// its runs, or of the baseline's, failed or diverged. Claims and expected values do not change it.
    #[arg(long, value_name = "VARIANT")]
    pub exit_verdict: Option<String>,
    /// Former name of `--retry-failed`.
    #[arg(long, hide = true)]
    pub retry: bool,
    /// Former name of `--restart`.
    #[arg(long, hide = true)]
    pub fresh: bool,
}

/// What a sweep prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SweepFormat {
    Text,
    Json,
}

/// Show the runs of an experiment with their size, estimated cost and state.
///
/// Nothing is trained. The data is read and tokenized, because the estimates depend on its length. The
/// time of a run that was stopped, is running, or continues a shorter run is that of the steps that are left.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  runner plan experiments/ablation.yaml
  runner plan experiments/ablation.yaml model.n_layer=8
  runner plan experiments/ablation.yaml --resolved

Exit codes: 0 success, 1 a file could not be written, 2 the command line, the file or its data has an \
error, 3 a value that the experiment expects was missed, such as the number of parameters.")]
#[command(override_usage = "runner plan FILE [PATH=VALUE]... [OPTIONS]")]
pub struct Plan {
    #[command(flatten)]
    pub target: Target,
    /// Number of runs to train at the same time, for the estimate of the total time.
    #[arg(
        long,
        value_name = "N|auto",
        default_value = "auto",
        allow_negative_numbers = true
    )]
    pub jobs: Jobs,
    /// Where the runs would be trained: `auto`, `cpu`, `cuda` or `cuda:N`.
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: DeviceChoice,
    /// Print the experiment as YAML instead, with all defaults, and with the file and line that set each value. The
    /// data is not read.
    #[arg(long)]
    pub resolved: bool,
}

/// Check experiment files.
///
/// The data is not read, so that a hook can check every file before each commit. What depends on other files, such as a
/// text that is too short, is found by `runner plan`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  runner validate experiments/*.yaml

Exit codes: 0 all files are valid, 2 a file has an error.")]
pub struct Validate {
    /// The experiment files.
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
}

/// Write a commented experiment file to start from.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  runner init experiments/first.yaml

Exit codes: 0 success, 1 the file could not be written, 2 there is such a file already.")]
pub struct Init {
    /// The file to write. The experiment gets its name.
    #[arg(value_name = "FILE", default_value = "experiments/first.yaml")]
    pub file: PathBuf,
}

impl From<Sweep> for Plan {
    /// The arguments of the plan that a dry run shows.
    fn from(sweep: Sweep) -> Self {
        Self {
            target: sweep.target,
            jobs: sweep.jobs,
            device: sweep.device,
            resolved: false,
        }
    }
}

/// The experiment, and the selection of its runs.
#[derive(Debug, Args)]
pub struct Target {
    /// The experiment, a YAML file. experiments/README.md describes its keys.
    #[arg(value_name = "FILE", value_parser = parse_file)]
    pub file: Option<PathBuf>,
    /// Overrides of values in the file, such as `train.steps=60`.
    #[arg(value_name = "PATH=VALUE", value_parser = parse_override)]
    pub overrides: Vec<String>,
    /// Folder for the results. Each experiment gets its own folder in it.
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub results: PathBuf,
    /// Select runs by their variant or name, such as 'swiglu*' or '*-s1-*'.
    #[arg(long, value_name = "GLOB")]
    pub only: Option<glob::Pattern>,
}

/// Accepts any path, except for an override in the place of the file.
fn parse_file(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    let is_yaml = path
        .extension()
        .is_some_and(|end| end == "yaml" || end == "yml");
    if parse_override(text).is_ok() && !is_yaml && is_absent(&path) {
        return Err(format!(
            "the experiment file must come before the overrides: FILE {text}"
        ));
    }
    Ok(path)
}

pub(super) fn parse_override(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some((path, _)) if !path.is_empty() => Ok(text.to_owned()),
        _ => Err("expected an override PATH=VALUE, such as train.steps=60".to_owned()),
    }
}
