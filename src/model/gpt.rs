//! A decoder-only transformer, in reading order: layers, block, model. Positions and dropouts are in
//! files of their own.
//!
//! Each block is `x + attention(norm(x))`, then `x + mlp(norm(x))` (Radford et al. 2019, section
//! 2.3), unless `norm_position` or `parallel` says otherwise. An ablation choice is matched where it
//! matters and nowhere else.

mod dropouts;
mod positions;

use super::DropoutContext;
use super::parameter::{Initializer, ParamGroup, Parameter};
use crate::kernels::operations::*;
use crate::kernels::{
    Backend, DecodeBackend, DeviceError, Head, Heads, LayerCache, Matrix, Rotary, Scalar, packed,
};
use crate::random::Stream;
use crate::spec::{self, NormPosition};
use dfdx::prelude::*;
use dropouts::Dropouts;
use positions::Positions;

/// `x Wᵀ + b`
#[derive(Debug, Clone)]
struct Linear<B: Backend> {
    weight: Parameter<B>,
    bias: Option<Parameter<B>>,
}

/// LayerNorm or RMSNorm. A model without norms has none of these.
#[derive(Debug, Clone)]
struct Norm<B: Backend> {
    kind: spec::Norm,
    gain: Parameter<B>,
    bias: Option<Parameter<B>>,
}

/// The norms of a branch.
#[derive(Debug, Clone)]
struct Norms<B: Backend> {
    /// Of what the branch reads.
    before: Option<Norm<B>>,
    /// Of what it adds to the residual stream, or of their sum.
    after: Option<Norm<B>>,
}

impl<B: Backend> Linear<B> {
    fn new(
        init: &mut Initializer<B>,
        name: &str,
        shape: (usize, usize),
        bias: bool,
        branches: Option<usize>,
    ) -> Result<Self, DeviceError<B::Device>> {
        let weight = init.matrix(
            format!("{name}.weight"),
            ParamGroup::Matrix,
            shape,
            branches,
        )?;
        let bias = match bias {
            true => Some(init.bias(format!("{name}.bias"), shape)?),
            false => None,
        };
        Ok(Self { weight, bias })
    }

    fn bias(&self) -> Option<&Matrix<B::Device>> {
        self.bias.as_ref().map(|bias| &bias.value)
    }

    fn parameters(&self) -> impl Iterator<Item = &Parameter<B>> {
        std::iter::once(&self.weight).chain(&self.bias)
    }

    fn parameters_mut(&mut self) -> impl Iterator<Item = &mut Parameter<B>> {
        std::iter::once(&mut self.weight).chain(&mut self.bias)
    }
}

impl<B: Backend> Norm<B> {
    fn new(
        init: &mut Initializer<B>,
        name: &str,
        config: &spec::Model,
    ) -> Result<Option<Self>, DeviceError<B::Device>> {
        let kind = config.norm;
        if kind == spec::Norm::None {
            return Ok(None);
        }
        let c = config.n_embd;
        let bias = match config.biases().norm {
            true => Some(init.constant(format!("{name}.bias"), ParamGroup::Bias, c, 0.0)?),
            false => None,
        };
        let gain = init.constant(format!("{name}.weight"), ParamGroup::Norm, c, 1.0)?;
        Ok(Some(Self { kind, gain, bias }))
    }

    fn parameters(&self) -> impl Iterator<Item = &Parameter<B>> {
        std::iter::once(&self.gain).chain(&self.bias)
    }

    fn parameters_mut(&mut self) -> impl Iterator<Item = &mut Parameter<B>> {
        std::iter::once(&mut self.gain).chain(&mut self.bias)
    }
}

impl<B: Backend> Norms<B> {
    fn none() -> Self {
        Self {
            before: None,
            after: None,
        }
    }

    fn new(
        init: &mut Initializer<B>,
        name: &str,
        config: &spec::Model,
    ) -> Result<Self, DeviceError<B::Device>> {
        let mut norm = |name: &str| Norm::new(init, name, config);
        Ok(match config.norm_position {
            NormPosition::Pre => Self {
                before: norm(name)?,
                after: None,
            },
            NormPosition::Post => Self {
                before: None,
                after: norm(name)?,
            },
            NormPosition::Sandwich => Self {
                before: norm(name)?,
                after: norm(&format!("{name}_after"))?,
            },
        })
    }

    fn parameters(&self) -> impl Iterator<Item = &Parameter<B>> {
        let norms = self.before.iter().chain(&self.after);
        norms.flat_map(Norm::parameters)
    }

    fn parameters_mut(&mut self) -> impl Iterator<Item = &mut Parameter<B>> {
        let norms = self.before.iter_mut().chain(&mut self.after);
        norms.flat_map(Norm::parameters_mut)
    }
}

/// (N, C) to (N, C)
fn normalized<B: Backend, T: Tape<f32, B::Device>>(
    norm: Option<&Norm<B>>,
    x: Matrix<B::Device, T>,
) -> Result<Matrix<B::Device, T>, DeviceError<B::Device>> {
    match norm {
        Some(Norm { kind, gain, bias }) => {
            B::norm(x, *kind, &gain.value, bias.as_ref().map(|bias| &bias.value))
        }
        None => Ok(x),
    }
}

