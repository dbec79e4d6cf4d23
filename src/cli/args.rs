//! What can be typed on the command line, and the help that explains it.

use crate::config;
use crate::sweep::{DeviceChoice, Jobs};
use clap::{Args, Parser, Subcommand};
use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;

const EXIT_CODES: &str = "\
Exit codes:
  0    all well
  1    a run failed or diverged (the report says which and why), or a result could not be written
  2    the command line, the experiment file or its data is at fault; nothing was trained
  3    a figure that the experiment expects was missed (the report says which)
  130  interrupted; the same command goes on from there

Start with:
  runner sweep experiments/quickstart.yaml";

/// A declarative experiment runner for small language models.
///
/// One YAML file asks a question (is RMSNorm as good as LayerNorm at this size?). One command trains
/// every variant with every seed and writes the answer as a report with plots.
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
    Generate(Generate),
    Schema(Schema),
    /// Trains the one run that standard input describes.
    #[command(hide = true)]
    Worker,
}

/// Train every run of an experiment that is not done yet, and write its report.
///
/// Runs that are done are skipped, and those that were interrupted go on where they were: stop a
/// sweep with Ctrl-C (or lose the machine), type the same command again, and the result is the same
/// to the bit. A run that fails or diverges is reported as such and does not stop the others.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  runner sweep experiments/ablation.yaml
  runner sweep experiments/ablation.yaml train.steps=50 model.norm=rmsnorm
  runner sweep experiments/ablation.yaml --only 'swiglu*' --jobs 4

Exit codes: 0 all well, 1 a run failed or diverged, 2 the command line, the file or its data is at \
fault, 3 a figure that the experiment expects was missed, 130 interrupted.")]
#[command(override_usage = "runner sweep FILE [PATH=VALUE]... [OPTIONS]")]
pub struct Sweep {
    #[command(flatten)]
    pub target: Target,
    /// Runs trained at the same time, or `auto`: on the CPU what ends soonest by the estimates of
    /// `runner plan` (many runs with a thread each, or fewer with several), one on a GPU. Changes the
    /// time that a sweep takes and nothing else.
    #[arg(long, value_name = "N|auto", default_value = "auto")]
    pub jobs: Jobs,
    /// Where to train: `cpu`, `cuda`, `cuda:N`, or `auto`: a GPU where one answers, else the CPU.
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: DeviceChoice,
    /// Train failed and diverged runs again from the beginning.
    #[arg(long)]
    pub retry_failed: bool,
    /// Train all runs again from the beginning, including finished ones.
    #[arg(long)]
    pub restart: bool,
    /// Show what would be trained, as `runner plan` does, and stop.
    #[arg(long)]
    pub dry_run: bool,
}

/// Show the runs of an experiment, with their size, their cost and what is done already.
///
/// Nothing is trained. The text is read and encoded, as its length decides the estimates.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  runner plan experiments/ablation.yaml
  runner plan experiments/ablation.yaml model.n_layer=8")]
#[command(override_usage = "runner plan FILE [PATH=VALUE]... [OPTIONS]")]
pub struct Plan {
    #[command(flatten)]
    pub target: Target,
    /// Runs trained at the same time, for the estimate of the total.
    #[arg(long, value_name = "N|auto", default_value = "auto")]
    pub jobs: Jobs,
    /// Where it would be trained: `auto`, `cpu`, `cuda` or `cuda:N`.
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: DeviceChoice,
}

