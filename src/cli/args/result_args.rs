//! The arguments of the commands that read results.

use super::experiment_args::parse_override;
use super::whole_number::count;
use crate::report::Gate;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Write the report of a results folder again, without training.
///
/// The folder must contain the plan.json and runs/ of a sweep. These are not committed: for results from
/// a repository, run the sweep again. The exit code is that of a sweep of all runs, so that a script can
/// test it. Runs that are not finished do not change it. With --format, one form of the report is printed
/// instead, and nothing is written.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  runner report results/ablation
  runner report results/ablation --format pr > comment.md
  runner report results/ablation --check

Exit codes: 0 success, 1 a run failed or diverged, or a file could not be written, 2 the command line or \
the folder has an error, 3 a value that the experiment expects was missed or a claim fails, 4 a claim is \
open. With --format: 0, or 1 or 2 for an error. With --check: 0 the report is up to date, 1 it is not.")]
pub struct Report {
    /// Results folder of one experiment.
    #[arg(value_name = "RESULTS_DIR")]
    pub results: PathBuf,
    /// Template for report.md, instead of the built-in one. The template that an experiment file names
    /// is used by `runner sweep` only.
    #[arg(long, value_name = "FILE")]
    pub template: Option<String>,
    /// Print one form of the report instead of writing its files.
    #[arg(long, value_enum)]
    pub format: Option<ReportFormat>,
    /// Write nothing, and exit with code 1 if the files of the report are not what would be written: if they are
    /// older than the runs, were changed, or are missing.
    #[arg(long, conflicts_with = "format")]
    pub check: bool,
}

/// A form of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// The page as Markdown, as in report.md.
    Md,
    /// The page as HTML, as in report.html.
    Html,
    /// One comment of a pull request, in Markdown, of at most 60,000 characters.
    Pr,
    /// The numbers and verdicts, as in report.json. experiments/report.schema.json describes them.
    Json,
}

/// Compare the results of two sweeps or revisions, and test that they have not become worse.
///
/// Runs are matched by variant and seed. BEFORE and AFTER are results folders, tables of runs (summary.csv), or
/// either in a git revision: main:results/ablation. With --gate, a variant has become worse if the interval of its
/// change lies beyond the tolerance, or if it has lost results because runs failed or diverged. With results that are
/// only absent, it is undecided. Losses per token are undecided if the tokenizer is another one. Results that did not
/// change always pass.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  runner compare main:results/ablation results/ablation
  runner compare main:results/ablation results/ablation --gate 'bits_per_byte: 0.5%'
  runner compare old.csv new.csv --format json

Exit codes: 0 nothing has become worse, 2 the command line or a table has an error, 3 a variant has become \
worse by more than the tolerance, or its runs failed or diverged, 4 undecided, such as \
with absent results, or nothing to compare.")]
pub struct Compare {
    /// The earlier results.
    #[arg(value_name = "BEFORE")]
    pub before: String,
    /// The later results.
    #[arg(value_name = "AFTER")]
    pub after: String,
    /// A metric with the largest acceptable worsening: a number of at least 0 in its unit, or a share of the earlier
    /// mean. It can be given several times.
    #[arg(long = "gate", value_name = "METRIC: TOLERANCE")]
    pub gates: Vec<Gate>,
    /// The format of the output.
    #[arg(long, value_enum, default_value_t = CompareFormat::Md)]
    pub format: CompareFormat,
}

/// The format of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CompareFormat {
    /// A table in Markdown.
    Md,
    Json,
}

/// Score a variant on the test split, after all choices were made on the validation split.
///
/// `data.test_fraction` keeps a test split from all training runs and their evaluations. This command scores the
/// runs of a variant and of the baseline on it, for the seeds with which both are finished. Every use is recorded in
/// test_uses.jsonl, in the folder that contains RESULTS_DIR, and makes the test of the next variant stricter. Another
/// folder begins its own count. The same runs are scored once. A single seed is not scored, because it gives no
/// interval.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  runner confirm results/ablation rope

