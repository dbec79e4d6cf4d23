use super::bigram::Bigram;
use super::gpt::{Gpt, KvCache};
use super::{Model, Parameter};
use crate::data::NgramCounts;
use crate::kernels::{Backend, DecodeBackend, Matrix};
use crate::spec;
use dfdx::prelude::*;

/// A model that goes on with texts, token after token, on the CPU whatever it was trained on.
///
/// What it has computed of the tokens so far it keeps, and what it comes to is the same to the bit
/// as if it computed them again: see [`DecodeBackend`].
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
    /// Most tokens in a context.
    context: usize,
    past: KvCache,
    /// Position in the texts of the first token that is in the past.
    start: usize,
}

/// Where the context of the token after `len` begins: that many tokens at the front are forgotten.
///
/// A context has at most `most` tokens. When it is full, its older half goes, and it grows
/// again: a GPT sees all positions change when its window moves and has to begin anew, which would
/// cost a whole window a token if it moved by one. It is a function of the length of the text
/// alone, so the context does not depend on how the text came about.
pub(super) fn context_start(len: usize, most: usize) -> usize {
    let step = (most / 2).max(1);
    len.saturating_sub(most).div_ceil(step) * step
}

impl Decoder {
    /// Takes over the weights of `model`, which `config` describes, for contexts of at most `context`
    /// tokens: those that it was trained on, or fewer.
    ///
    /// # Errors
    /// If there is no memory for them.
    pub fn new<B: Backend>(
        model: &Model<B>,
        config: &spec::Model,
        vocab_size: usize,
        context: usize,
    ) -> Result<Self, CpuError> {
        let mut copy = Model::<DecodeBackend>::zeros(&Cpu::default(), config, vocab_size)?;
        for (to, from) in copy.parameters_mut().into_iter().zip(model.parameters()) {
            to.value = on_the_cpu(from)?;
        }
        Ok(Self(match copy {
            Model::Bigram(model) => Kind::Bigram(model),
            Model::Gpt(gpt) => {
                let gpt = gpt.packed();
                Kind::Gpt(Box::new(GptDecoder {
                    past: gpt.empty_cache(),
                    context,
                    gpt,
                    start: 0,
                }))
            }
        }))
    }

    /// An n-gram model, whose logits are the logarithms of its probabilities.
    pub fn from_ngram(model: NgramCounts) -> Self {
        Self(Kind::Ngram(model))
    }

    /// Logits (B, V) for the token after each of B texts, which are equally long and not empty. They
    /// begin with the texts of the call before, if there was one; B may only have been 1 then, for
    /// several texts that go on from one.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub fn next_logits(&mut self, texts: &[Vec<usize>]) -> Result<Matrix<Cpu>, CpuError> {
        match &mut self.0 {
            Kind::Bigram(model) => {
                let last: Vec<usize> = texts
                    .iter()
                    .filter_map(|text| text.last().copied())
                    .collect();
                model.logits(&last)
            }
            Kind::Ngram(model) => {
                let distributions = texts.iter().map(|text| model.distribution(text));
                let logits: Vec<f32> = distributions.flatten().map(|p| p.ln() as f32).collect();
                let shape = (texts.len(), logits.len() / texts.len());
                Cpu::default().try_tensor_from_vec(logits, shape)
            }
            Kind::Gpt(decoder) => decoder.next_logits(texts),
        }
    }
}

impl GptDecoder {
    fn next_logits(&mut self, texts: &[Vec<usize>]) -> Result<Matrix<Cpu>, CpuError> {
        let len = texts[0].len();
        let start = context_start(len, self.context);
        if start != self.start {
            self.past = self.gpt.empty_cache();
            self.start = start;
        }
        let mut new = start..len;
        if self.past.len > 0 {
            self.past.repeat(texts.len());
            new.start += self.past.len;
        }
        let tokens: Vec<usize> = texts
            .iter()
            .flat_map(|text| &text[new.clone()])
            .copied()
            .collect();
        self.gpt
            .next_logits(&tokens, new.len(), Some(&mut self.past))
    }
}

fn on_the_cpu<B: Backend>(parameter: &Parameter<B>) -> Result<Matrix<Cpu>, CpuError> {
    let value = &parameter.value;
    Cpu::default().try_tensor_from_vec(value.as_vec(), *value.shape())
}
