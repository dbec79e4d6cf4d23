use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How the text becomes tokens. What is trained is trained on the training split only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Tokenizer {
    /// The kind of tokenizer.
    pub kind: TokenizerKind,
    /// Number of tokens of a trained tokenizer, those for single characters (`wordpiece`,
    /// `unigram`) or bytes (`bpe`, so at least 257) among them. The other kinds have as many as they
    /// have: `char` one for each character of the training split, and one more for unknown
    /// characters where the validation split has any; `byte` 256.
    #[schemars(range(min = 2, max = 1_000_000))]
    pub vocab_size: usize,
    /// Draws another segmentation of the training text in each epoch, in proportion to its
    /// probability to this power: 0 makes all equally likely, 1 is the model's own (Kudo 2018,
    /// section 3.3). `null` always takes the likeliest, as evaluation does in any case.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub alpha: Option<f64>,
    /// How many segmentations of a word `alpha` has to choose from, the likeliest ones. `null` is
    /// all of them.
    #[schemars(range(min = 2, max = 1000))]
    pub nbest: Option<usize>,
    /// Probability with which a merge is left out in the training text, drawn anew in each epoch
    /// (BPE-dropout, Provilkov et al. 2020). Evaluation leaves out none.
    #[schemars(range(min = 0.0, max = 0.99))]
    pub dropout: f64,
    /// The published encoding.
    pub encoding: Encoding,
    /// A `tokenizer.json` as the library tokenizers writes it, relative to the folder the command
    /// is run in. Normalizers and white space that it drops make it lossy, which the report says.
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
    /// The kind, with what is a choice for it.
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

    /// The keys of the section `tokenizer` that have an effect with this kind, besides `kind`.
    pub fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Char | Self::Byte => &[],
            Self::Bpe => &["vocab_size", "dropout"],
            Self::Wordpiece => &["vocab_size"],
            Self::Unigram => &["vocab_size", "alpha", "nbest"],
            Self::Tiktoken => &["encoding"],
            Self::File => &["path"],
        }
    }

    /// Whether a vocabulary of a given size is trained on the text.
    pub fn has_trained_vocabulary(self) -> bool {
        self.keys().contains(&"vocab_size")
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
    /// The longest known piece first, those within a word marked `##` (Schuster & Nakajima 2012;
    /// Devlin et al. 2018). Unlike BERT's it keeps case and white space: it is without loss on text
    /// whose characters the training split has, each in the same part of a word.
    Wordpiece,
    /// The likeliest pieces under a unigram model (Kudo 2018, section 3.2), a space written as `▁`
    /// as in SentencePiece. Without loss on text whose characters the training split has, but for
    /// the character `▁` itself, which becomes a space.
    Unigram,
    /// A published byte-level BPE, `encoding`, without loss on any text. Nothing is downloaded.
    Tiktoken,
    /// A trained tokenizer from the file `path`.
    File,
}

impl fmt::Display for TokenizerKind {
    /// As a file has it.
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

/// A published encoding, as the library tiktoken names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Encoding {
    /// GPT-2's: 50,257 tokens, the last of them `<|endoftext|>`. Also called `r50k_base`.
    #[serde(rename = "gpt2")]
    Gpt2,
    /// Another name of `gpt2`.
    #[serde(rename = "r50k_base")]
    R50kBase,
    /// `gpt2` with tokens for runs of spaces: 50,281 tokens.
    #[serde(rename = "p50k_base")]
    P50kBase,
    /// That of GPT-3.5 and GPT-4: 100,277 tokens.
    #[serde(rename = "cl100k_base")]
    Cl100kBase,
    /// That of GPT-4o: 200,019 tokens.
    #[serde(rename = "o200k_base")]
    O200kBase,
}

impl fmt::Display for Encoding {
    /// As a file has it.
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