Exit codes: 0 better than the baseline, 1 a file is damaged or cannot be written, 2 the command line or the folder \
has an error, 3 worse or equivalent, 4 undecided.")]
pub struct Confirm {
    /// Results folder of one experiment.
    #[arg(value_name = "RESULTS_DIR")]
    pub results: PathBuf,
    /// The variant.
    #[arg(value_name = "VARIANT")]
    pub variant: String,
    /// The format of the output.
    #[arg(long, value_enum, default_value_t = ConfirmFormat::Text)]
    pub format: ConfirmFormat,
}

/// The format of a result on the test split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ConfirmFormat {
    Text,
    Json,
}

/// Show how two runs differ: their settings, environments, results and curves.
///
/// It also says up to which step the losses of the runs are identical, bit by bit.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  runner diff gpt-s1 llama-s1
  runner diff results/ablation/runs/gpt-s1-5e0fe8b0 other/ablation/runs/gpt-s1-5e0fe8b0

Exit codes: 0 success, 1 a file of a run is damaged, 2 the command line or a run has an error.")]
pub struct Diff {
    /// The first run: its folder, its name, its variant and seed such as `gpt-s1`, or the beginning of its name. A
    /// path such as `results/ablation/gpt-s1` names a run of one results folder.
    #[arg(value_name = "RUN")]
    pub a: String,
    /// The second run.
    #[arg(value_name = "RUN")]
    pub b: String,
    /// Folder that contains the results folders of all experiments. The runs are searched in it by name.
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub results: PathBuf,
}

/// Check that recorded results are undamaged, and that runs can be reproduced.
///
/// Every file of a run is compared with the digest that the run recorded, and the report with the runs. Checkpoints and
/// test_uses.jsonl in the folder that contains DIR have digests of their own. With
/// --rerun, some finished runs are trained again: all their losses and weights must have the same bits. A
/// folder that was committed has no plan.json and no runs; there, --rerun compares with summary.csv.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  runner verify results/ablation
  runner verify results/ablation --rerun 2
  runner verify results/mine --rerun 1 --experiment experiments/ablation.yaml train.steps=500

Exit codes: 0 all is as recorded, 1 a file is damaged or a run differs, 2 the command line or the folder has \
an error, 4 nothing is wrong, but no run can be trained again: runs whose length is a time, or that were trained on \
a GPU, are not reproducible.")]
#[command(override_usage = "runner verify DIR [PATH=VALUE]... [OPTIONS]")]
pub struct Verify {
    /// Results folder of an experiment, such as results/ablation.
    #[arg(value_name = "DIR")]
    pub results: PathBuf,
    /// Overrides of values in the experiment file, for a folder without plan.json.
    #[arg(value_name = "PATH=VALUE", value_parser = parse_override)]
    pub overrides: Vec<String>,
    /// Train N randomly chosen runs again, and compare every bit.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = count::<usize>, allow_negative_numbers = true)]
    pub rerun: usize,
    /// Seed of the choice of runs. By default, each call chooses other runs.
    #[arg(long, value_name = "SEED", value_parser = count::<u64>, allow_negative_numbers = true)]
    pub seed: Option<u64>,
    /// Experiment file of a folder without plan.json. By default, experiments/NAME.yaml for the folder NAME.
    #[arg(long, value_name = "FILE")]
    pub experiment: Option<PathBuf>,
}

/// Show the runs of a sweep, their curves and the verdicts so far, in a terminal.
///
/// It reads the results folder again and again, so that it can be started and ended at any time, also from another
/// terminal or on a copy of the folder. Without a terminal, it prints the screen once,
/// 120 columns wide and 40 lines high or as the environment variables COLUMNS and LINES say.
#[derive(Debug, Args)]
#[command(after_help = "\
Keys: up and down scroll the runs, left and right choose a variant, q ends.

Example:
  runner watch results/ablation

Exit codes: 0 success, 1 a file cannot be read, 2 the command line or the folder has an error.")]
pub struct Watch {
    /// Results folder of one experiment.
    #[arg(value_name = "RESULTS_DIR")]
    pub results: PathBuf,
}

/// The arguments of the process that renders a template.
#[derive(Debug, Args)]
pub struct CheckTemplate {
    /// Results folder.
    pub results: PathBuf,
    /// Template for report.md.
    pub template: String,
}
