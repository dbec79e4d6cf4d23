//! Subword regularisation: tokens of a text that are drawn at random, and stand for the same text.
//!
//! The library samples too, but from a generator of its own thread, so that no two runs would see
//! the same tokens. The draws here are those of a named stream.

use super::super::DataError;
use super::lattice::{Pieces, Segmentations};
use super::merges::Merges;
use super::{Encoder, Tokenizer, words};
use crate::random::Stream;
use crate::spec::{self, TokenizerKind};
use rand_core::RngCore;
use rayon::prelude::*;
use std::collections::HashMap;
use std::rc::Rc;
use tokenizers::ModelWrapper;

/// Draws encodings of a tokenizer.
#[derive(Debug)]
pub(in crate::data) struct Sampler {
    tokenizer: Tokenizer,
    method: Method,
}

#[derive(Debug)]
enum Method {
    Unigram(Pieces),
    Bpe(Merges),
}

impl Sampler {
    /// The sampler that a specification asks for; `None` where text has one encoding.
    pub(in crate::data) fn of(
        spec: &spec::Tokenizer,
        tokenizer: &Tokenizer,
    ) -> Result<Option<Self>, DataError> {
        let method = match (spec.kind, tokenizer.pipeline.get_model()) {
            (TokenizerKind::Unigram, ModelWrapper::Unigram(model)) => spec
                .alpha
                .map(|alpha| Method::Unigram(Pieces::new(model, alpha, spec.nbest))),
            (TokenizerKind::Bpe, ModelWrapper::BPE(model)) if spec.dropout > 0.0 => {
                Some(Method::Bpe(Merges::new(model, spec.dropout)?))
            }
            _ => None,
        };
        Ok(method.map(|method| Self {
            tokenizer: tokenizer.clone(),
            method,
        }))
    }

    /// Hands the tokens of a text to `sink`, in order, some at a time. They are a function of the
    /// stream and of `epoch`: each piece of the text has draws of its own, whatever the number of
    /// threads.
    pub(in crate::data) fn encode(
        &self,
        text: &str,
        stream: &Stream,
        epoch: u64,
        sink: &mut dyn FnMut(&[u32]) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        debug_assert!(matches!(
            self.tokenizer.encoder,
            Encoder::Pipeline { cut: true }
        ));
        // A text has fewer than 2^32 pieces, and so each of each epoch a counter of its own.
        let mut counter = epoch << 32;
        for batch in words::batches(words::cut(text)) {
            let numbered: Vec<(u64, &str)> = (counter..).zip(batch).collect();
            counter += numbered.len() as u64;
            let pieces: Vec<Vec<u32>> = numbered
                .into_par_iter()
                .map(|(counter, piece)| self.encode_piece(piece, &mut stream.at(counter)))
                .collect::<Result<_, _>>()?;
            pieces.iter().try_for_each(|tokens| sink(tokens))?;
        }
        Ok(())
    }

    fn encode_piece(&self, text: &str, rng: &mut impl RngCore) -> Result<Vec<u32>, DataError> {
        let mut tokens = Vec::new();
        let pipeline = &self.tokenizer.pipeline;
        match &self.method {
            Method::Unigram(pieces) => {
                // Most words of a text come more than once, and the draws alone are new.
                let mut known: HashMap<String, Rc<Segmentations>> = HashMap::new();
                words::each(pipeline, text, |word| {
                    let segmentations = match known.get(word) {
                        Some(segmentations) => Rc::clone(segmentations),
                        None => {
                            let new = Rc::new(pieces.segmentations(word));
                            known.insert(word.to_owned(), Rc::clone(&new));
                            new
                        }
                    };
                    segmentations.draw(rng, &mut tokens);
                })?;
            }
            Method::Bpe(merges) => {
                words::each(pipeline, text, |word| merges.draw(word, rng, &mut tokens))?;
            }
        }
        Ok(tokens)
    }
}
