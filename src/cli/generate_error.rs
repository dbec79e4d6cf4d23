use super::find_run::lines;
use crate::data::DataError;
use crate::model::WeightsError;
use crate::results::RecordError;
use dfdx::prelude::CpuError;
use std::io;
use std::path::PathBuf;

/// Why no text was generated.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// A pattern that the shell has replaced by several paths, or two names.
    #[error("`runner generate` takes one run, and the command has {}:{}", .0.len(), lines(.0))]
    SeveralRuns(Vec<String>),
    #[error("{0}{DAMAGED}")]
    Record(#[from] RecordError),
    #[error("{} has no model: the run {state}", folder.display())]
    NoModel { folder: PathBuf, state: String },
    #[error(
        "the counts of an n-gram model are not saved, so it cannot generate text later; its texts are in {}", .0.display()
    )]
    Ngram(PathBuf),
    #[error(
        "the weights after step {step} of {} were not saved\n{}",
        folder.display(),
        describe_saved(saved)
    )]
    NotSaved {
        folder: PathBuf,
        step: u64,
        saved: Vec<u64>,
    },
    #[error("{0}{DAMAGED}")]
    Weights(WeightsError),
    #[error("{0}{DAMAGED}")]
    Tokenizer(DataError),
    #[error("the prompt cannot be encoded: {0}")]
    Prompt(DataError),
    #[error(
        "the model can never write the stop string: its tokenizer has no token for {}",
        quoted(.0)
    )]
    Stop(Vec<char>),
    #[error("cannot read the prompt from standard input: {0}")]
    Stdin(io::Error),
    #[error("not enough memory for the model: {0}")]
    Memory(#[from] CpuError),
}

/// Help for a file of a run that cannot be read.
const DAMAGED: &str = "\nthe file is damaged, or another version of runner has written it; \
    `runner sweep` with --restart trains the run again";

/// The characters of a stop string.
fn quoted(characters: &[char]) -> String {
    let quoted: Vec<String> = characters.iter().map(|c| format!("{c:?}")).collect();
    quoted.join(", ")
}

fn describe_saved(steps: &[u64]) -> String {
    let how = "`train.save_every` saves the weights of more steps; a finished run must be trained \
               again with --restart";
    if steps.is_empty() {
        return how.to_owned();
    }
    let steps: Vec<String> = steps.iter().map(u64::to_string).collect();
    format!("saved steps: {}; {how}", steps.join(", "))
}
