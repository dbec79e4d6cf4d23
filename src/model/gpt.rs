//! A decoder-only transformer (Radford et al. 2019, section 2.3), in reading order: block, model.
//!
//! The layers of a block are in [`super::blocks`]. Shapes use the letters of [`crate::model`].

use super::blocks::attention::{Attention, AttentionCache};
use super::blocks::dropouts::{DropoutContext, Dropouts};
use super::blocks::forward_context::ForwardContext;
use super::blocks::mlp::Mlp;
use super::blocks::norm::{Norm, normalize};
use super::blocks::positions::Positions;
use super::blocks::residual::BranchNorms;
use super::initializer::Initializer;
use super::kv_cache::KvCache;
use super::parameter::{ParamGroup, Parameter, Parameters, impl_parameters};
use crate::kernels::operations::*;
use crate::kernels::{Backend, DecodeBackend, DeviceError, Head, Matrix, Scalar, packed};
use crate::spec::{self, NormPosition};
use dfdx::prelude::*;

/// A transformer block: attention, then an MLP, or both in parallel.
#[derive(Debug, Clone)]
struct Block<B: Backend> {
    ln_1: BranchNorms<B>,
    attn: Attention<B>,
    /// Without norms if the block is parallel: both branches then use `ln_1`.
    ln_2: BranchNorms<B>,
    mlp: Mlp<B>,
    parallel: bool,
}

impl_parameters!(Block {
    ln_1,
    attn,
    ln_2,
    mlp
});

impl<B: Backend> Block<B> {
    /// Block `i` of the model.
    fn new(
        init: &mut Initializer<B>,
        i: usize,
        config: &spec::Model,
    ) -> Result<Self, DeviceError<B::Device>> {
        let name = |part: &str| format!("h.{i}.{part}");
        // This order decides the random numbers of each parameter. A new order changes results.
        let mut attn = Attention::new(init, &name("attn"), config)?;
        let mlp = Mlp::new(init, &name("mlp"), config)?;
        attn.add_qk_norm(init, &name("attn"), config)?;
        let ln_1 = BranchNorms::new(init, &name("ln_1"), config)?;
        let ln_2 = match config.parallel_block {
            true => BranchNorms::none(),
            false => BranchNorms::new(init, &name("ln_2"), config)?,
        };
        Ok(Self {
            ln_1,
            attn,
            ln_2,
            mlp,
            parallel: config.parallel_block,
        })
    }

    /// `x = x + attn(ln_1(x)); x = x + mlp(ln_2(x))`: (N, C) to (N, C).
    ///
    /// A parallel block is `x + attn(ln_1(x)) + mlp(ln_1(x))`.
    fn forward<T: Tape<f32, B::Device>>(
        &self,
        x: Matrix<B::Device, T>,
        ctx: &mut ForwardContext,
        cache: Option<&mut AttentionCache>,
    ) -> Result<Matrix<B::Device, T>, DeviceError<B::Device>> {
        if self.parallel {
            return self.ln_1.add_parallel_branches(
                x,
                ctx,
                |y, x, ctx| self.attn.forward(y, x, ctx, cache),
                |y, x, ctx| self.mlp.forward(y, x, ctx),
            );
        }
        let x = (self.ln_1).add_branch(x, |y, x| self.attn.forward(y, x, ctx, cache))?;
        (self.ln_2).add_branch(x, |y, x| self.mlp.forward(y, x, ctx))
    }
}

/// A GPT: embeddings, blocks, a last norm, and the output head.
#[derive(Debug, Clone)]
pub struct Gpt<B: Backend> {
    config: spec::Model,
    /// Token embedding (V, C).
    wte: Parameter<B>,
    positions: Positions<B>,
    blocks: Vec<Block<B>>,
    ln_f: Option<Norm<B>>,
    /// (V, C). `None` if the token embedding is also the head.
    lm_head: Option<Parameter<B>>,
    /// (1, V)
    lm_head_bias: Option<Parameter<B>>,
}

impl_parameters!(Gpt {
    wte,
    positions,
    blocks,
    ln_f,
    lm_head,
    lm_head_bias
});

impl<B: Backend> Gpt<B> {
    pub(super) fn new(
        init: &mut Initializer<B>,
        device: &B::Device,
        config: &spec::Model,
        vocab_size: usize,
    ) -> Result<Self, DeviceError<B::Device>> {
        let shape = (vocab_size, config.n_embd);
        let wte_group = match config.tie_weights {
            true => ParamGroup::Head,
            false => ParamGroup::Embedding,
        };
        // This order decides the random numbers of each parameter. A new order changes results.
        let wte = init.table("wte.weight", wte_group, shape)?;
        let positions = Positions::new(init, device, config)?;
        let blocks = (0..config.n_layer)
            .map(|i| Block::new(init, i, config))
            .collect::<Result<_, _>>()?;
        let ln_f = match config.norm_position {
            NormPosition::Pre | NormPosition::Sandwich => Norm::new(init, "ln_f", config)?,
            NormPosition::Post => None,
        };
        let lm_head = match config.tie_weights {
            true => None,
            false => Some(init.matrix("lm_head.weight", ParamGroup::Head, shape, None)?),
        };
        let lm_head_bias = match config.biases().head {
            true => Some(init.bias("lm_head.bias", shape)?),
            false => None,
        };
        Ok(Self {
            config: config.clone(),
            wte,
            positions,
            blocks,
            ln_f,
            lm_head,
            lm_head_bias,
        })
    }

