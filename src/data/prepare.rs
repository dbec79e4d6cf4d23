//! Preparing a corpus: from a source of text to two files of tokens.

use super::corpus_cache::{self, Check, CorpusWriter};
use super::sources::{self, ResolvedSource};
use super::token_file::Width;
use super::tokenizer::{SubwordSampler, TokenizerFile, tokenizer_identity};
use super::{DataError, Tokenizer, Tokens, bigram_baseline, corpus, epochs, plays, size_limit};
use crate::hash;
use crate::regular_file::is_absent;
use crate::results::CorpusInfo;
use crate::spec;
use std::ops::Range;
use std::path::Path;

/// Prepares a corpus in a folder of `cache_root` and returns its description. If an undamaged corpus
/// for the same text and tokenizer is there, it is used. Otherwise the text is read, generated or
/// downloaded; it is split by position; the tokenizer is trained on the training split; and both
/// splits are encoded separately.
///
/// A text that is identified without reading it (a generated text, or a file with a known checksum)
/// is not read if its corpus is there. Several processes may prepare the same corpus at the same
/// time.
pub fn prepare(
    data: &spec::Data,
    tokenizer: &spec::Tokenizer,
    cache_root: &Path,
) -> Result<CorpusInfo, DataError> {
    prepare_with_notices(data, tokenizer, cache_root, &mut |_| {})
}

/// Same as [`prepare`], with the test split in the place of the validation split: the part of the text that
/// `data.test_fraction` keeps from all training runs. The training split and the tokenizer are the same.
pub fn prepare_test(
    data: &spec::Data,
    tokenizer: &spec::Tokenizer,
    cache_root: &Path,
) -> Result<CorpusInfo, DataError> {
    prepare_held_out(data, tokenizer, HeldOut::Test, cache_root, &mut |_| {})
}

/// The part of a text on which models are scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HeldOut {
    Validation,
    Test,
}

/// [`prepare`], which passes what the user should know to `notify`: that the corpus in the cache was
/// damaged, and what may be unexpected in the text.
pub fn prepare_with_notices(
    data: &spec::Data,
    tokenizer: &spec::Tokenizer,
    cache_root: &Path,
    notify: &mut dyn FnMut(&str),
) -> Result<CorpusInfo, DataError> {
    prepare_held_out(data, tokenizer, HeldOut::Validation, cache_root, notify)
}

fn prepare_held_out(
    data: &spec::Data,
    tokenizer: &spec::Tokenizer,
    held_out: HeldOut,
    cache_root: &Path,
    notify: &mut dyn FnMut(&str),
) -> Result<CorpusInfo, DataError> {
    let source = sources::resolve(data)?;
    let file = TokenizerFile::from_spec(tokenizer)?;
    let key = cache_key(&source, data, tokenizer, file.as_ref(), held_out);
    let name = data.source.to_string();
    let mut info = match cached(cache_root, &key, notify)? {
        Some(info) => info,
        None => {
            let parts = (data, tokenizer, held_out);
            build(source, parts, file, cache_root, &key)?
        }
    };
    if info.has_carriage_returns {
        // The line breaks of Windows are seldom meant to be learned.
        notify(&format!(
            "note: lines of {name} end with \\r\\n; \\r stays in the text, as a character of its own"
        ));
    }
    let scored = (info.train_bytes + info.val_bytes) as f64;
    let hidden = match held_out {
        HeldOut::Validation => data.test_fraction,
        HeldOut::Test => data.val_fraction,
    };
    let bytes = match data.test_fraction > 0.0 {
        true => (scored / (1.0 - hidden)) as u64,
        false => scored as u64,
    };
    size_limit::check(&name, bytes, data.max_bytes)?;
    // The corpus may have been prepared from the same text under another name.
    info.source = name;
    Ok(info)
}

/// The description of the corpus in the cache, if there is one. A damaged corpus is removed. One that cannot be read
/// is not.
fn cached(
    cache_root: &Path,
    key: &str,
    notify: &mut dyn FnMut(&str),
) -> Result<Option<CorpusInfo>, DataError> {
    let folder = cache_root.join(key);
    if is_absent(&folder) {
        return Ok(None);
    }
    let checked = corpus_cache::check(&folder, Check::Checksums)
        .and_then(|_| Ok(corpus::open(cache_root, key)?.info));
    match checked {
        Ok(info) => Ok(Some(info)),
        Err(error) if error.is_machine_failure() => Err(error),
        Err(error) => {
            notify(&format!("note: {error}; it is written again"));
            corpus_cache::discard(cache_root, key)?;
            Ok(None)
        }
    }
}

/// A hash of everything that determines the files of a corpus.
fn cache_key(
    source: &ResolvedSource,
    data: &spec::Data,
    tokenizer: &spec::Tokenizer,
    file: Option<&TokenizerFile>,
    held_out: HeldOut,
) -> String {
    let mut all = format!(
        "{}\n{}\n{:?}\n{}",
        corpus_cache::FORMAT,
        source.fingerprint(),
        data.val_fraction,
        tokenizer.fingerprint(file.map(|file| file.sha256.as_str()))
    );
    if data.test_fraction > 0.0 {
        all += &format!("\n{:?} {held_out:?}", data.test_fraction);
    }
    hash::sha256(all.as_bytes())[..16].to_owned()
}

