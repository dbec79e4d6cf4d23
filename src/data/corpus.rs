//! From a source of text to two files of tokens, once for each distinct pair of data and tokenizer.

use super::corpus_cache::{self, Building, Check};
use super::sources::{self, Located};
use super::token_file::Width;
use super::tokenizer::{Sampler, TokenizerFile};
use super::{DataError, Tokenizer, Tokens, bigram_baseline, epochs, plays};
use crate::hash;
use crate::results::CorpusInfo;
use crate::spec::{self, TokenizerKind};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::path::Path;

/// An encoded text, mapped into memory.
#[derive(Debug, Clone)]
pub struct Corpus {
    pub info: CorpusInfo,
    pub train: Tokens,
    pub val: Tokens,
    pub tokenizer: Tokenizer,
}

/// A part of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    Train,
    Val,
}

/// Encodes a source into a folder of `cache_root`, where a good one is not there already: reads,
/// writes or downloads the text, splits it by position, trains the tokenizer on the first part, and
/// encodes both parts separately.
///
/// A source whose content is known beforehand (plays, and whatever has a checksum) is not even read
/// where its corpus is there. Several processes may prepare the same corpus at the same time.
pub fn prepare(
    data: &spec::Data,
    tokenizer: &spec::Tokenizer,
    cache_root: &Path,
) -> Result<CorpusInfo, DataError> {
    let located = sources::locate(data)?;
    let file = TokenizerFile::of(tokenizer)?;
    let key = key(&located, data, tokenizer, file.as_ref());
    let dir = cache_root.join(&key);
    let name = data.source.to_string();
    let mut info = match corpus_cache::check(&dir, Check::Bytes) {
        Ok(info) => info,
        // Absent, damaged or of another format: all end in a folder that is none of these.
        Err(_) => build(located, data, tokenizer, file, cache_root, &key)?,
    };
    sources::within_limit(&name, info.train_bytes + info.val_bytes, data.max_bytes)?;
    // The corpus may have been built from the same text under another name.
    info.source = name;
    Ok(info)
}

/// Maps a corpus that [`prepare`] left.
pub fn open(cache_root: &Path, key: &str) -> Result<Corpus, DataError> {
    let dir = cache_root.join(key);
    let info = corpus_cache::check(&dir, Check::Sizes)?;
    let width = Width::of(info.vocab_size);
    Ok(Corpus {
        train: Tokens::open(&dir.join(corpus_cache::TRAIN), width)?,
        val: Tokens::open(&dir.join(corpus_cache::VAL), width)?,
        tokenizer: Tokenizer::load(&dir.join(corpus_cache::TOKENIZER))?,
        info,
    })
}

/// Whether the training split has room for a sequence of `length` tokens and its targets. The
/// validation split may be shorter.
pub fn check_sequence_length(info: &CorpusInfo, length: usize) -> Result<(), DataError> {
    if info.train_tokens <= length as u64 {
        return Err(DataError::TooShortForSequence {
            tokens: info.train_tokens,
            length,
        });
    }
    Ok(())
}

impl Corpus {
    /// The windows of an evaluation: ranges of a split of `block_size` tokens, the last one maybe
    /// shorter, in which each token that has one before it is a target once.
    ///
    /// # Panics
    /// If `block_size` is 0.
    pub fn eval_windows(
        &self,
        split: Split,
        block_size: usize,
    ) -> impl Iterator<Item = Range<usize>> {
        let (first, len) = match split {
            Split::Train => (1, self.train.len()),
            Split::Val => (0, self.val.len()),
        };
        (first..len)
            .step_by(block_size)
            .map(move |start| start..(start + block_size).min(len))
    }

    /// Appends the tokens of a window to `targets`, and to `inputs` the token before each: for the
    /// first of the validation split that is the last of the training split, so that none goes
    /// unscored.
    ///
    /// # Panics
    /// If the window begins with the first token of the training split, which has none before it.
    pub fn eval_window(
        &self,
        split: Split,
        window: Range<usize>,
        inputs: &mut Vec<usize>,
        targets: &mut Vec<usize>,
    ) {
        if window.is_empty() {
            return;
        }
        let (tokens, before) = match (split, window.start) {
            (Split::Val, 0) => (&self.val, self.train.get(self.train.len() - 1)),
            (Split::Val, start) => (&self.val, self.val.get(start - 1)),
            (Split::Train, start) => (&self.train, self.train.get(start - 1)),
        };
        inputs.push(before);
        tokens.copy_to(window.start..window.end - 1, inputs);
        tokens.copy_to(window, targets);
    }
}

/// Hash of whatever makes a corpus another one.
fn key(
    located: &Located,
    data: &spec::Data,
    tokenizer_spec: &spec::Tokenizer,
    file: Option<&TokenizerFile>,
) -> String {
    let kind = tokenizer_spec.kind;
    // What a kind does not depend on makes no other corpus.
    let tokenizer = match kind {
        TokenizerKind::Char | TokenizerKind::Byte => kind.to_string(),
        TokenizerKind::Bpe | TokenizerKind::Wordpiece | TokenizerKind::Unigram => {
            format!("{kind} {}", tokenizer_spec.vocab_size)
        }
        TokenizerKind::Tiktoken => format!("{kind} {:?}", tokenizer_spec.encoding),
        TokenizerKind::File => {
            let sha256 = file.map_or("", |file| &file.sha256);
            format!("{kind} {sha256}")
        }
    };
    let all = format!(
        "{}\n{}\n{:?}\n{tokenizer}{}",
        corpus_cache::FORMAT,
        located.fingerprint(),
        data.val_fraction,
        sampling(tokenizer_spec)
    );
    hash::sha256(all.as_bytes())[..16].to_owned()
}

