use super::bigram::Bigram;
use super::gpt::Gpt;
use super::kv_cache::KvCache;
use super::language_model::Model;
use super::parameter::Parameter;
use crate::data::NgramCounts;
use crate::kernels::{Backend, DecodeBackend, Matrix};
use crate::spec;
use dfdx::prelude::*;

/// A model that continues texts, one token at a time. It runs on the CPU, whatever device it was
/// trained on.
///
/// A GPT keeps the keys and values of earlier tokens in a [`KvCache`]. Logits have the same bits with
/// and without the cache: see [`DecodeBackend`].
#[derive(Debug, Clone)]
pub struct Decoder(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Bigram(Bigram<DecodeBackend>),
    Ngram(NgramCounts),
    Gpt(Box<GptDecoder>),
}

#[derive(Debug, Clone)]
struct GptDecoder {
    gpt: Gpt<DecodeBackend>,
    /// Largest number of tokens in a context.
    context: usize,
    cache: KvCache,
    /// Index in the texts of the first token in the cache.
    start: usize,
}

/// The index at which the context of a text of `len` tokens starts. A context has at most `most`
/// tokens.
///
/// When the context is full, its older half is dropped and the cache is rebuilt. A context that moved
/// by one token per step would rebuild the cache at every step, because all positions change. The start
/// depends only on the length of the text, so the same text always gets the same context.
pub(super) fn context_start(len: usize, most: usize) -> usize {
    let step = (most / 2).max(1);
    len.saturating_sub(most).div_ceil(step) * step
}

impl Decoder {
    /// Copies the weights of `model`, which `config` describes. Contexts have at most `context` tokens,
    /// which must not be more than the model was trained on.
    ///
    /// # Errors
    /// If there is not enough memory for the weights.
    pub fn new<B: Backend>(
        model: &Model<B>,
        config: &spec::Model,
        vocab_size: usize,
        context: usize,
    ) -> Result<Self, CpuError> {
        let mut copy = Model::<DecodeBackend>::zeros(&Cpu::default(), config, vocab_size)?;
        for (to, from) in copy.parameters_mut().into_iter().zip(model.parameters()) {
            to.value = copy_to_cpu(from)?;
        }
        Ok(Self(match copy {
            Model::Bigram(model) => Kind::Bigram(model),
            Model::Gpt(gpt) => {
                let gpt = gpt.packed();
                Kind::Gpt(Box::new(GptDecoder {
                    cache: gpt.empty_cache(),
                    context,
                    gpt,
                    start: 0,
                }))
            }
        }))
    }

    /// A decoder for an n-gram model. Its logits are the logarithms of its probabilities.
    pub fn from_ngram(model: NgramCounts) -> Self {
        Self(Kind::Ngram(model))
    }

    /// Logits (B, V) for the token after each of B texts.
    ///
    /// The texts have the same length, at least one token, and must begin with the texts of the call
    /// before. If that call had one text, B texts may continue it.
    ///
    /// # Errors
    /// If there is not enough memory.
    ///
    /// # Panics
    /// If there is no text.
    pub fn next_logits(&mut self, texts: &[Vec<usize>]) -> Result<Matrix<Cpu>, CpuError> {
        match &mut self.0 {
            Kind::Bigram(model) => {
                let last = texts.iter().filter_map(|text| text.last().copied());
                model.logits(&last.collect::<Vec<usize>>()) // (B, V)
            }
            Kind::Ngram(model) => {
                let distributions = texts.iter().map(|text| model.distribution(text));
                let logits: Vec<f32> = distributions
                    .flatten()
                    .map(|p| libm::log(p) as f32)
                    .collect();
                let shape = (texts.len(), logits.len() / texts.len());
                Cpu::default().try_tensor_from_vec(logits, shape)
            }
            Kind::Gpt(decoder) => decoder.next_logits(texts),
        }
    }
}

impl GptDecoder {
    /// See [`Decoder::next_logits`].
    fn next_logits(&mut self, texts: &[Vec<usize>]) -> Result<Matrix<Cpu>, CpuError> {
        let len = texts[0].len();
        let start = context_start(len, self.context);
        if start != self.start {
            self.cache = self.gpt.empty_cache();
            self.start = start;
        }
        let mut new = start..len;
        if self.cache.len() > 0 {
            self.cache.repeat(texts.len());
            new.start += self.cache.len();
        }
        let tokens: Vec<usize> = texts
            .iter()
            .flat_map(|text| &text[new.clone()])
            .copied()
            .collect();
        self.gpt
            .next_logits(&tokens, new.len(), Some(&mut self.cache))
    }
}

fn copy_to_cpu<B: Backend>(parameter: &Parameter<B>) -> Result<Matrix<Cpu>, CpuError> {
    let value = &parameter.value;
    Cpu::default().try_tensor_from_vec(value.as_vec(), *value.shape())
}
