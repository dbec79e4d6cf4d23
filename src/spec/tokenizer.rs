use super::Choice;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How the text is divided into tokens. A tokenizer is trained on the training split only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Tokenizer {
    /// The kind of tokenizer.
    pub kind: TokenizerKind,
    /// Vocabulary size of a trained tokenizer. It includes the single characters (`wordpiece`,
    /// `unigram`) or the 256 single bytes (`bpe`). The size of other kinds is fixed: `byte` has 256
    /// tokens; `char` has one for each character of the training split, and one for unknown characters
    /// if the validation split has any.
    #[schemars(range(min = 2, max = 1_000_000))]
    pub vocab_size: usize,
    /// Subword regularization (Kudo 2018, section 3.3): in each epoch, a new segmentation of the training
    /// text is sampled, with probabilities raised to this power. 0 makes all segmentations equally
    /// likely; 1 uses the probabilities of the model. `null` always uses the likeliest segmentation.
    /// Evaluation always does.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub alpha: Option<f64>,
    /// Number of likeliest segmentations of a word from which `alpha` samples. `null` means all.
    #[schemars(range(min = 2, max = 1000))]
    pub nbest: Option<usize>,
    /// BPE-dropout (Provilkov et al. 2020): probability of skipping a merge in the training text, sampled
    /// again in each epoch. Evaluation skips none.
    #[schemars(range(min = 0.0, max = 0.99))]
    pub dropout: f64,
    /// The published encoding, by its name in tiktoken.
    pub encoding: Encoding,
    /// Path of a `tokenizer.json` of the Hugging Face tokenizers library, relative to the current
    /// folder. If it normalizes text or drops white space, it is lossy, and the report says so. A model
    /// with `dropout` is refused, because it would encode the validation split at random.
    #[schemars(length(min = 1))]
    pub path: Option<String>,
}

impl Default for Tokenizer {
    fn default() -> Self {
        Self {
            kind: TokenizerKind::Char,
            vocab_size: 512,
            alpha: None,
            nbest: None,
            dropout: 0.0,
            encoding: Encoding::Gpt2,
            path: None,
        }
    }
}

impl fmt::Display for Tokenizer {
    /// The kind with its settings.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind;
        match kind {
            TokenizerKind::Char | TokenizerKind::Byte => kind.fmt(f),
            TokenizerKind::Wordpiece => write!(f, "{kind} {}", self.vocab_size),
            TokenizerKind::Bpe if self.dropout == 0.0 => write!(f, "{kind} {}", self.vocab_size),
            TokenizerKind::Bpe => write!(f, "{kind} {}, dropout {}", self.vocab_size, self.dropout),
            TokenizerKind::Unigram => {
                write!(f, "{kind} {}", self.vocab_size)?;
                self.alpha
                    .map_or(Ok(()), |alpha| write!(f, ", alpha {alpha}"))?;
                self.nbest
                    .map_or(Ok(()), |nbest| write!(f, ", nbest {nbest}"))
            }
            TokenizerKind::Tiktoken => self.encoding.fmt(f),
            TokenizerKind::File => f.write_str(self.path.as_deref().unwrap_or_default()),
        }
    }
}

impl Tokenizer {
    /// Identifies the tokenization: two tokenizers with equal fingerprints give the same tokens for
    /// the same text, in training and in evaluation. `file_sha256` is the checksum of the file
    /// `path` for the kind `file`.
    pub fn fingerprint(&self, file_sha256: Option<&str>) -> String {
        let (kind, vocab_size) = (self.kind, self.vocab_size);
        match kind {
            TokenizerKind::Char | TokenizerKind::Byte => kind.to_string(),
            TokenizerKind::Wordpiece => format!("{kind} {vocab_size}"),
            TokenizerKind::Bpe if self.dropout > 0.0 => {
                format!("{kind} {vocab_size} dropout {:?}", self.dropout)
            }
            TokenizerKind::Bpe => format!("{kind} {vocab_size}"),
            TokenizerKind::Unigram => match self.alpha {
                Some(alpha) => format!("{kind} {vocab_size} alpha {alpha:?} {:?}", self.nbest),
                None => format!("{kind} {vocab_size}"),
            },
            TokenizerKind::Tiktoken => format!("{kind} {:?}", self.encoding),
            TokenizerKind::File => format!("{kind} {}", file_sha256.unwrap_or_default()),
        }
    }
}

