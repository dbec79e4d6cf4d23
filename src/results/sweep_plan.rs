use crate::hash;
use crate::spec::{Experiment, RunSpec};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use std::path::{Component, Path};

/// `plan.json`: every run of a sweep, resolved, with what the report needs besides the records.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SweepPlan {
    /// The experiment as written, overrides applied, defaults filled in.
    pub experiment: Experiment,
    /// Name of the variant that the others are compared with.
    pub baseline: String,
    /// The command that made the plan, as somebody would type it.
    pub command: String,
    /// Version of the runner.
    pub version: String,
    /// SHA-256 of the identities of all the runs, in order.
    pub config_hash: String,
    /// Processor (or GPU), number of cores and operating system, in words.
    pub machine: String,
    /// The distinct corpora of the sweep.
    pub corpora: Vec<CorpusInfo>,
    /// In the order of the file: variants, and within each its seeds.
    pub runs: Vec<PlannedRun>,
}

impl SweepPlan {
    /// Reads the contents of a `plan.json`.
    ///
    /// # Errors
    /// If it is not a plan, if the name of a run is not a plain file name, or if a run refers to a
    /// corpus that is not listed.
    pub fn from_json(json: &[u8]) -> serde_json::Result<Self> {
        let plan: Self = serde_json::from_slice(json)?;
        match plan
            .runs
            .iter()
            .find(|run| run.corpus >= plan.corpora.len())
        {
            Some(run) => Err(serde_json::Error::custom(format!(
                "run {} refers to a corpus that is not listed",
                run.name
            ))),
            None => Ok(plan),
        }
    }
}

/// One run of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedRun {
    /// `<variant>-s<seed>-<hash8>`, also the name of its folder under `runs/`. A plan in which it is
    /// not a plain file name cannot be read, so that no reader leaves the results folder.
    #[serde(deserialize_with = "file_name")]
    pub name: String,
    /// The full identity of which `hash8` is the start.
    pub identity: String,
    /// Index into [`SweepPlan::corpora`].
    pub corpus: usize,
    pub spec: RunSpec,
    pub params: u64,
    /// Parameters without the token and position embeddings.
    pub params_non_embedding: u64,
    /// Forward and backward, the causal half of attention counted once.
    pub flops_per_token: f64,
}

/// A string that is one normal component of a path: not empty, not `..`, without a separator.
fn file_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    let mut components = Path::new(&name).components();
    match (components.next(), components.next()) {
        (Some(Component::Normal(only)), None) if only == name.as_str() => Ok(name),
        _ => Err(D::Error::custom(format!(
            "the run name {name:?} is not a plain file name"
        ))),
    }
}

/// What is known of an encoded corpus. One for each distinct (data, tokenizer) pair.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CorpusInfo {
    /// Name of its folder under `cache/`: a hash of data and tokenizer.
    pub key: String,
    /// The source in words, as the file has it.
    pub source: String,
    /// SHA-256 of the text, in hex.
    pub data_sha256: String,
    /// SHA-256 of its tokenizer.json, in hex: what makes tokens the same.
    #[serde(default)]
    pub tokenizer_sha256: String,
    pub vocab_size: usize,
    pub train_bytes: u64,
    pub val_bytes: u64,
    pub train_tokens: u64,
    /// Tokens of the training split in a sampled encoding, where training has those: an epoch.
    #[serde(default)]
    pub sampled_train_tokens: Option<u64>,
    /// Tokens of the validation split, each of which is scored once (the first from the last
    /// training token).
    pub val_tokens: u64,
    /// Tokens of the validation split that stand in for what the tokenizer does not know.
    pub val_unknown_tokens: u64,
    /// Whether the tokens of the validation split decode to its text. Where they do not, a model is
    /// not scored on all of it.
    #[serde(default = "yes")]
    pub lossless: bool,
    /// Entropy of the source over the validation split, in bits per byte, where it is known: no
    /// model can do better on average.
    pub floor_bits_per_byte: Option<f64>,
    /// Validation loss of the best bigram that counting the training split gives, in nats a token.
    /// `None` where a split is empty.
    pub bigram_count_loss: Option<f64>,
}

/// Tokenizers were without loss on known characters before there was a field to say it.
fn yes() -> bool {
    true
}

impl CorpusInfo {
    /// SHA-256, in hex, of text and tokenizer: of what changes a result besides the configuration.
    pub fn content_sha256(&self) -> String {
        hash::sha256(format!("{} {}", self.data_sha256, self.tokenizer_sha256).as_bytes())
    }

    /// Bytes of the validation split for each of its tokens.
    pub fn bytes_per_token(&self) -> f64 {
        self.val_bytes as f64 / self.val_tokens as f64
    }

    /// Turns a validation loss in nats a token into bits per byte of text.
    pub fn bits_per_byte(&self, nats_per_token: f64) -> f64 {
        nats_per_token * self.val_tokens as f64 / (self.val_bytes as f64 * std::f64::consts::LN_2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_names_that_leave_the_folder_are_rejected() {
        let read = |name: &str| {
            let json = serde_json::to_string(name).unwrap();
            file_name(&mut serde_json::Deserializer::from_str(&json))
        };
        assert_eq!(read("gpt-s1-0a1b2c3d").unwrap(), "gpt-s1-0a1b2c3d");
        for name in ["", ".", "..", "/", "/etc", "../other", "a/b", "a/", "./a"] {
            let error = read(name).unwrap_err().to_string();
            assert!(
                error.contains("is not a plain file name"),
                "{name}: {error}"
            );
        }
    }
}
