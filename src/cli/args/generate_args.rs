//! The arguments of `generate`.

use super::whole_number::count;
use crate::config;
use clap::Args;
use std::path::PathBuf;
use std::str::FromStr;

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
    #[arg(long, value_name = "N", value_parser = count::<u64>, allow_negative_numbers = true)]
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
    #[arg(long, value_name = "SEED", value_parser = count::<u64>, allow_negative_numbers = true)]
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