/// How segmentations are drawn, for how many tokens that gives.
fn sampling(tokenizer: &spec::Tokenizer) -> String {
    let spec::Tokenizer {
        alpha,
        nbest,
        dropout,
        ..
    } = tokenizer;
    match (tokenizer.kind, alpha) {
        (TokenizerKind::Unigram, Some(alpha)) => format!(" alpha {alpha:?} {nbest:?}"),
        (TokenizerKind::Bpe, _) if *dropout > 0.0 => format!(" dropout {dropout:?}"),
        _ => String::new(),
    }
}

fn build(
    located: Located,
    data: &spec::Data,
    tokenizer: &spec::Tokenizer,
    file: Option<TokenizerFile>,
    cache_root: &Path,
    key: &str,
) -> Result<CorpusInfo, DataError> {
    let is_plays = matches!(located, Located::Plays { .. });
    let text = located.text(data.max_bytes)?;
    let (train, val) = split(&text, data)?;
    let spec = tokenizer;
    let tokenizer = match &file {
        Some(file) => file.read()?,
        None => Tokenizer::train(spec, train, val)?,
    };
    let sampler = Sampler::of(spec, &tokenizer)?;
    let sampled = sampler.map(|sampler| epochs::sampled_len(&sampler, train));

    let building = Building::begin(cache_root)?;
    let width = Width::of(tokenizer.vocab_size());
    let train_path = building.path(corpus_cache::TRAIN);
    let val_path = building.path(corpus_cache::VAL);
    encode(&tokenizer, train, &train_path, width)?;
    let val_unknown_tokens = encode(&tokenizer, val, &val_path, width)?;
    let tokenizer_path = building.path(corpus_cache::TOKENIZER);
    tokenizer.save(&tokenizer_path)?;

    let train_tokens = Tokens::open(&train_path, width)?;
    let val_tokens = Tokens::open(&val_path, width)?;
    let info = CorpusInfo {
        key: key.to_owned(),
        source: data.source.to_string(),
        data_sha256: hash::sha256(text.as_bytes()),
        tokenizer_sha256: hash::sha256_file(&tokenizer_path)
            .map_err(DataError::read(&tokenizer_path))?,
        vocab_size: tokenizer.vocab_size(),
        train_bytes: train.len() as u64,
        val_bytes: val.len() as u64,
        train_tokens: train_tokens.len() as u64,
        sampled_train_tokens: sampled.transpose()?,
        val_tokens: val_tokens.len() as u64,
        val_unknown_tokens,
        lossless: decodes_to(&tokenizer, &val_tokens, val),
        floor_bits_per_byte: is_plays.then(|| {
            plays::floor_bits_per_byte(&text, train.len()..text.len())
                .expect("whatever the generator writes can be read back: its tests do so")
        }),
        bigram_count_loss: bigram_baseline::bigram_baseline_loss(
            &train_tokens,
            &val_tokens,
            tokenizer.vocab_size(),
        )?,
    };
    building.install(&info)?;
    Ok(info)
}

/// The last `val_fraction` of the bytes is held out, cut before the character that the cut falls
/// into. Neither part is empty.
fn split<'a>(text: &'a str, data: &spec::Data) -> Result<(&'a str, &'a str), DataError> {
    if text.is_empty() {
        return Err(DataError::Empty {
            what: data.source.to_string(),
        });
    }
    let mut at = (text.len() as f64 * (1.0 - data.val_fraction)) as usize;
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    if at == 0 || at == text.len() {
        return Err(DataError::TooShortToSplit {
            bytes: text.len(),
            val_fraction: data.val_fraction,
        });
    }
    Ok(text.split_at(at))
}

/// Writes the tokens of a split to a file, and returns how many are unknown.
fn encode(tokenizer: &Tokenizer, text: &str, path: &Path, width: Width) -> Result<u64, DataError> {
    let mut file = BufWriter::new(File::create(path).map_err(DataError::write(path))?);
    let unknown = tokenizer.encode_split(text, &mut |tokens| {
        width
            .write(tokens, &mut file)
            .map_err(DataError::write(path))
    })?;
    file.flush().map_err(DataError::write(path))?;
    Ok(unknown)
}

/// Whether tokens stand for exactly a text.
fn decodes_to(tokenizer: &Tokenizer, tokens: &Tokens, text: &str) -> bool {
    let mut rest = text.as_bytes();
    (0..tokens.len()).all(|i| {
        let piece = tokenizer.piece(tokens.get(i) as u32);
        rest.strip_prefix(piece).map(|left| rest = left).is_some()
    }) && rest.is_empty()
}

#[cfg(test)]
mod tests;
