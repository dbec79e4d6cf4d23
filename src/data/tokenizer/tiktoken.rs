//! The published byte-level encodings of the library tiktoken, as pipelines.

use super::{byte_alphabet, pre_tokenizer};
use crate::data::DataError;
use crate::spec::Encoding;
use std::collections::HashMap;
use tiktoken_rs::CoreBPE;
use tokenizers::Tokenizer as Pipeline;
use tokenizers::models::bpe::BPE;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;

/// The regular expression for the words of `gpt2` and `p50k_base`.
pub(super) const GPT2_WORDS: &str =
    r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s";
/// The regular expression for the words of `cl100k_base`. Unlike in tiktoken, `{1,3}` is not possessive,
/// which finds the same words: for Oniguruma, the engine of the Python library, `{1,3}+` would be a
/// repetition of `{1,3}`.
pub(super) const CL100K_WORDS: &str = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s";
/// The same in the files of earlier versions.
pub(super) const EARLIER_CL100K_WORDS: &str = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s";
/// The regular expression for the words of `o200k_base`.
pub(super) const O200K_WORDS: &str = tiktoken_rs::O200K_BASE_PAT_STR;

/// The parts of an encoding.
struct PublishedEncoding {
    /// Reads the tokens and their ranks.
    ranks: fn() -> anyhow::Result<CoreBPE>,
    words: &'static str,
    /// Number of tokens, including numbers that no token has.
    vocab_size: u32,
}

fn published(encoding: Encoding) -> PublishedEncoding {
    let (ranks, words, vocab_size): (fn() -> anyhow::Result<CoreBPE>, _, _) = match encoding {
        Encoding::Gpt2 | Encoding::R50kBase => (tiktoken_rs::r50k_base, GPT2_WORDS, 50_257),
        Encoding::P50kBase => (tiktoken_rs::p50k_base, GPT2_WORDS, 50_281),
        Encoding::Cl100kBase => (tiktoken_rs::cl100k_base, CL100K_WORDS, 100_277),
        Encoding::O200kBase => (tiktoken_rs::o200k_base, O200K_WORDS, 200_019),
    };
    PublishedEncoding {
        ranks,
        words,
        vocab_size,
    }
}

/// The pipeline that gives the tokens of tiktoken's `encode_ordinary`.
///
/// tiktoken merges two adjacent tokens whenever their concatenation is a token, and prefers the
/// concatenation of lowest rank. The equivalent list of merges contains all pairs of tokens whose
/// concatenation is a token, in the order of its rank.
pub(super) fn pipeline(encoding: Encoding) -> Result<Pipeline, DataError> {
    let PublishedEncoding {
        ranks,
        words,
        vocab_size,
    } = published(encoding);
    let ranks = ranks().map_err(DataError::tokenizer)?;
    let mut tokens: Vec<Option<Vec<u8>>> = (0..vocab_size)
        .map(|rank| ranks.decode_bytes(&[rank]).ok())
        .collect();
    let special = ranks.special_tokens();
    let is_special = |bytes: &[u8]| special.iter().any(|token| token.as_bytes() == bytes);
    let characters = byte_alphabet::characters();
    let written = |bytes: &[u8]| -> String {
        let character = |&byte: &u8| characters[usize::from(byte)];
        bytes.iter().map(character).collect()
    };

    let by_bytes: HashMap<&[u8], usize> = tokens
        .iter()
        .enumerate()
        .filter_map(|(rank, token)| Some((token.as_deref()?, rank)))
        .collect();
    let mut merges = Vec::new();
    for token in tokens.iter().flatten().filter(|token| !is_special(token)) {
        let mut splits: Vec<_> = (1..token.len())
            .map(|at| token.split_at(at))
            .filter_map(|(left, right)| Some((*by_bytes.get(left)?, *by_bytes.get(right)?)))
            .collect();
        splits.sort_unstable();
        let text = |rank: usize| tokens[rank].as_deref().map_or(String::new(), written);
        merges.extend(
            splits
                .into_iter()
                .map(|(left, right)| (text(left), text(right))),
        );
    }
    // A number without a token gets a name that occurs in no word.
    let unused = |rank: usize| format!("<|unused_{rank}|>").into_bytes();
    let vocab = tokens.iter_mut().enumerate().map(|(rank, token)| {
        let bytes = token.take().unwrap_or_else(|| unused(rank));
        (written(&bytes), rank as u32)
    });
    let mut model = BPE::new(vocab.collect(), merges);
    // A word that is a token is not split, even if no sequence of merges leads to it.
    model.ignore_merges = true;
    let mut pipeline = Pipeline::new(model);
    let bytes = ByteLevel::new(false, false, false);
    let words = pre_tokenizer::regex_split(words)?;
    pipeline.with_pre_tokenizer(Some(Sequence::new(vec![words.into(), bytes.into()])));
    pipeline.with_decoder(Some(bytes));
    Ok(pipeline)
}