    /// See [`super::Model::loss`].
    pub(super) fn loss<T: Tape<f32, B::Device>>(
        &self,
        inputs: &[usize],
        targets: &[usize],
        block: usize,
        scale: f32,
        dropout: Option<DropoutContext>,
    ) -> Result<Scalar<B::Device, T>, DeviceError<B::Device>> {
        let x = self.forward_hidden(inputs, block, dropout, None)?; // (N, C)
        let x = normalize(&self.ln_f, x)?; // (N, C)
        B::head_cross_entropy(x, self.head(), targets, scale)
    }

    /// Logits (B, V) for the token after the last token of each sequence.
    ///
    /// `tokens` (N) are sequences of `block` tokens. With a cache, they are only the tokens that the
    /// cache does not hold yet, and the cache holds them afterwards.
    pub(super) fn next_logits(
        &self,
        tokens: &[usize],
        block: usize,
        cache: Option<&mut KvCache>,
    ) -> Result<Matrix<B::Device>, DeviceError<B::Device>> {
        let x = self.forward_hidden(tokens, block, None, cache)?; // (N, C)
        let x = last_of_each(x, block)?; // (B, C)
        B::logits(normalize(&self.ln_f, x)?, self.head()) // (B, V)
    }

    /// The residual stream after the last block: token ids (N) to (N, C).
    ///
    /// `tokens` are sequences of `block` tokens that follow the tokens in the cache, if there is one.
    fn forward_hidden<T: Tape<f32, B::Device>>(
        &self,
        tokens: &[usize],
        block: usize,
        dropout: Option<DropoutContext>,
        mut cache: Option<&mut KvCache>,
    ) -> Result<Matrix<B::Device, T>, DeviceError<B::Device>> {
        let config = &self.config;
        let first = cache.as_ref().map_or(0, |cache| cache.len());
        let scale = match config.scale_embedding {
            true => (config.n_embd as f32).sqrt(),
            false => 1.0,
        };
        let positions = self.positions.table();
        let mut x: Matrix<B::Device, T> =
            B::embed(&self.wte.value, scale, positions, tokens, block, first)?; // (N, C)
        let mut dropouts = Dropouts::new(config, dropout);
        if let Some(dropout) = dropouts.embedding(config.n_embd) {
            x = B::dropout(x, dropout)?;
        }
        let mut ctx = ForwardContext::new(config, &self.positions, block, first, dropouts);
        for (i, layer) in self.blocks.iter().enumerate() {
            let cache = cache.as_mut().map(|cache| cache.layer(i));
            x = layer.forward(x, &mut ctx, cache)?; // (N, C)
        }
        if let Some(cache) = cache {
            cache.advance(block);
        }
        Ok(x)
    }

    fn head(&self) -> Head<'_, B::Device> {
        Head {
            weight: &self.lm_head.as_ref().unwrap_or(&self.wte).value,
            bias: self.lm_head_bias.as_ref().map(|bias| &bias.value),
            soft_cap: self.config.logit_soft_cap,
        }
    }

    /// An empty cache for this model.
    pub(super) fn empty_cache(&self) -> KvCache {
        KvCache::new(self.blocks.len())
    }
}

impl Gpt<DecodeBackend> {
    /// Packs the weights of linear layers as [`DecodeBackend`] needs them. The weights must not be
    /// packed already.
    pub(super) fn packed(mut self) -> Self {
        let mut head = self.lm_head.take().unwrap_or_else(|| self.wte.clone());
        head.value = packed(&head.value);
        self.lm_head = Some(head);
        self.visit_mut(&mut |parameter| {
            if parameter.group == ParamGroup::Matrix {
                parameter.value = packed(&parameter.value);
            }
        });
        self
    }
}

/// The last row of each sequence of `block` rows: (N, C) to (B, C).
fn last_of_each<D: Device<f32>>(x: Matrix<D>, block: usize) -> Result<Matrix<D>, DeviceError<D>> {
    if block == 1 {
        return Ok(x);
    }
    let (n, c) = *x.shape();
    let rows = x.as_vec();
    let last = rows.chunks_exact(block * c);
    let last = last.flat_map(|rows| rows[(block - 1) * c..].iter().copied());
    x.device()
        .try_tensor_from_vec(last.collect(), (n / block, c))
}