/// What the blocks of one pass have in common.
struct Pass<'a> {
    config: &'a spec::Model,
    heads: Heads,
    rotary: Option<&'a Rotary>,
    dropouts: Dropouts<'a>,
}

#[derive(Debug, Clone)]
struct Block<B: Backend> {
    norms_1: Norms<B>,
    /// Queries, keys and values of all heads as one product: (C + 2 kv hs, C).
    qkv: Linear<B>,
    /// Gains of queries and of keys: (1, hs).
    qk_gains: Option<[Parameter<B>; 2]>,
    attention_out: Linear<B>,
    norms_2: Norms<B>,
    /// (H, C), or (2H, C) if gated: the gate first.
    mlp_in: Linear<B>,
    mlp_out: Linear<B>,
}

impl<B: Backend> Block<B> {
    fn new(
        init: &mut Initializer<B>,
        i: usize,
        config: &spec::Model,
    ) -> Result<Self, DeviceError<B::Device>> {
        let (c, h) = (config.n_embd, config.mlp_width());
        let hs = config.head_size();
        let qkv = c + 2 * config.kv_heads() * hs;
        let mlp_in = if config.mlp.gated() { 2 * h } else { h };
        let biases = config.biases();
        let branches = Some(2 * config.n_layer);
        let name = |part: &str| format!("h.{i}.{part}");
        let mut linear = |part: &str, shape: (usize, usize), bias, branches| {
            Linear::new(init, &name(part), shape, bias, branches)
        };
        let qkv = linear("attn.c_attn", (qkv, c), biases.qkv, None)?;
        let attention_out = linear("attn.c_proj", (c, c), biases.attention_out, branches)?;
        let mlp_in = linear("mlp.c_fc", (mlp_in, c), biases.mlp, None)?;
        let mlp_out = linear("mlp.c_proj", (c, h), biases.mlp, branches)?;
        let mut gain = |part: &str| init.constant(name(part), ParamGroup::Norm, hs, 1.0);
        let qk_gains = match config.qk_norm {
            true => Some([gain("attn.q_norm.weight")?, gain("attn.k_norm.weight")?]),
            false => None,
        };
        Ok(Self {
            norms_1: Norms::new(init, &name("ln_1"), config)?,
            qkv,
            qk_gains,
            attention_out,
            norms_2: match config.parallel_block {
                true => Norms::none(),
                false => Norms::new(init, &name("ln_2"), config)?,
            },
            mlp_in,
            mlp_out,
        })
    }

    /// (N, C) to (N, C)
    fn forward<T: Tape<f32, B::Device>>(
        &self,
        x: Matrix<B::Device, T>,
        pass: &mut Pass,
        memory: Option<&mut LayerCache>,
    ) -> Result<Matrix<B::Device, T>, DeviceError<B::Device>> {
        let (residual, tape) = x.split_tape();
        let y = normalized(
            self.norms_1.before.as_ref(),
            residual.clone().put_tape(tape),
        )?;
        if pass.config.parallel_block {
            let (y, tape) = y.split_tape();
            let sum = self.attention(y.clone().put_tape(tape), &residual, pass, memory)?;
            let (sum, tape) = sum.split_tape();
            return self.mlp(y.put_tape(tape), &sum, pass);
        }
        let x = self.attention(y, &residual, pass, memory)?;
        let (residual, tape) = x.split_tape();
        let y = normalized(
            self.norms_2.before.as_ref(),
            residual.clone().put_tape(tape),
        )?;
        self.mlp(y, &residual, pass)
    }

    /// `residual + attention(x)`: (N, C) to (N, C)
    fn attention<T: Tape<f32, B::Device>>(
        &self,
        x: Matrix<B::Device, T>,
        residual: &Matrix<B::Device>,
        pass: &mut Pass,
        memory: Option<&mut LayerCache>,
    ) -> Result<Matrix<B::Device, T>, DeviceError<B::Device>> {
        let heads = pass.heads;
        let mut qkv = B::linear(x, &self.qkv.weight.value, self.qkv.bias())?; // (N, C + 2 kv hs)
        if let Some([q, k]) = &self.qk_gains {
            qkv = B::qk_norm(qkv, heads, [&q.value, &k.value])?;
        }
        if let Some(rotary) = pass.rotary {
            qkv = B::rotary(qkv, heads, rotary)?;
        }
        let y = match memory {
            None => B::attention(qkv, heads, pass.dropouts.scores(heads))?,
            Some(memory) => B::attention_cached(qkv, heads, memory)?,
        }; // (N, C)
        self.join(y, &self.attention_out, &self.norms_1, residual, pass)
    }

    /// `residual + mlp(x)`: (N, C) to (N, C)
    fn mlp<T: Tape<f32, B::Device>>(
        &self,
        x: Matrix<B::Device, T>,
        residual: &Matrix<B::Device>,
        pass: &mut Pass,
    ) -> Result<Matrix<B::Device, T>, DeviceError<B::Device>> {
        let (weight, bias) = (&self.mlp_in.weight.value, self.mlp_in.bias());
        let y = B::linear_activation(x, weight, bias, pass.config.mlp)?; // (N, H)
        self.join(y, &self.mlp_out, &self.norms_2, residual, pass)
    }

