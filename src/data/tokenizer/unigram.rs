//! The unigram language model tokenizer of SentencePiece.

use super::pre_tokenizer;
use super::vocabulary::{self, UNKNOWN};
use crate::data::DataError;
use crate::spec::TokenizerKind;
use std::collections::{BTreeMap, BTreeSet};
use tokenizers::models::unigram::{Unigram, UnigramTrainer};
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::{AddedToken, Tokenizer as Pipeline};

/// A regular expression for words with the space before them, for runs of spaces, and for runs of
/// line breaks. The length of a word is limited, because the size of a segmentation lattice grows
/// with the square of the length.
pub(super) const WORDS: &str = r" ?[^ \n]{1,64}| {1,16}|\n{1,16}";

/// Step between the scores that the trainer gives to characters that are in none of the kept
/// tokens.
const SCORE_STEP: f64 = 0.0001;

/// A pipeline with `vocab_size` tokens, trained on a text.
pub(super) fn train(text: &str, vocab_size: usize) -> Result<Pipeline, DataError> {
    let mut pipeline = Pipeline::new(Unigram::default());
    // Spaces become `▁`. No space is added at the start of a text, so decoding returns the text.
    let spaces = Metaspace::new('▁', PrependScheme::Never, false);
    pipeline.with_pre_tokenizer(Some(Sequence::new(vec![
        pre_tokenizer::regex_split(WORDS)?.into(),
        spaces.clone().into(),
    ])));
    pipeline.with_decoder(Some(spaces));

    let mut counts = pre_tokenizer::count_words(&pipeline, text)?;
    // U+FFFD is in the vocabulary already, as the unknown token.
    counts.retain(|word, _| !word.contains(UNKNOWN));
    let characters: BTreeSet<char> = counts.keys().flat_map(|word| word.chars()).collect();
    // The vocabulary needs the unknown token and at least one token of several characters. Without
    // room for the latter, the trainer would never end.
    vocabulary::check_alphabet(TokenizerKind::Unigram, vocab_size, characters.len() + 2)?;

    let mut model = Unigram::default();
    let unknown = UNKNOWN.to_string();
    let trainer = UnigramTrainer::builder()
        .vocab_size(vocab_size as u32)
        .special_tokens(vec![AddedToken::from(unknown.clone(), false)])
        .unk_token(Some(unknown))
        .show_progress(false)
        .build()
        .map_err(DataError::tokenizer)?;
    train_on_one_thread(&trainer, counts, &mut model)?;
    vocabulary::check_size(TokenizerKind::Unigram, vocab_size, model.iter().count())?;
    pipeline.with_model(with_fixed_order(&model)?);
    Ok(pipeline)
}

/// Trains on one thread, so that the result does not depend on the number of threads. With several,
/// the trainer adds floating-point numbers in the order in which the threads finish.
fn train_on_one_thread(
    trainer: &UnigramTrainer,
    counts: BTreeMap<String, u64>,
    model: &mut Unigram,
) -> Result<(), DataError> {
    // The counts fit into 32 bits: `count_words` limits the length of the text.
    let counts = counts.into_iter().map(|(word, n)| (word, n as u32));
    let one_thread = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .map_err(DataError::tokenizer)?;
    one_thread
        .install(|| trainer.do_train(counts.collect(), model))
        .map_err(DataError::tokenizer)?;
    Ok(())
}

/// Makes the model independent of the order of the trainer's hash maps. The trainer gives a score to
/// each character without one, in steps of [`SCORE_STEP`] and in the random order of a map. This
/// function gives the same scores to the same characters in the order of the code points, and
/// orders tokens of equal score by their text.
fn with_fixed_order(model: &Unigram) -> Result<Unigram, DataError> {
    let mut tokens: Vec<(String, f64)> = model.iter().cloned().collect();
    let unknown = tokens.remove(0);
    let lowest = tokens.iter().map(|(_, score)| *score).fold(0.0, f64::min);
    // The positions of the characters with such a score: the trainer's sequence of scores is followed
    // until no character has the next score.
    let mut given = Vec::new();
    let mut penalty = 0.0;
    loop {
        let score = lowest + penalty;
        let one_character =
            |(token, its): &(String, f64)| *its == score && token.chars().nth(1).is_none();
        let before = given.len();
        given.extend((0..tokens.len()).filter(|&i| one_character(&tokens[i])));
        if given.len() == before {
            break;
        }
        penalty += SCORE_STEP;
    }
    let mut characters: Vec<String> = given.iter().map(|&i| tokens[i].0.clone()).collect();
    characters.sort_unstable();
    for (&i, character) in given.iter().zip(characters) {
        tokens[i].0 = character;
    }
    tokens.sort_by(|(a, x), (b, y)| y.total_cmp(x).then_with(|| a.cmp(b)));
    tokens.insert(0, unknown);
    Unigram::from(tokens, Some(0), false).map_err(DataError::tokenizer)
}
