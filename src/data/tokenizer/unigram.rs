//! Pieces under a unigram language model, in the manner of SentencePiece.

use super::super::DataError;
use super::{UNKNOWN, failed, words};
use crate::spec::TokenizerKind;
use std::collections::{BTreeMap, BTreeSet};
use tokenizers::models::unigram::{Unigram, UnigramTrainer};
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::{AddedToken, Tokenizer as Pipeline};

/// Words with the space before them, and runs of spaces and of line ends. A lattice grows with the
/// square of a word, which is why words end somewhere.
pub(super) const WORDS: &str = r" ?[^ \n]{1,64}| {1,16}|\n{1,16}";

/// By how much the trainer raises the score of one character over that of another, where they are in
/// no piece that it kept.
const SCORE_STEP: f64 = 0.0001;

pub(super) fn train(text: &str, vocab_size: usize) -> Result<Pipeline, DataError> {
    let mut pipeline = Pipeline::new(Unigram::default());
    // Spaces become `▁`, and none is added at the beginning: what is decoded is what was encoded.
    let spaces = Metaspace::new('▁', PrependScheme::Never, false);
    pipeline.with_pre_tokenizer(Some(Sequence::new(vec![
        words::matches_of(WORDS)?.into(),
        spaces.clone().into(),
    ])));
    pipeline.with_decoder(Some(spaces));

    let mut counts = words::count(&pipeline, text)?;
    // The character that stands for unknown ones is in the vocabulary already.
    counts.retain(|word, _| !word.contains(UNKNOWN));
    let characters: BTreeSet<char> = counts.keys().flat_map(|word| word.chars()).collect();
    // One token more for unknown characters, and at least one piece: the trainer never ends where
    // there is no room for any.
    super::check_alphabet(TokenizerKind::Unigram, vocab_size, characters.len() + 2)?;

    let mut model = Unigram::default();
    let unknown = UNKNOWN.to_string();
    let trainer = UnigramTrainer::builder()
        .vocab_size(vocab_size as u32)
        .special_tokens(vec![AddedToken::from(unknown.clone(), false)])
        .unk_token(Some(unknown))
        .show_progress(false)
        .build()
        .map_err(failed)?;
    expectation_maximisation(&trainer, counts, &mut model)?;
    super::check_size(TokenizerKind::Unigram, vocab_size, model.iter().count())?;
    pipeline.with_model(in_fixed_order(&model)?);
    Ok(pipeline)
}

/// Trains on one thread: the trainer deals the words to as many as there are, and adds up fractions
/// in the order in which they are done.
fn expectation_maximisation(
    trainer: &UnigramTrainer,
    counts: BTreeMap<String, u64>,
    model: &mut Unigram,
) -> Result<(), DataError> {
    // A text has fewer bytes than fit the trainer's counts.
    let counts = counts.into_iter().map(|(word, n)| (word, n as u32));
    let one_thread = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .map_err(failed)?;
    one_thread
        .install(|| trainer.do_train(counts.collect(), model))
        .map_err(failed)?;
    Ok(())
}

/// The same model whatever the order of the trainer's hash maps: it gives the characters that it has
/// no score for one of its own each, counted up in the order of a map, and so are equal scores.
fn in_fixed_order(model: &Unigram) -> Result<Unigram, DataError> {
    let mut pieces: Vec<(String, f64)> = model.iter().cloned().collect();
    let unknown = pieces.remove(0);
    let lowest = pieces.iter().map(|(_, score)| *score).fold(0.0, f64::min);
    // The scores given out, as the trainer counts them up, for as long as somebody has them.
    let mut given = Vec::new();
    let mut penalty = 0.0;
    loop {
        let score = lowest + penalty;
        let one_character =
            |(piece, its): &(String, f64)| *its == score && piece.chars().nth(1).is_none();
        let before = given.len();
        given.extend((0..pieces.len()).filter(|&i| one_character(&pieces[i])));
        if given.len() == before {
            break;
        }
        penalty += SCORE_STEP;
    }
    let mut characters: Vec<String> = given.iter().map(|&i| pieces[i].0.clone()).collect();
    characters.sort_unstable();
    for (&i, character) in given.iter().zip(characters) {
        pieces[i].0 = character;
    }
    pieces.sort_by(|(a, x), (b, y)| y.total_cmp(x).then_with(|| a.cmp(b)));
    pieces.insert(0, unknown);
    Unigram::from(pieces, Some(0), false).map_err(failed)
}
