use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the text becomes tokens. Tokenizers are trained on the training split only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Tokenizer {
    /// The kind of tokenizer.
    pub kind: TokenizerKind,
    /// Number of tokens of a trained tokenizer (`bpe`). `char` and `byte` need none: `char` has one
    /// for each character of the training split, and one more for unknown characters where the
    /// validation split has any; `byte` has 256.
    #[schemars(range(min = 257, max = 1_000_000))]
    pub vocab_size: usize,
}

impl Default for Tokenizer {
    fn default() -> Self {
        Self {
            kind: TokenizerKind::Char,
            vocab_size: 512,
        }
    }
}

/// The kind of tokenizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenizerKind {
    /// One token a character.
    Char,
    /// One token a byte of UTF-8.
    Byte,
    /// Byte-level byte-pair encoding with `vocab_size` tokens (Sennrich et al. 2016; GPT-2, section
    /// 2.2), without loss on any text.
    Bpe,
}
