use super::EarlierDesign;
use super::sealed_json::{SealError, Sealed, from_sealed_json};
use crate::hash;
use crate::spec::{Experiment, RunPart, RunSpec, TunedRun};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use std::path::{Component, Path};

/// The contents of `plan.json`: every run of a sweep with its full configuration, and what a report needs
/// besides the files of the runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SweepPlan {
    /// The experiment with overrides applied and defaults filled in.
    pub experiment: Experiment,
    /// Name of the variant that the others are compared with.
    pub baseline: String,
    /// How earlier plans in this folder compared their variants, if runs had ended, oldest first. They may have
    /// other variants than this plan.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<EarlierDesign>,
    /// How each variant but the baseline was matched to it, in the order of the file. Empty without
    /// `sweep.match`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub matched: Vec<MatchedVariant>,
    /// The command that made the plan, as it is typed in a shell.
    pub command: String,
    /// Version of `runner`.
    pub version: String,
    /// SHA-256 of the identities of all the runs, in order.
    pub config_hash: String,
    /// One line with GPU (if it is used), processor, number of cores and operating system.
    pub machine: String,
    /// The distinct corpora of the sweep.
    pub corpora: Vec<CorpusInfo>,
    /// In the order of the file: variants, within each the combinations of its search, and within each
    /// combination the seeds of the search and then those of the comparison. Without a search, a variant
    /// has only its seeds, of each size if there are several.
    pub runs: Vec<PlannedRun>,
}

impl SweepPlan {
    /// Number of sizes at which the variants are trained, 1 without `sweep.scale`.
    pub fn sizes(&self) -> usize {
        let sweep = self.experiment.sweep.as_ref();
        let scale = sweep.and_then(|sweep| sweep.scale.as_ref());
        scale.map_or(1, |scale| scale.sizes.len().max(1))
    }

    /// Reads the contents of a `plan.json`.
    ///
    /// # Errors
    /// If it is damaged or not a plan, if the name of a run is not a plain file name, if a run refers to a
    /// corpus that is not listed. The configurations are not checked.
    pub fn from_json(json: &[u8]) -> Result<Sealed<Self>, SealError> {
        let plan: Sealed<Self> = from_sealed_json(json)?;
        let corpora = plan.value.corpora.len();
        match plan.value.runs.iter().find(|run| run.corpus >= corpora) {
            Some(run) => Err(SealError::Json(serde_json::Error::custom(format!(
                "run {} refers to a corpus that is not listed",
                run.name
            )))),
            None => Ok(plan),
        }
    }
}

/// How a variant was matched to the baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MatchedVariant {
    /// Name of the variant.
    pub variant: String,
    /// `None` for a variant that is not matched, because it is of another kind of model.
    pub chosen: Option<ChosenValue>,
}

/// The value of a setting that matches a variant to the baseline.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ChosenValue {
    pub value: u64,
    /// The difference from the baseline that remains, as a share of the baseline's quantity.
    pub mismatch: f64,
}

/// One run of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedRun {
    /// `<variant>-s<seed>-<hash8>`, also the name of its folder under `runs/`. A plan in which it is
    /// not a plain file name cannot be read, so that no reader leaves the results folder.
    #[serde(deserialize_with = "file_name")]
    pub name: String,
    /// Hash of everything that changes the result. It starts with `hash8`.
    pub identity: String,
    /// Index into [`SweepPlan::corpora`].
    pub corpus: usize,
    pub spec: RunSpec,
    pub params: u64,
    /// Parameters without the token and position embeddings.
    pub params_non_embedding: u64,
    /// FLOPs of forward and backward pass per token. Of attention, only the causal half counts.
    pub flops_per_token: f64,
    /// Its part in an experiment that tunes its variants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tuned: Option<TunedRun>,
    /// Index in `sweep.scale.sizes`, if it is not the largest size. Such a run shows how a difference changes with
    /// size, and is not part of the comparison.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smaller_size: Option<usize>,
}

impl PlannedRun {
    /// Whether it compares its variant: it belongs neither to a search nor to a smaller size.
    pub fn is_compared(&self) -> bool {
        !self.is_search() && self.smaller_size.is_none()
    }

    /// Its part in the experiment.
    pub fn part(&self) -> RunPart {
        RunPart {
            tuned: self.tuned,
            smaller_size: self.smaller_size,
        }
    }

    /// Its name, and its size if that is not the largest.
    pub fn title(&self) -> String {
        match self.smaller_size {
            None => self.name.clone(),
            Some(size) => format!("{} (size {})", self.name, size.saturating_add(1)),
        }
    }

    /// FLOPs of one optimizer step.
    pub fn flops_per_step(&self) -> f64 {
        self.flops_per_token * self.spec.tokens_per_step() as f64
    }

    /// Whether it belongs to the search for the best settings of its variant. That such a run diverges is a
    /// result: its settings are not the best.
    pub fn is_search(&self) -> bool {
        self.tuned.is_some_and(|tuned| tuned.is_search)
    }
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

/// Facts about a tokenized corpus. There is one for each distinct (data, tokenizer) pair.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CorpusInfo {
    /// Name of its folder under `cache/`: a hash of data and tokenizer.
    pub key: String,
    /// The source as the experiment file names it.
    pub source: String,
    /// SHA-256 of the text, in hex.
    pub data_sha256: String,
    /// SHA-256 that identifies its tokenizer, in hex.
    #[serde(default)]
    pub tokenizer_sha256: String,
    pub vocab_size: usize,
    pub train_bytes: u64,
    pub val_bytes: u64,
    pub train_tokens: u64,
    /// Tokens of one epoch, if training samples its encodings (subword regularization).
    #[serde(default)]
    pub sampled_train_tokens: Option<u64>,
    /// Tokens of the validation split. Each is scored once, the first of them after the last training
    /// token.
    pub val_tokens: u64,
    /// Unknown tokens in the validation split.
    pub val_unknown_tokens: u64,
    /// Whether the tokens of the validation split decode to its text. If they do not, a model is not
    /// scored on all of the text.
    #[serde(default = "yes")]
    pub lossless: bool,
    /// Whether lines of the text end with `\r\n`. Earlier versions did not record it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_carriage_returns: bool,
    /// Entropy of the source over the validation split, in bits per byte, if it is known. It is a lower
    /// bound for the mean loss of every model.
    pub floor_bits_per_byte: Option<f64>,
    /// Validation loss of the best bigram model that is counted on the training split, in nats per token.
    /// `None` if a split is empty.
    pub bigram_count_loss: Option<f64>,
}

/// The default of [`CorpusInfo::lossless`] in old plans, whose tokenizers were all lossless.
fn yes() -> bool {
    true
}

impl CorpusInfo {
    /// SHA-256 of text and tokenizer, in hex. Together with the configuration it decides the result.
    pub fn content_sha256(&self) -> String {
        hash::sha256(format!("{} {}", self.data_sha256, self.tokenizer_sha256).as_bytes())
    }

    /// Mean number of bytes per token in the validation split.
    pub fn bytes_per_token(&self) -> f64 {
        self.val_bytes as f64 / self.val_tokens as f64
    }

    /// Converts a validation loss from nats per token to bits per byte.
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
