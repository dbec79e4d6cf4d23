//! A decoder-only transformer, in reading order: parts, model, initialisation, forward.
//!
//! Each block is `x + attention(norm(x))`, then `x + mlp(norm(x))` (Radford et al. 2019, section
//! 2.3). An ablation choice is an enum, matched where it matters and nowhere else.

use super::StepNoise;
use super::parameter::{Initializer, Parameter, Role};
use crate::ops::{Backend, Dropout, Fault, Heads, Matrix, Scalar};
use crate::random::Stream;
use crate::spec;
use dfdx::prelude::*;

/// `x Wᵀ + b`
#[derive(Debug, Clone)]
struct Linear<B: Backend> {
    weight: Parameter<B>,
    bias: Option<Parameter<B>>,
}

/// LayerNorm or RMSNorm.
#[derive(Debug, Clone)]
struct Norm<B: Backend> {
    kind: spec::Norm,
    gain: Parameter<B>,
    bias: Option<Parameter<B>>,
}

#[derive(Debug, Clone)]
struct Block<B: Backend> {
    norm_1: Norm<B>,
    /// Query, key and value as one product: (3C, C).
    qkv: Linear<B>,
    attention_out: Linear<B>,
    norm_2: Norm<B>,
    /// (H, C), or (2H, C) if gated: the gate first.
    mlp_in: Linear<B>,
    mlp_out: Linear<B>,
}

/// A GPT.
#[derive(Debug, Clone)]
pub struct Gpt<B: Backend> {
    config: spec::Model,
    /// (V, C)
    tokens: Parameter<B>,
    /// (block_size, C)
    positions: Parameter<B>,
    blocks: Vec<Block<B>>,
    norm: Norm<B>,
    /// (V, C); absent where the token embedding is also the head.
    head: Option<Parameter<B>>,
}

