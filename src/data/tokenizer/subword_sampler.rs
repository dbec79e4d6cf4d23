//! Subword regularization: random tokenizations of a text, all of which decode to the same text.
//!
//! The library can sample as well, but from a thread-local generator, so no run could be repeated.
//! The draws here come from a named stream.

use super::bpe_dropout::BpeDropout;
use super::encode::{Encoder, Tokenizer};
use super::segmentation_lattice::{SegmentationModel, Segmentations};
use super::{chunks, pre_tokenizer};
use crate::data::DataError;
use crate::data::parallel_map::parallel_map;
use crate::random::Stream;
use crate::spec::{self, TokenizerKind};
use rand_core::RngCore;
use std::collections::HashMap;
use std::rc::Rc;
use tokenizers::ModelWrapper;

/// Encodes a text at random.
#[derive(Debug)]
pub(in crate::data) struct SubwordSampler {
    tokenizer: Tokenizer,
    method: Method,
}

#[derive(Debug)]
enum Method {
    Unigram(SegmentationModel),
    Bpe(BpeDropout),
}

impl SubwordSampler {
    /// The sampler that a specification asks for, or `None` if every text has only one encoding.
    pub(in crate::data) fn from_spec(
        spec: &spec::Tokenizer,
        tokenizer: &Tokenizer,
    ) -> Result<Option<Self>, DataError> {
        let method = match (spec.kind, tokenizer.pipeline.get_model()) {
            (TokenizerKind::Unigram, ModelWrapper::Unigram(model)) => spec
                .alpha
                .map(|alpha| Method::Unigram(SegmentationModel::new(model, alpha, spec.nbest))),
            (TokenizerKind::Bpe, ModelWrapper::BPE(model)) if spec.dropout > 0.0 => {
                Some(Method::Bpe(BpeDropout::new(model, spec.dropout)?))
            }
            _ => None,
        };
        Ok(method.map(|method| Self {
            tokenizer: tokenizer.clone(),
            method,
        }))
    }

    /// Encodes a text and passes its tokens to `sink`, in order and in batches. The tokens depend on
    /// the stream and on `epoch`, and not on the number of threads: each chunk of the text has its
    /// own draws.
    pub(in crate::data) fn encode(
        &self,
        text: &str,
        stream: &Stream,
        epoch: u64,
        sink: &mut dyn FnMut(&[u32]) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        debug_assert!(matches!(
            self.tokenizer.encoder,
            Encoder::Pipeline { chunkable: true }
        ));
        // A text has fewer than 2^32 chunks, so every chunk of every epoch has its own counter.
        let mut counter = epoch << 32;
        for batch in chunks::batches(chunks::cut(text)) {
            let numbered: Vec<(u64, &str)> = (counter..).zip(batch).collect();
            counter += numbered.len() as u64;
            let encoded = parallel_map(numbered, |(counter, chunk)| {
                self.encode_chunk(chunk, &mut stream.at(counter))
            })?;
            encoded.iter().try_for_each(|tokens| sink(tokens))?;
        }
        Ok(())
    }

    fn encode_chunk(&self, text: &str, rng: &mut impl RngCore) -> Result<Vec<u32>, DataError> {
        let mut tokens = Vec::new();
        let pipeline = &self.tokenizer.pipeline;
        match &self.method {
            Method::Unigram(model) => {
                // Most words occur several times. Their segmentations are computed once, and only
                // the draws are made again.
                let mut known: HashMap<String, Rc<Segmentations>> = HashMap::new();
                pre_tokenizer::each_word(pipeline, text, |word| {
                    let segmentations = match known.get(word) {
                        Some(segmentations) => Rc::clone(segmentations),
                        None => {
                            let new = Rc::new(model.segmentations(word));
                            known.insert(word.to_owned(), Rc::clone(&new));
                            new
                        }
                    };
                    segmentations.draw(rng, &mut tokens);
                })?;
            }
            Method::Bpe(dropout) => {
                pre_tokenizer::each_word(pipeline, text, |word| {
                    dropout.draw(word, rng, &mut tokens);
                })?;
            }
        }
        Ok(tokens)
    }
}
