//! A decoder-only transformer: the whole of it here, a block and its layers in files of their own.
//!
//! Each block is `x + attention(norm(x))`, then `x + mlp(norm(x))` (Radford et al. 2019, section
//! 2.3), unless `norm_position` or `parallel` says otherwise. An ablation choice is matched where it
//! matters and nowhere else.

mod block;
mod dropouts;
mod layers;
mod positions;

use super::StepNoise;
use super::parameter::{Initializer, Parameter, Role};
use crate::ops::{Backend, Fault, Head, Heads, Matrix, Rotary, Rowwise, Scalar};
use crate::random::Stream;
use crate::spec::{self, NormPosition};
use block::Block;
use dfdx::prelude::*;
use dropouts::Dropouts;
use layers::{Norm, normalized};
use positions::Positions;

/// A GPT.
#[derive(Debug, Clone)]
pub struct Gpt<B: Backend> {
    config: spec::Model,
    /// (V, C)
    tokens: Parameter<B>,
    positions: Positions<B>,
    blocks: Vec<Block<B>>,
    norm: Option<Norm<B>>,
    /// (V, C); absent where the token embedding is also the head.
    head: Option<Parameter<B>>,
    /// (1, V)
    head_bias: Option<Parameter<B>>,
}

/// What a GPT keeps of the tokens it has seen, so as not to compute them again: keys and values.
#[derive(Debug, Clone)]
pub(super) struct Past<B: Backend> {
    /// Tokens of each sequence.
    pub(super) len: usize,
    /// Of each block.
    pub(super) memories: Vec<B::Memory>,
}

impl Past<Rowwise> {
    /// The past of one sequence for several that begin with it.
    pub(super) fn repeat(&mut self, sequences: usize) {
        let memories = self.memories.iter_mut();
        memories.for_each(|memory| memory.repeat(sequences));
    }
}

impl<B: Backend> Gpt<B> {
    pub(super) fn new(
        device: &B::Device,
        config: &spec::Model,
        vocab_size: usize,
        stream: Option<&Stream>,
    ) -> Result<Self, Fault<B::Device>> {
        let c = config.n_embd;
        let biases = config.biases();
        let mut init = Initializer::new(device, stream, &config.init);
        let role = if config.tie_weights {
            Role::Head
        } else {
            Role::Embedding
        };
        let tokens = init.table("wte.weight", role, (vocab_size, c))?;
        let positions = Positions::new(&mut init, device, config)?;
        let blocks = (0..config.n_layer)
            .map(|i| Block::new(&mut init, i, config))
            .collect::<Result<_, _>>()?;
        let norm = match config.norm_position {
            NormPosition::Pre | NormPosition::Sandwich => Norm::new(&mut init, "ln_f", config)?,
            NormPosition::Post => None,
        };
        let shape = (vocab_size, c);
        let head = match config.tie_weights {
            true => None,
            false => Some(init.matrix("lm_head.weight", Role::Head, shape, None)?),
        };
        let head_bias = match biases.head {
            true => Some(init.bias("lm_head.bias", shape)?),
            false => None,
        };
        Ok(Self {
            config: config.clone(),
            tokens,
            positions,
            blocks,
            norm,
            head,
            head_bias,
        })
    }

    /// See [`super::Model::loss`].
    pub(super) fn loss<T: Tape<f32, B::Device>>(
        &self,
        inputs: &[usize],
        targets: &[usize],
        block: usize,
        scale: f32,
        noise: Option<StepNoise>,
    ) -> Result<Scalar<B::Device, T>, Fault<B::Device>> {
        let x = normalized(self.norm.as_ref(), self.trunk(inputs, block, noise, None)?)?; // (N, C)
        B::head_cross_entropy(x, self.head(), targets, scale)
    }

    /// Logits (B, V) for the token after the last of each sequence. `tokens` (N), in sequences of
    /// `block`, are those that are not in `past` yet, where there is one, and then are.
    pub(super) fn next_logits(
        &self,
        tokens: &[usize],
        block: usize,
        past: Option<&mut Past<B>>,
    ) -> Result<Matrix<B::Device>, Fault<B::Device>> {
        let x = self.trunk(tokens, block, None, past)?; // (N, C)
        let last = if block == 1 {
            x
        } else {
            let (n, c) = *x.shape();
            let rows = x.as_vec();
            let last = rows.chunks_exact(block * c);
            let last = last.flat_map(|rows| rows[(block - 1) * c..].iter().copied());
            let device = self.tokens.value.device();
            device.try_tensor_from_vec(last.collect(), (n / block, c))?
        };
        B::logits(normalized(self.norm.as_ref(), last)?, self.head())
    }

