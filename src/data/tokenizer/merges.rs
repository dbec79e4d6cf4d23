//! Byte-pair merges, some of which are left out at random (BPE-dropout, Provilkov et al. 2020,
//! section 3).

use super::super::DataError;
use super::failed;
use crate::random::unit;
use rand_core::RngCore;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use tokenizers::models::bpe::BPE;

/// The merges of a model.
#[derive(Debug)]
pub(super) struct Merges {
    characters: HashMap<char, u32>,
    /// Rank of a pair, and what it becomes.
    pairs: HashMap<(u32, u32), (u32, u32)>,
    /// Probability that a merge is left out where it could be made.
    dropout: f64,
}

impl Merges {
    pub(super) fn new(model: &BPE, dropout: f64) -> Result<Self, DataError> {
        // Its merges are private, but they are written.
        let written = serde_json::to_value(model).map_err(failed)?;
        let vocab = model.get_vocab();
        let characters = vocab.iter().filter_map(|(token, &id)| {
            let mut characters = token.chars();
            let first = characters.next()?;
            characters.next().is_none().then_some((first, id))
        });
        let merges = written["merges"].as_array().map_or(&[][..], Vec::as_slice);
        let pairs = merges.iter().zip(0..).map(|(merge, rank)| {
            let (left, right) = merge[0].as_str().zip(merge[1].as_str())?;
            let joined = vocab.get(&format!("{left}{right}"))?;
            Some(((*vocab.get(left)?, *vocab.get(right)?), (rank, *joined)))
        });
        let pairs = pairs.collect::<Option<_>>();
        Ok(Self {
            characters: characters.collect(),
            pairs: pairs.ok_or_else(|| failed("its merges are not of its tokens"))?,
            dropout,
        })
    }

    /// Appends the tokens of a word to `out`: the best merge there is, again and again, except that
    /// each is left out with the probability of a dropout, drawn anew after every merge.
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
            merges.extend(self.merge(&symbols, at));
        }
        let mut left_out = Vec::new();
        while let Some(merge) = merges.pop() {
            let Reverse((_, at, pair)) = merge;
            // What it was of may be part of another token by now.
            if self
                .merge(&symbols, at)
                .is_none_or(|Reverse((_, _, now))| now != pair)
            {
                continue;
            }
            if unit(rng) < self.dropout {
                left_out.push(merge);
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
            merges.extend(left_out.drain(..));
            let before = symbols[at].before;
            merges.extend(before.and_then(|before| self.merge(&symbols, before)));
            merges.extend(self.merge(&symbols, at));
        }
        out.extend(symbols.iter().filter_map(|symbol| symbol.token));
    }

    /// The merge of a symbol with the next one, where there is one: best ranks first, and of equal
    /// ones the first in the word.
    fn merge(&self, symbols: &[Symbol], at: usize) -> Option<Merge> {
        let left = symbols[at].token?;
        let right = symbols.get(symbols[at].after)?.token?;
        let (rank, _) = self.pairs.get(&(left, right))?;
        Some(Reverse((*rank, at, (left, right))))
    }
}

/// Rank, place of the left symbol, and pair.
type Merge = Reverse<(u32, usize, (u32, u32))>;

/// A token of a word that is being merged.
struct Symbol {
    /// `None` where it is part of one before it.
    token: Option<u32>,
    before: Option<usize>,
    /// Beyond the end for the last.
    after: usize,
}
