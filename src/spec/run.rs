use super::{Data, Model, Optimizer, Sample, Tokenizer, Train};
use crate::hash::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Raised when a change to the code changes the result of an unchanged configuration, so that no
/// run of before is taken for one of after.
const FORMAT_VERSION: u32 = 1;

/// One run, complete: nothing about it is decided later.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunSpec {
    /// Name of the variant.
    pub variant: String,
    /// Seed of every random stream of the run.
    pub seed: u64,
    pub data: Data,
    pub tokenizer: Tokenizer,
    pub model: Model,
    pub optimizer: Optimizer,
    pub train: Train,
    pub sample: Sample,
}

impl RunSpec {
    /// Tokens in a sequence, in training and in evaluation.
    pub fn sequence_length(&self) -> usize {
        self.train.sequence_length.unwrap_or(self.model.block_size)
    }

    /// Training tokens of one optimizer step.
    pub fn tokens_per_step(&self) -> u64 {
        (self.train.sequences_per_step() as u64).saturating_mul(self.sequence_length() as u64)
    }

    /// SHA-256, in hex, of what changes the result of the run: the configuration, the content of the
    /// files it names (of which `content_sha256` is a hash) and the format version. The variant's
    /// name, where the files lie and how often the run is saved are not among it.
    pub fn identity(&self, content_sha256: &str) -> String {
        let mut config = self.clone();
        config.variant.clear();
        config.data = Data {
            val_fraction: self.data.val_fraction,
            ..Data::default()
        };
        config.tokenizer.path = None;
        config.train.checkpoint_every = 1;
        let json = serde_json::to_string(&config).expect("a spec has string keys only");
        let mut hash = Sha256::new();
        hash.update(FORMAT_VERSION.to_le_bytes());
        hash.update(content_sha256);
        hash.update(json);
        hex(&hash.finalize())
    }

    /// Name of the run and of its folder: `<variant>-s<seed>-<first 8 of the identity>`.
    pub fn run_name(&self, content_sha256: &str) -> String {
        format!(
            "{}-s{}-{}",
            self.variant,
            self.seed,
            &self.identity(content_sha256)[..8]
        )
    }
}