    /// A past of nothing.
    pub(super) fn no_past(&self) -> Past<B> {
        Past {
            len: 0,
            memories: vec![B::Memory::default(); self.blocks.len()],
        }
    }

    /// Token ids (N), in sequences of `block` that go on after `past` where there is one, to the
    /// residual stream after the last block (N, C).
    fn trunk<T: Tape<f32, B::Device>>(
        &self,
        tokens: &[usize],
        block: usize,
        noise: Option<StepNoise>,
        mut past: Option<&mut Past<B>>,
    ) -> Result<Matrix<B::Device, T>, Fault<B::Device>> {
        let mut dropouts = Dropouts::new(&self.config, noise, block);
        let scale = match self.config.scale_embedding {
            true => (self.config.n_embd as f32).sqrt(),
            false => 1.0,
        };
        let first = past.as_ref().map_or(0, |past| past.len);
        let positions = self.positions.table();
        let x = B::embed(&self.tokens.value, scale, positions, tokens, block, first)?;
        let mut x: Matrix<B::Device, T> = match dropouts.next(x.shape().1, dropouts.p.embedding) {
            Some(dropout) => B::dropout(x, dropout)?,
            None => x,
        }; // (N, C)
        let mut pass = Pass {
            config: &self.config,
            heads: Heads {
                count: self.config.n_head,
                kv_count: self.config.kv_heads(),
                block,
                first,
                window: self.config.window,
                alibi: matches!(self.positions, Positions::Alibi),
            },
            rotary: match &self.positions {
                Positions::Rotary(rotary) => Some(rotary),
                _ => None,
            },
            dropouts,
        };
        for (i, part) in self.blocks.iter().enumerate() {
            let memory = past.as_mut().map(|past| &mut past.memories[i]);
            x = part.forward(x, &mut pass, memory)?;
        }
        if let Some(past) = past {
            past.len += block;
        }
        Ok(x)
    }

    fn head(&self) -> Head<'_, B::Device> {
        Head {
            weight: &self.head.as_ref().unwrap_or(&self.tokens).value,
            bias: self.head_bias.as_ref().map(|bias| &bias.value),
            soft_cap: self.config.logit_soft_cap,
        }
    }

    pub(super) fn parameters(&self) -> Vec<&Parameter<B>> {
        let mut all = vec![&self.tokens];
        if let Positions::Learned(table) = &self.positions {
            all.push(table);
        }
        all.extend(self.blocks.iter().flat_map(Block::parameters));
        all.extend(self.norm.iter().flat_map(Norm::parameters));
        all.extend(&self.head);
        all.extend(&self.head_bias);
        all
    }

    pub(super) fn parameters_mut(&mut self) -> Vec<&mut Parameter<B>> {
        let mut all = vec![&mut self.tokens];
        if let Positions::Learned(table) = &mut self.positions {
            all.push(table);
        }
        all.extend(self.blocks.iter_mut().flat_map(Block::parameters_mut));
        all.extend(self.norm.iter_mut().flat_map(Norm::parameters_mut));
        all.extend(&mut self.head);
        all.extend(&mut self.head_bias);
        all
    }
}

impl Gpt<Rowwise> {
    /// With the weights of the linear layers as [`Rowwise`] wants them, who are given as in any
    /// other GPT.
    pub(super) fn laid(mut self) -> Self {
        let mut head = self.head.take().unwrap_or_else(|| self.tokens.clone());
        head.value = Rowwise::laid(&head.value);
        self.head = Some(head);
        for linear in self.blocks.iter_mut().flat_map(Block::linears_mut) {
            linear.weight.value = Rowwise::laid(&linear.weight.value);
        }
        self
    }
}

/// What the blocks of one pass have in common.
struct Pass<'a> {
    config: &'a spec::Model,
    heads: Heads,
    rotary: Option<&'a Rotary>,
    dropouts: Dropouts<'a>,
}
