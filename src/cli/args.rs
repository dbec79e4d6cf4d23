//! The arguments of every command, and their help.

use crate::config;
use crate::report::Gate;
use crate::sweep::{DeviceChoice, Jobs};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::str::FromStr;

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
    Verify(Verify),
    Generate(Generate),
    Schema(Schema),
    /// Train the run that standard input describes. Used by `runner sweep` only.
    #[command(hide = true)]
    Worker,
    /// Write the report of a results folder with limits on memory and time. Used for templates only.
    #[command(hide = true)]
    CheckTemplate(CheckTemplate),
}

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
    #[arg(long)]
    pub dry_run: bool,
    /// Former name of `--retry-failed`.
    #[arg(long, hide = true)]
    pub retry: bool,
    /// Former name of `--restart`.
    #[arg(long, hide = true)]
    pub fresh: bool,
}

/// Show the runs of an experiment with their size, estimated cost and state.
///
/// Nothing is trained. The data is read and tokenized, because the estimates depend on its length.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  runner plan experiments/ablation.yaml
  runner plan experiments/ablation.yaml model.n_layer=8

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
}

impl From<Sweep> for Plan {
    /// The arguments of the plan that a dry run shows.
    fn from(sweep: Sweep) -> Self {
        Self {
            target: sweep.target,
            jobs: sweep.jobs,
            device: sweep.device,
        }
    }
}

/// Write the report of a results folder again, without training.
///
/// The folder must contain the plan.json and runs/ of a sweep. These are not committed: for results from
/// a repository, run the sweep again. The exit code is that of a sweep of all runs, so that a script can
/// test it. Runs that are not finished do not change it.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  runner report results/ablation

Exit codes: 0 success, 1 a run failed or diverged, or a file could not be written, 2 the command line or \
the folder has an error, 3 a value that the experiment expects was missed or a claim fails, 4 a claim is \
open.")]
pub struct Report {
    /// Results folder of one experiment.
    #[arg(value_name = "RESULTS_DIR")]
    pub results: PathBuf,
    /// Template for report.md, instead of the built-in one. The template that an experiment file names
    /// is used by `runner sweep` only.
    #[arg(long, value_name = "FILE")]
    pub template: Option<String>,
}

/// Compare the results of two sweeps or revisions, and test that they have not become worse.
///
/// Runs are matched by variant and seed. BEFORE and AFTER are results folders, tables of runs (summary.csv), or
/// either in a git revision: main:results/ablation. With --gate, a variant has become worse if the interval of its
/// change lies beyond the tolerance. Results that did not change always pass.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  runner compare main:results/ablation results/ablation
  runner compare main:results/ablation results/ablation --gate 'bits_per_byte: 0.5%'
  runner compare old.csv new.csv --format json