impl From<Sweep> for Plan {
    /// What a dry run shows.
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
/// The folder must have its plan.json and runs/ as a sweep left them. Results that come from a
/// repository have neither: run the sweep again instead.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  runner report results/ablation")]
pub struct Report {
    /// Folder of one experiment, as a sweep left it.
    #[arg(value_name = "RESULTS_DIR")]
    pub results: PathBuf,
    /// Template for `report.md`, instead of the built-in one. A template that the experiment names is
    /// used by `runner sweep` only.
    #[arg(long, value_name = "FILE")]
    pub template: Option<String>,
}

/// Draw text from the model of a run.
///
/// The text is shown as it is drawn, the prompt first. Whatever is not said here is as the run's
/// experiment has it under `sample`: with no option at all this draws the text of the run's
/// samples.md again. The same run, options and seed give the same text. It runs on the CPU.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  runner generate swiglu-s1
  runner generate gpt-s1 --prompt 'Enter ' --tokens 500 --top-k all --top-p 0.9
  runner generate results/names/runs/gpt-s1-5e0fe8b0 --num 20 --stop $'\\n'
  echo 'To be' | runner generate gpt-s1 --prompt - --temperature 0

Exit codes: 0 all well, 1 the text could not be written, 2 the command line, the run or its files \
are at fault.")]
pub struct Generate {
    /// The run: its folder, its name, or as much of its name as no other run begins with.
    #[arg(value_name = "RUN")]
    pub run: String,
    /// Folder that holds a folder of results for each experiment, where the run is looked for by
    /// its name.
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub results: PathBuf,
    /// Draw from the weights after this step, which `train.keep_weights_every` has kept; the last by
    /// default.
    #[arg(long, value_name = "N")]
    pub step: Option<u64>,
    /// Text to go on with; `-` reads it from standard input.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub prompt: Option<String>,
    /// Number of tokens to draw.
    #[arg(long, value_name = "N", value_parser = number::<usize>("tokens"), allow_negative_numbers = true)]
    pub tokens: Option<usize>,
    /// Divides the logits: below 1 is safer, above 1 is wilder, 0 takes the likeliest token.
    #[arg(long, value_name = "T", value_parser = number::<f32>("temperature"), allow_negative_numbers = true)]
    pub temperature: Option<f32>,
    /// Draw from the K likeliest tokens alone, or from all.
    #[arg(long, value_name = "K|all", allow_negative_numbers = true)]
    pub top_k: Option<TopK>,
    /// Draw from the fewest likeliest tokens whose probabilities add up to P; 1 draws from all.
    #[arg(long, value_name = "P", value_parser = number::<f32>("top_p"), allow_negative_numbers = true)]
    pub top_p: Option<f32>,
    /// Draw from tokens at least P times as likely as the likeliest; 0 draws from all.
    #[arg(long, value_name = "P", value_parser = number::<f32>("min_p"), allow_negative_numbers = true)]
    pub min_p: Option<f32>,
    /// Divides the logits of tokens that are in the text already: above 1 repeats less, 1 changes
    /// nothing.
    #[arg(long, value_name = "R", value_parser = number::<f32>("repetition_penalty"), allow_negative_numbers = true)]
    pub repetition_penalty: Option<f32>,
    /// Seed of the draws; that of the run by default.
    #[arg(long, value_name = "SEED")]
    pub seed: Option<u64>,
    /// Number of texts, each drawn with random numbers of its own.
    #[arg(long, value_name = "N", value_parser = number::<usize>("num"), allow_negative_numbers = true)]
    pub num: Option<usize>,
    /// End a text where the model writes this. An empty TEXT undoes that of the experiment.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub stop: Option<String>,
}

/// How many of the likeliest tokens to draw from.
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

/// Parses a number that has the range of the key of this name under `sample`.
fn number<T>(key: &'static str) -> impl Fn(&str) -> Result<T, String> + Clone
where
    T: FromStr<Err: Display>,
{
    move |text| {
        let number: T = text.parse().map_err(|error: T::Err| error.to_string())?;
        // The range of an integer is in `f64`, as all ranges are; what fits the type parses as it.
        let value: f64 = text.parse().map_err(|error| format!("{error}"))?;
        match config::out_of_range(&format!("sample.{key}"), value) {
            Some(range) => Err(format!("must be {range}")),
            None => Ok(number),
        }
    }
}

/// Print the JSON Schema of an experiment file, for completion and checks in an editor.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  runner schema > experiments/schema.json

An experiment whose first line is
  # yaml-language-server: $schema=schema.json
is then completed and checked as it is typed.")]
pub struct Schema {}

/// The experiment, and the part of it that is meant.
#[derive(Debug, Args)]
pub struct Target {
    /// The experiment, a YAML file (its fields: experiments/README.md).
    #[arg(value_name = "FILE", value_parser = parse_file)]
    pub file: Option<PathBuf>,
    /// Values that replace those of the file, such as `train.steps=50`.
    #[arg(value_name = "PATH=VALUE", value_parser = parse_override)]
    pub overrides: Vec<String>,
    /// Folder that holds a folder of results for each experiment.
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub results: PathBuf,
    /// The runs to look at: those whose variant or name matches, such as 'swiglu*' or '*-s1-*'.
    #[arg(long, value_name = "GLOB")]
    pub only: Option<glob::Pattern>,
}

/// Any path, but not what can only be an override that is in its place.
fn parse_file(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    let is_yaml = path
        .extension()
        .is_some_and(|end| end == "yaml" || end == "yml");
    if parse_override(text).is_ok() && !is_yaml && !path.exists() {
        return Err(format!(
            "the experiment file comes first and overrides follow it: FILE {text}"
        ));
    }
    Ok(path)
}

fn parse_override(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some((path, _)) if !path.is_empty() => Ok(text.to_owned()),
        _ => Err("an override is written path=value, as in train.steps=50".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn is_a_consistent_definition() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_may_follow_overrides() {
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