fn build(
    source: ResolvedSource,
    (data, spec, held_out): (&spec::Data, &spec::Tokenizer, HeldOut),
    file: Option<TokenizerFile>,
    cache_root: &Path,
    key: &str,
) -> Result<CorpusInfo, DataError> {
    let is_plays = matches!(source, ResolvedSource::Plays { .. });
    let source = source.text(data.max_bytes)?;
    let text = &source.text;
    let (train, held_out) = split(text, data, held_out)?;
    // The tokenizer is the same whether validation or test split is held out.
    let rest = &text[train.end..];
    let (train, val) = (&text[train], &text[held_out.clone()]);
    let tokenizer = match &file {
        Some(file) => Tokenizer::from_file(file)?,
        None => Tokenizer::train(spec, train, rest)?,
    };
    // The library fails on some texts only, so the file is named here, too.
    let named = |error| match (error, &file) {
        (DataError::Tokenizer { reason }, Some(file)) => file.invalid(reason),
        (error, _) => error,
    };
    let sampler = SubwordSampler::from_spec(spec, &tokenizer)?;
    let sampled_train_tokens = sampler.map(|sampler| epochs::sampled_len(&sampler, train));

    let mut writer = CorpusWriter::new(cache_root)?;
    let width = Width::of(tokenizer.vocab_size());
    encode(&tokenizer, train, width, &mut writer, corpus_cache::TRAIN).map_err(named)?;
    let val_unknown_tokens =
        encode(&tokenizer, val, width, &mut writer, corpus_cache::VAL).map_err(named)?;
    let json = tokenizer.to_json()?;
    writer.write_file(corpus_cache::TOKENIZER, |out| {
        out.write_all(json.as_bytes())
            .map_err(DataError::write(cache_root))
    })?;

    let train_tokens = Tokens::open(&writer.path(corpus_cache::TRAIN), width)?;
    let val_tokens = Tokens::open(&writer.path(corpus_cache::VAL), width)?;
    let info = CorpusInfo {
        key: key.to_owned(),
        source: data.source.to_string(),
        data_sha256: source.sha256,
        tokenizer_sha256: tokenizer_identity::sha256(spec.kind, &json),
        vocab_size: tokenizer.vocab_size(),
        train_bytes: train.len() as u64,
        val_bytes: val.len() as u64,
        train_tokens: train_tokens.len() as u64,
        sampled_train_tokens: sampled_train_tokens.transpose()?,
        val_tokens: val_tokens.len() as u64,
        val_unknown_tokens,
        lossless: decodes_to(&tokenizer, &val_tokens, val),
        has_carriage_returns: text.contains("\r\n"),
        floor_bits_per_byte: is_plays.then(|| {
            plays::floor_bits_per_byte(text, held_out)
                .expect("every generated text can be read back, which the generator's tests check")
        }),
        bigram_count_loss: bigram_baseline::bigram_baseline_loss(
            &train_tokens,
            &val_tokens,
            tokenizer.vocab_size(),
        )?,
    };
    writer.commit(&info)?;
    Ok(info)
}

/// The training split of a text, and the held-out part. Validation split and test split are the last parts of the
/// text, in this order. A cut is moved back to the start of a character if necessary. No split is empty.
fn split(
    text: &str,
    data: &spec::Data,
    held_out: HeldOut,
) -> Result<(Range<usize>, Range<usize>), DataError> {
    if text.is_empty() {
        return Err(DataError::Empty {
            name: data.source.to_string(),
        });
    }
    let cut = |fraction: f64| {
        let mut at = (text.len() as f64 * fraction) as usize;
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let train_end = cut(1.0 - data.val_fraction - data.test_fraction);
    let val_end = cut(1.0 - data.test_fraction);
    let (train, val, test) = (0..train_end, train_end..val_end, val_end..text.len());
    let needs_test = data.test_fraction > 0.0;
    if train.is_empty() || val.is_empty() || needs_test && test.is_empty() {
        return Err(DataError::TooShortToSplit {
            bytes: text.len(),
            val_fraction: data.val_fraction,
            test_fraction: data.test_fraction,
        });
    }
    Ok(match held_out {
        HeldOut::Validation => (train, val),
        HeldOut::Test => (train, test),
    })
}

/// Writes the tokens of a split to a file, and returns the number of unknown tokens.
fn encode(
    tokenizer: &Tokenizer,
    text: &str,
    width: Width,
    writer: &mut CorpusWriter,
    name: &str,
) -> Result<u64, DataError> {
    let root = writer.root();
    writer.write_file(name, |mut out| {
        tokenizer.encode_split(text, &mut |tokens| {
            width
                .write(tokens, &mut out)
                .map_err(DataError::write(&root))
        })
    })
}

/// Whether tokens decode to exactly a text.
fn decodes_to(tokenizer: &Tokenizer, tokens: &Tokens, text: &str) -> bool {
    let mut rest = text.as_bytes();
    let tokens = tokens.iter().map(|token| token as u32);
    tokenizer.text_bytes(tokens).all(|bytes| {
        rest.strip_prefix(bytes.as_ref())
            .map(|left| rest = left)
            .is_some()
    }) && rest.is_empty()
}
