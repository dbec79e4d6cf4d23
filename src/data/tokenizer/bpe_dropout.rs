//! BPE-dropout: byte-pair encoding in which merges are skipped at random (Provilkov et al. 2020,
//! section 3).

use crate::data::DataError;
use crate::random::unit;
use rand_core::RngCore;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use tokenizers::models::bpe::BPE;

/// The merges of a model, with the dropout probability.
#[derive(Debug)]
pub(super) struct BpeDropout {
    characters: HashMap<char, u32>,
    /// The rank of each pair that can be merged, and the merged token.
    pairs: HashMap<(u32, u32), (u32, u32)>,
    /// Probability that a possible merge is skipped.
    dropout: f64,
}

impl BpeDropout {
    pub(super) fn new(model: &BPE, dropout: f64) -> Result<Self, DataError> {
        // The merges are private in the library, but they are part of the model's JSON.
        let json = serde_json::to_value(model).map_err(DataError::tokenizer)?;
        let vocab = model.get_vocab();
        let characters = vocab.iter().filter_map(|(token, &id)| {
            let mut characters = token.chars();
            let first = characters.next()?;
            characters.next().is_none().then_some((first, id))
        });
        let merges = json["merges"].as_array().map_or(&[][..], Vec::as_slice);
        let pairs = merges.iter().zip(0..).map(|(merge, rank)| {
            let (left, right) = merge[0].as_str().zip(merge[1].as_str())?;
            let joined = vocab.get(&format!("{left}{right}"))?;
            Some(((*vocab.get(left)?, *vocab.get(right)?), (rank, *joined)))
        });
        let pairs = pairs.collect::<Option<_>>();
        Ok(Self {
            characters: characters.collect(),
            pairs: pairs.ok_or_else(|| {
                DataError::tokenizer("a merge has a token that is not in the vocabulary")
            })?,
            dropout,
        })
    }

    /// Appends the tokens of a word to `out`. The merge of lowest rank is made repeatedly. Each merge
    /// is skipped with the dropout probability. Skipped merges are considered again, with a new draw,
    /// after the next merge that is made.
    pub(super) fn draw(&self, word: &str, rng: &mut impl RngCore, out: &mut Vec<u32>) {
        let mut symbols: Vec<Symbol> = word
            .chars()
            .filter_map(|character| self.characters.get(&character).copied())
            .enumerate()
            .map(|(at, token)| Symbol {
                token: Some(token),
                before: at.checked_sub(1),
                after: at + 1,
            })
            .collect();
        let mut merges = BinaryHeap::new();
        for at in 0..symbols.len() {
            merges.extend(self.merge_at(&symbols, at));
        }
        let mut skipped = Vec::new();
        while let Some(merge) = merges.pop() {
            let Reverse((_, at, pair)) = merge;
            // The pair may be gone, because one of its tokens was merged with another token.
            if self
                .merge_at(&symbols, at)
                .is_none_or(|Reverse((_, _, now))| now != pair)
            {
                continue;
            }
            if unit(rng) < self.dropout {
                skipped.push(merge);
                continue;
            }
            let right = symbols[at].after;
            let after = symbols[right].after;
            symbols[right].token = None;
            symbols[at].token = Some(self.pairs[&pair].1);
            symbols[at].after = after;
            if let Some(next) = symbols.get_mut(after) {
                next.before = Some(at);
            }
            merges.extend(skipped.drain(..));
            let before = symbols[at].before;
            merges.extend(before.and_then(|before| self.merge_at(&symbols, before)));
            merges.extend(self.merge_at(&symbols, at));
        }
        out.extend(symbols.iter().filter_map(|symbol| symbol.token));
    }

    /// The merge of a symbol with the next one, if there is one. Merges are ordered by rank, and merges
    /// of equal rank by their position in the word.
    fn merge_at(&self, symbols: &[Symbol], at: usize) -> Option<Merge> {
        let left = symbols[at].token?;
        let right = symbols.get(symbols[at].after)?.token?;
        let (rank, _) = self.pairs.get(&(left, right))?;
        Some(Reverse((*rank, at, (left, right))))
    }
}

/// Rank, position of the left symbol, and pair.
type Merge = Reverse<(u32, usize, (u32, u32))>;

/// A position in a word whose tokens are being merged.
struct Symbol {
    /// `None` if it was merged into an earlier symbol.
    token: Option<u32>,
    /// Index of the previous symbol.
    before: Option<usize>,
    /// Index of the next symbol. For the last symbol, it is the number of symbols.
    after: usize,
}