Exit codes: 0 nothing has become worse, 2 the command line or a table has an error, 3 a variant has become \
worse by more than the tolerance, 4 undecided, or nothing to compare.")]
pub struct Compare {
    /// The earlier results.
    #[arg(value_name = "BEFORE")]
    pub before: String,
    /// The later results.
    #[arg(value_name = "AFTER")]
    pub after: String,
    /// A metric with the largest acceptable worsening: a number in its unit, or a share of the earlier mean. It can
    /// be given several times.
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

/// Check that recorded results are undamaged, and that runs can be reproduced.
///
/// Every file of a run is compared with the digest that the run recorded, and the report with the runs. With
/// --rerun, some finished runs are trained again: all their losses and weights must have the same bits. A
/// folder that was committed has no plan.json and no runs; there, --rerun compares with summary.csv.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  runner verify results/ablation
  runner verify results/ablation --rerun 2
  runner verify results/mine --rerun 1 --experiment experiments/ablation.yaml train.steps=500

Exit codes: 0 all is as recorded, 1 a file is damaged or a run differs, 2 the command line or the folder has \
an error.")]
#[command(override_usage = "runner verify DIR [PATH=VALUE]... [OPTIONS]")]
pub struct Verify {
    /// Results folder of an experiment, such as results/ablation.
    #[arg(value_name = "DIR")]
    pub results: PathBuf,
    /// Overrides of values in the experiment file, for a folder without plan.json.
    #[arg(value_name = "PATH=VALUE", value_parser = parse_override)]
    pub overrides: Vec<String>,
    /// Train N randomly chosen runs again, and compare every bit.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub rerun: usize,
    /// Seed of the choice of runs. By default, each call chooses other runs.
    #[arg(long, value_name = "SEED")]
    pub seed: Option<u64>,
    /// Experiment file of a folder without plan.json. By default, experiments/NAME.yaml for the folder NAME.
    #[arg(long, value_name = "FILE")]
    pub experiment: Option<PathBuf>,
}

/// The arguments of the process that renders a template.
#[derive(Debug, Args)]
pub struct CheckTemplate {
    /// Results folder.
    pub results: PathBuf,
    /// Template for report.md.
    pub template: String,
}

/// Generate text from the model of a run.
///
/// The prompt and the text are printed while the text is generated. The defaults of the options are the
/// values under `sample` in the run's experiment: without options, the command prints the samples at the
/// end of the run's samples.md again. The same run, options and seed give the same text. It runs on the CPU.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  runner generate swiglu-s1
  runner generate gpt-s1 --prompt 'Enter ' --tokens 500 --top-k all --top-p 0.9
  runner generate results/names/runs/gpt-s1-5e0fe8b0 --num-samples 20 --stop $'\\n'
  echo 'To be' | runner generate gpt-s1 --prompt - --temperature 0

Exit codes: 0 success, 1 the text could not be written, 2 the command line, the run or its files have \
an error.")]
#[command(override_usage = "runner generate RUN [OPTIONS]")]
pub struct Generate {
    /// The run: its folder, its name, its variant and seed such as `gpt-s1`, or the beginning of its name.
    /// Runs of the last plan come first.
    #[arg(value_name = "RUN")]
    pub run: String,
    /// More runs, as a shell gives them for a pattern. They are an error that names them all.
    #[arg(hide = true)]
    pub more_runs: Vec<String>,
    /// Folder that contains the results folders of all experiments. The run is searched in it by name.
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub results: PathBuf,
    /// Use the weights after this step, which `train.save_every` has saved. The default is the
    /// last step.
    #[arg(long, value_name = "N", value_parser = parse_u64, allow_negative_numbers = true)]
    pub step: Option<u64>,
    /// Text to continue. `-` reads it from standard input.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub prompt: Option<String>,
    /// Number of tokens to generate.
    #[arg(long, value_name = "N", value_parser = number::<usize>("tokens"), allow_negative_numbers = true)]
    pub tokens: Option<usize>,
    /// Sampling temperature: the logits are divided by it. 0 always takes the most likely token.
    #[arg(long, value_name = "T", value_parser = number::<f32>("temperature"), allow_negative_numbers = true)]
    pub temperature: Option<f32>,
    /// Sample from the K most likely tokens only, or from `all`.
    #[arg(long, value_name = "K|all", allow_negative_numbers = true)]
    pub top_k: Option<TopK>,
    /// Sample from the smallest set of most likely tokens whose probabilities add up to P (nucleus
    /// sampling). 1 samples from all.
    #[arg(long, value_name = "P", value_parser = number::<f32>("top_p"), allow_negative_numbers = true)]
    pub top_p: Option<f32>,
    /// Sample from tokens whose probability is at least P times that of the most likely token. 0 samples
    /// from all.
    #[arg(long, value_name = "P", value_parser = number::<f32>("min_p"), allow_negative_numbers = true)]
    pub min_p: Option<f32>,
    /// Penalty for tokens that are in the text already: their positive logits are divided by it
    /// and their negative logits are multiplied by it. Above 1 there is less repetition. 1 has no effect.
    #[arg(long, value_name = "R", value_parser = number::<f32>("repetition_penalty"), allow_negative_numbers = true)]
    pub repetition_penalty: Option<f32>,
    /// Random seed. The default is the seed of the run.
    #[arg(long, value_name = "SEED", value_parser = parse_u64, allow_negative_numbers = true)]
    pub seed: Option<u64>,
    /// Number of texts to generate. Each has its own random numbers.
    #[arg(long, value_name = "N", value_parser = number::<usize>("num_samples"), allow_negative_numbers = true)]
    pub num_samples: Option<usize>,
    /// End a text before this string.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, value_parser = parse_stop)]
    pub stop: Option<String>,
    /// Ignore the stop string of the experiment.
    #[arg(long, conflicts_with = "stop")]
    pub no_stop: bool,
    /// Former name of `--num-samples`.
    #[arg(
        long, hide = true, conflicts_with = "num_samples", value_name = "N",
        value_parser = number::<usize>("num_samples"), allow_negative_numbers = true
    )]
    pub num: Option<usize>,
}

/// Number of most likely tokens to sample from. `None` means all tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopK(pub Option<usize>);

impl FromStr for TopK {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "all" => Ok(Self(None)),
            _ => number("top_k")(text).map(|k| Self(Some(k))),
        }
    }
}

fn parse_u64(text: &str) -> Result<u64, String> {
    let expected = || format!("expected an integer from 0 to {}", u64::MAX);
    text.parse().map_err(|_| expected())
}

/// Every text ends before an empty string, so none would be written.
fn parse_stop(text: &str) -> Result<String, String> {
    match text {
        "" => Err(
            "the stop string must not be empty; `--no-stop` ignores that of the experiment"
                .to_owned(),
        ),
        _ => Ok(text.to_owned()),
    }
}

/// Parses a number. Its range is that of the key of this name under `sample` in an experiment.
fn number<T: FromStr>(key: &'static str) -> impl Fn(&str) -> Result<T, String> + Clone {
    move |text| {
        // All ranges are in `f64`, also those of integers.
        let value: f64 = text.parse().map_err(|_| "expected a number".to_owned())?;
        match config::out_of_range(&format!("sample.{key}"), value) {
            Some(range) => Err(format!("must be {range}")),
            None => text.parse().map_err(|_| "expected an integer".to_owned()),
        }
    }
}

/// Print the JSON Schema of experiment files, for completion and checks in an editor.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  runner schema > experiments/schema.json

An editor with a YAML language server then completes and checks every experiment file that starts with
  # yaml-language-server: $schema=schema.json")]
pub struct Schema {}

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
    if parse_override(text).is_ok() && !is_yaml && !path.exists() {
        return Err(format!(
            "the experiment file must come before the overrides: FILE {text}"
        ));
    }
    Ok(path)
}

fn parse_override(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some((path, _)) if !path.is_empty() => Ok(text.to_owned()),
        _ => Err("expected an override PATH=VALUE, such as train.steps=60".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