impl TokenizerKind {
    /// All kinds.
    pub const ALL: [Self; 7] = [
        Self::Char,
        Self::Byte,
        Self::Bpe,
        Self::Wordpiece,
        Self::Unigram,
        Self::Tiktoken,
        Self::File,
    ];

    /// Whether a vocabulary of a given size is trained on the text.
    pub fn has_trained_vocabulary(self) -> bool {
        self.uses("tokenizer.vocab_size")
    }
}

/// The kind of tokenizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenizerKind {
    /// One token per character.
    Char,
    /// One token per byte of UTF-8.
    Byte,
    /// Byte-level byte-pair encoding (BPE) with `vocab_size` tokens (Sennrich et al. 2016; Radford et al.
    /// 2019, section 2.2). Lossless for any text.
    Bpe,
    /// WordPiece: the longest matching token first; tokens inside a word start with `##` (Schuster &
    /// Nakajima 2012; Devlin et al. 2018). Unlike that of BERT, it keeps case and white space. Lossless
    /// for text whose characters occur in the training split in the same part of a word (its start or
    /// its inside).
    Wordpiece,
    /// Unigram language model (Kudo 2018, section 3.2), where `▁` stands for a space as in SentencePiece.
    /// Lossless for text whose characters occur in the training split, except for the character `▁`
    /// itself, which becomes a space.
    Unigram,
    /// A published byte-level BPE, selected by `encoding`. Lossless for any text. Nothing is downloaded.
    Tiktoken,
    /// A trained tokenizer that is read from the file `path`.
    File,
}

impl Choice for TokenizerKind {
    const PATH: &'static str = "tokenizer.kind";

    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Bpe => &["tokenizer.vocab_size", "tokenizer.dropout"],
            Self::Wordpiece => &["tokenizer.vocab_size"],
            Self::Unigram => &["tokenizer.vocab_size", "tokenizer.alpha", "tokenizer.nbest"],
            Self::Tiktoken => &["tokenizer.encoding"],
            Self::File => &["tokenizer.path"],
            Self::Char | Self::Byte => &[],
        }
    }
}

impl fmt::Display for TokenizerKind {
    /// The name in a file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Char => "char",
            Self::Byte => "byte",
            Self::Bpe => "bpe",
            Self::Wordpiece => "wordpiece",
            Self::Unigram => "unigram",
            Self::Tiktoken => "tiktoken",
            Self::File => "file",
        })
    }
}

/// A published encoding, by its name in tiktoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Encoding {
    /// The encoding of GPT-2: 50,257 tokens, the last of which is `<|endoftext|>`.
    #[serde(rename = "gpt2")]
    Gpt2,
    /// The same as `gpt2`.
    #[serde(rename = "r50k_base")]
    R50kBase,
    /// `gpt2` with additional tokens for sequences of spaces: 50,281 tokens.
    #[serde(rename = "p50k_base")]
    P50kBase,
    /// The encoding of GPT-3.5 and GPT-4: 100,277 tokens.
    #[serde(rename = "cl100k_base")]
    Cl100kBase,
    /// The encoding of GPT-4o: 200,019 tokens.
    #[serde(rename = "o200k_base")]
    O200kBase,
}

impl fmt::Display for Encoding {
    /// The name in a file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gpt2 => "gpt2",
            Self::R50kBase => "r50k_base",
            Self::P50kBase => "p50k_base",
            Self::Cl100kBase => "cl100k_base",
            Self::O200kBase => "o200k_base",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_files() {
        for kind in TokenizerKind::ALL {
            let read: TokenizerKind = serde_yaml::from_str(&kind.to_string()).unwrap();
            assert_eq!(read, kind);
        }
        for encoding in [
            "gpt2",
            "r50k_base",
            "p50k_base",
            "cl100k_base",
            "o200k_base",
        ] {
            let read: Encoding = serde_yaml::from_str(encoding).unwrap();
            assert_eq!(read.to_string(), encoding);
        }
    }

    #[test]
    fn a_tokenizer_in_words_has_its_choices() {
        for (yaml, words) in [
            ("{}", "char"),
            ("{kind: bpe}", "bpe 512"),
            ("{kind: bpe, dropout: 0.1}", "bpe 512, dropout 0.1"),
            (
                "{kind: unigram, alpha: 0.1, nbest: 8}",
                "unigram 512, alpha 0.1, nbest 8",
            ),
            ("{kind: tiktoken}", "gpt2"),
            ("{kind: file, path: a/b.json}", "a/b.json"),
        ] {
            let read: Tokenizer = serde_yaml::from_str(yaml).unwrap();
            assert_eq!(read.to_string(), words);
        }
    }
}