    /// `residual + dropout(x Wᵀ + b)`, with the norm that comes after where there is one.
    fn join<T: Tape<f32, B::Device>>(
        &self,
        x: Matrix<B::Device, T>,
        last: &Linear<B>,
        norms: &Norms<B>,
        residual: &Matrix<B::Device>,
        pass: &mut Pass,
    ) -> Result<Matrix<B::Device, T>, DeviceError<B::Device>> {
        let (weight, bias) = (&last.weight.value, last.bias());
        let c = weight.shape().0;
        let dropout = pass.dropouts.next(c, pass.dropouts.p.residual);
        let (of_branch, of_sum) = match pass.config.norm_position {
            NormPosition::Pre | NormPosition::Sandwich => (norms.after.as_ref(), None),
            NormPosition::Post => (None, norms.after.as_ref()),
        };
        let sum = if dropout.is_none() && of_branch.is_none() {
            B::linear_residual(x, weight, bias, residual)?
        } else {
            let mut y = normalized(of_branch, B::linear(x, weight, bias)?)?;
            if let Some(dropout) = dropout {
                y = B::dropout(y, dropout)?;
            }
            y.try_add(residual.clone())?
        };
        normalized(of_sum, sum)
    }

    fn parameters(&self) -> impl Iterator<Item = &Parameter<B>> {
        (self.norms_1.parameters())
            .chain(self.qkv.parameters())
            .chain(self.qk_gains.iter().flatten())
            .chain(self.attention_out.parameters())
            .chain(self.norms_2.parameters())
            .chain(self.mlp_in.parameters())
            .chain(self.mlp_out.parameters())
    }

    fn parameters_mut(&mut self) -> impl Iterator<Item = &mut Parameter<B>> {
        (self.norms_1.parameters_mut())
            .chain(self.qkv.parameters_mut())
            .chain(self.qk_gains.iter_mut().flatten())
            .chain(self.attention_out.parameters_mut())
            .chain(self.norms_2.parameters_mut())
            .chain(self.mlp_in.parameters_mut())
            .chain(self.mlp_out.parameters_mut())
    }

    fn linears_mut(&mut self) -> [&mut Linear<B>; 4] {
        [
            &mut self.qkv,
            &mut self.attention_out,
            &mut self.mlp_in,
            &mut self.mlp_out,
        ]
    }
}

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
pub(super) struct KvCache {
    /// Tokens of each sequence.
    pub(super) len: usize,
    /// Of each block.
    memories: Vec<LayerCache>,
}

impl KvCache {
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
    ) -> Result<Self, DeviceError<B::Device>> {
        let c = config.n_embd;
        let biases = config.biases();
        let mut init = Initializer::new(device, stream, &config.init);
        let group = if config.tie_weights {
            ParamGroup::Head
        } else {
            ParamGroup::Embedding
        };
        let tokens = init.table("wte.weight", group, (vocab_size, c))?;
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
            false => Some(init.matrix("lm_head.weight", ParamGroup::Head, shape, None)?),
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
        noise: Option<DropoutContext>,
    ) -> Result<Scalar<B::Device, T>, DeviceError<B::Device>> {
        let x = normalized(self.norm.as_ref(), self.trunk(inputs, block, noise, None)?)?; // (N, C)
        B::head_cross_entropy(x, self.head(), targets, scale)
    }

    /// Logits (B, V) for the token after the last of each sequence. `tokens` (N), in sequences of
    /// `block`, are those that are not in `past` yet, where there is one, and then are.
    pub(super) fn next_logits(
        &self,
        tokens: &[usize],
        block: usize,
        past: Option<&mut KvCache>,
    ) -> Result<Matrix<B::Device>, DeviceError<B::Device>> {
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
    pub(super) fn empty_cache(&self) -> KvCache {
        KvCache {
            len: 0,
            memories: vec![LayerCache::default(); self.blocks.len()],
        }
    }

    /// Token ids (N), in sequences of `block` that go on after `past` where there is one, to the
    /// residual stream after the last block (N, C).
    fn trunk<T: Tape<f32, B::Device>>(
        &self,
        tokens: &[usize],
        block: usize,
        noise: Option<DropoutContext>,
        mut past: Option<&mut KvCache>,
    ) -> Result<Matrix<B::Device, T>, DeviceError<B::Device>> {
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
                window: self.config.sliding_window,
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

impl Gpt<DecodeBackend> {
    /// With the weights of the linear layers in the layout of [`DecodeBackend`]. They are given as in any other GPT.
    pub(super) fn packed(mut self) -> Self {
        let mut head = self.head.take().unwrap_or_else(|| self.tokens.clone());
        head.value = packed(&head.value);
        self.head = Some(head);
        for linear in self.blocks.iter_mut().flat_map(Block::linears_mut) {
            linear.weight.value = packed(&linear.weight.value);
        }
        self
    }
}