impl<B: Backend> Gpt<B> {
    /// Weights as in GPT-2: N(0, 0.02), and N(0, 0.02/√(2L)) where a branch joins the residual
    /// stream (Radford et al. 2019, section 2.3); gains 1, biases 0.
    pub(super) fn new(
        device: &B::Device,
        config: &spec::Model,
        vocab_size: usize,
        stream: &Stream,
    ) -> Result<Self, Fault<B::Device>> {
        let c = config.n_embd;
        let h = config.mlp_width();
        let mlp_in = if config.mlp.gated() { 2 * h } else { h };
        let residual_std = 0.02 / (2.0 * config.n_layer as f64).sqrt();
        let mut init = Initializer::new(device, stream);
        let role = if config.tie_weights {
            Role::Head
        } else {
            Role::Embedding
        };
        let tokens = init.normal("wte.weight", role, (vocab_size, c), 0.02)?;
        let positions = init.normal("wpe.weight", Role::Embedding, (config.block_size, c), 0.02)?;
        let mut blocks = Vec::with_capacity(config.n_layer);
        for i in 0..config.n_layer {
            let name = |part: &str| format!("h.{i}.{part}");
            let mut linear = |part: &str, shape: (usize, usize), std| {
                Linear::new(&mut init, &name(part), shape, std, config.bias)
            };
            let qkv = linear("attn.c_attn", (3 * c, c), 0.02)?;
            let attention_out = linear("attn.c_proj", (c, c), residual_std)?;
            let mlp_in = linear("mlp.c_fc", (mlp_in, c), 0.02)?;
            let mlp_out = linear("mlp.c_proj", (c, h), residual_std)?;
            blocks.push(Block {
                norm_1: Norm::new(&mut init, &name("ln_1"), config)?,
                qkv,
                attention_out,
                norm_2: Norm::new(&mut init, &name("ln_2"), config)?,
                mlp_in,
                mlp_out,
            });
        }
        let norm = Norm::new(&mut init, "ln_f", config)?;
        let head = match config.tie_weights {
            true => None,
            false => Some(init.normal("lm_head.weight", Role::Head, (vocab_size, c), 0.02)?),
        };
        Ok(Self {
            config: config.clone(),
            tokens,
            positions,
            blocks,
            norm,
            head,
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
        let x = self.trunk(inputs, block, noise)?; // (N, C)
        B::head_cross_entropy(x, self.head(), None, targets, scale)
    }

    /// See [`super::Model::next_logits`].
    pub(super) fn next_logits(
        &self,
        tokens: &[usize],
    ) -> Result<Matrix<B::Device>, Fault<B::Device>> {
        let x: Matrix<B::Device> = self.trunk(tokens, tokens.len(), None)?; // (T, C)
        let (n, c) = *x.shape();
        let last = x.as_vec().split_off((n - 1) * c);
        let last = self
            .tokens
            .value
            .device()
            .try_tensor_from_vec(last, (1, c))?;
        B::linear(last, self.head(), None)
    }

    /// Token ids (N), in sequences of `block`, to the input of the head (N, C).
    fn trunk<T: Tape<f32, B::Device>>(
        &self,
        tokens: &[usize],
        block: usize,
        noise: Option<StepNoise>,
    ) -> Result<Matrix<B::Device, T>, Fault<B::Device>> {
        let mut dropouts = Dropouts::new(&self.config, noise, block);
        let heads = Heads {
            count: self.config.n_head,
            block,
        };
        let x = B::embed(
            &self.tokens.value,
            Some(&self.positions.value),
            tokens,
            block,
        )?;
        let mut x: Matrix<B::Device, T> = dropouts.drop::<B, T>(x)?;
        for part in &self.blocks {
            x = part.attend(x, heads, &mut dropouts)?;
            x = part.think(x, self.config.mlp, &mut dropouts)?;
        }
        self.norm.forward(x)
    }

    /// (V, C)
    fn head(&self) -> &Matrix<B::Device> {
        &self.head.as_ref().unwrap_or(&self.tokens).value
    }

    pub(super) fn parameters(&self) -> Vec<&Parameter<B>> {
        let mut all = vec![&self.tokens, &self.positions];
        for block in &self.blocks {
            all.extend(block.norm_1.parameters());
            all.extend(block.qkv.parameters());
            all.extend(block.attention_out.parameters());
            all.extend(block.norm_2.parameters());
            all.extend(block.mlp_in.parameters());
            all.extend(block.mlp_out.parameters());
        }
        all.extend(self.norm.parameters());
        all.extend(&self.head);
        all
    }

    pub(super) fn parameters_mut(&mut self) -> Vec<&mut Parameter<B>> {
        let mut all = vec![&mut self.tokens, &mut self.positions];
        for block in &mut self.blocks {
            all.extend(block.norm_1.parameters_mut());
            all.extend(block.qkv.parameters_mut());
            all.extend(block.attention_out.parameters_mut());
            all.extend(block.norm_2.parameters_mut());
            all.extend(block.mlp_in.parameters_mut());
            all.extend(block.mlp_out.parameters_mut());
        }
        all.extend(self.norm.parameters_mut());
        all.extend(&mut self.head);
        all
    }
}

impl<B: Backend> Block<B> {
    /// `x + attention(norm(x))`: (N, C) to (N, C)
    fn attend<T: Tape<f32, B::Device>>(
        &self,
        x: Matrix<B::Device, T>,
        heads: Heads,
        dropouts: &mut Dropouts,
    ) -> Result<Matrix<B::Device, T>, Fault<B::Device>> {
        let (residual, tape) = x.split_tape();
        let y = self.norm_1.forward(residual.clone().put_tape(tape))?;
        let qkv = B::linear(y, &self.qkv.weight.value, self.qkv.bias())?; // (N, 3C)
        let y = B::attention(qkv, heads, dropouts.scores(heads))?; // (N, C)
        self.attention_out.join(y, &residual, dropouts)
    }

    /// `x + mlp(norm(x))`: (N, C) to (N, C)
    fn think<T: Tape<f32, B::Device>>(
        &self,
        x: Matrix<B::Device, T>,
        mlp: spec::Mlp,
        dropouts: &mut Dropouts,
    ) -> Result<Matrix<B::Device, T>, Fault<B::Device>> {
        let (residual, tape) = x.split_tape();
        let y = self.norm_2.forward(residual.clone().put_tape(tape))?;
        let (weight, bias) = (&self.mlp_in.weight.value, self.mlp_in.bias());
        let y = B::linear_activation(y, weight, bias, mlp)?; // (N, H)
        self.mlp_out.join(y, &residual, dropouts)
    }
}

impl<B: Backend> Linear<B> {
    fn new(
        init: &mut Initializer<B>,
        name: &str,
        shape: (usize, usize),
        std: f64,
        bias: bool,
    ) -> Result<Self, Fault<B::Device>> {
        let weight = init.normal(format!("{name}.weight"), Role::Matrix, shape, std)?;
        let bias = match bias {
            true => Some(init.constant(format!("{name}.bias"), Role::Bias, shape.0, 0.0)?),
            false => None,
        };
        Ok(Self { weight, bias })
    }

    fn bias(&self) -> Option<&Matrix<B::Device>> {
        self.bias.as_ref().map(|bias| &bias.value)
    }

    /// `residual + dropout(x Wᵀ + b)`
    fn join<T: Tape<f32, B::Device>>(
        &self,
        x: Matrix<B::Device, T>,
        residual: &Matrix<B::Device>,
        dropouts: &mut Dropouts,
    ) -> Result<Matrix<B::Device, T>, Fault<B::Device>> {
        let (weight, bias) = (&self.weight.value, self.bias());
        if dropouts.none() {
            return B::linear_residual(x, weight, bias, residual);
        }
        let y = dropouts.drop::<B, T>(B::linear(x, weight, bias)?)?;
        y.try_add(residual.clone())
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
    ) -> Result<Self, Fault<B::Device>> {
        let c = config.n_embd;
        let kind = config.norm;
        let bias = match config.bias && kind.has_bias() {
            true => Some(init.constant(format!("{name}.bias"), Role::Bias, c, 0.0)?),
            false => None,
        };
        let gain = init.constant(format!("{name}.weight"), Role::Norm, c, 1.0)?;
        Ok(Self { kind, gain, bias })
    }

    fn forward<T: Tape<f32, B::Device>>(
        &self,
        x: Matrix<B::Device, T>,
    ) -> Result<Matrix<B::Device, T>, Fault<B::Device>> {
        let bias = self.bias.as_ref().map(|bias| &bias.value);
        B::norm(x, self.kind, &self.gain.value, bias)
    }

    fn parameters(&self) -> impl Iterator<Item = &Parameter<B>> {
        std::iter::once(&self.gain).chain(&self.bias)
    }

    fn parameters_mut(&mut self) -> impl Iterator<Item = &mut Parameter<B>> {
        std::iter::once(&mut self.gain).chain(&mut self.bias)
    }
}

/// The dropouts of one pass, each with a mask of its own.
struct Dropouts<'a> {
    p: f32,
    noise: Option<StepNoise<'a>>,
    block: usize,
    site: u32,
}

impl<'a> Dropouts<'a> {
    fn new(config: &spec::Model, noise: Option<StepNoise<'a>>, block: usize) -> Self {
        Self {
            p: config.dropout,
            noise: noise.filter(|_| config.dropout > 0.0),
            block,
            site: 0,
        }
    }

    fn none(&self) -> bool {
        self.noise.is_none()
    }

    /// The next mask, for rows of `per_row` elements.
    fn next(&mut self, per_row: usize) -> Option<Dropout> {
        let noise = self.noise?;
        self.site += 1;
        let offset = noise.first_row * per_row;
        Some(Dropout::new(
            self.p,
            noise.stream,
            noise.step,
            self.site,
            offset,
        ))
    }

    /// The mask of the attention weights: T for each head of each row.
    fn scores(&mut self, heads: Heads) -> Option<Dropout> {
        self.next(heads.count * self.block)
    }

    fn drop<B: Backend, T: Tape<f32, B::Device>>(
        &mut self,
        x: Matrix<B::Device, T>,
    ) -> Result<Matrix<B::Device, T>, Fault<B::Device>> {
        match self.next(x.shape().1) {
            Some(dropout) => B::dropout(x, dropout),
            None => Ok(x),
        }
    }
}
