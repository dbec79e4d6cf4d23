//! The arguments of `export`.

use super::whole_number::count;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Write the model of a run for other programs.
///
/// The folder gets the weights, the configuration, the tokenizer and a model card. The Python library transformers, from
/// version 5 on, loads it with AutoModelForCausalLM and AutoTokenizer, without code of its own. The logits agree to within rounding,
/// and the tokens are the same. A model that no class of `transformers` has is refused, with the settings in the way.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  runner export gpt-s1 --format huggingface exported/gpt
  runner export results/names/runs/gpt-s1-5e0fe8b0 --step 500 --format huggingface exported/early

Exit codes: 0 success, 1 the folder could not be written, 2 the command line, the run or its files have an \
error, or the format cannot express the model.")]
#[command(override_usage = "runner export RUN DIR --format huggingface [OPTIONS]")]
pub struct Export {
    /// The run: its folder, its name, its variant and seed such as `gpt-s1`, or the beginning of its name.
    /// Runs of the last plan come first.
    #[arg(value_name = "RUN")]
    pub run: String,
    /// The folder to write. It must not exist.
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// What to write.
    #[arg(long, value_enum)]
    pub format: ExportFormat,
    /// Use the weights after this step, which `train.save_every` has saved. The default is the
    /// last step.
    #[arg(long, value_name = "N", value_parser = count::<u64>, allow_negative_numbers = true)]
    pub step: Option<u64>,
    /// Folder that contains the results folders of all experiments. The run is searched in it by name.
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub results: PathBuf,
}

/// A format of other programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// A folder of safetensors and JSON files, for the Python library transformers.
    Huggingface,
}
