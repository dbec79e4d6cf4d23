use super::forward_context::ForwardContext;
use super::linear::Linear;
use super::norm::QkNorm;
use super::residual::Residual;
use crate::kernels::operations::*;
use crate::kernels::{Backend, DeviceError, LayerCache, Matrix};
use crate::model::initializer::Initializer;
use crate::model::parameter::impl_parameters;
use crate::spec;
use dfdx::prelude::*;

/// Causal self-attention with several heads (Vaswani et al. 2017, section 3.2).
#[derive(Debug, Clone)]
pub(in crate::model) struct Attention<B: Backend> {
    /// Queries, keys and values of all heads in one product: (C + 2 kv hs, C).
    c_attn: Linear<B>,
    qk_norm: Option<QkNorm<B>>,
    /// (C, C)
    c_proj: Linear<B>,
}

impl_parameters!(Attention {
    c_attn,
    qk_norm,
    c_proj
});

/// The keys and values that the attention of one block has computed so far.
pub(in crate::model) type AttentionCache = LayerCache;

impl<B: Backend> Attention<B> {
    /// The layer without [`Self::add_qk_norm`].
    pub(in crate::model) fn new(
        init: &mut Initializer<B>,
        name: &str,
        config: &spec::Model,
    ) -> Result<Self, DeviceError<B::Device>> {
        let (c, biases) = (config.n_embd, config.biases());
        let kv = config.kv_heads().saturating_mul(config.head_size());
        let (attn, proj) = (format!("{name}.c_attn"), format!("{name}.c_proj"));
        let qkv = (c + 2 * kv, c);
        Ok(Self {
            c_attn: Linear::new(init, &attn, qkv, biases.qkv)?,
            qk_norm: None,
            c_proj: Linear::end_of_branch(init, &proj, (c, c), biases.attention_out, config)?,
        })
    }

    /// Adds the norm of queries and keys, where the model has one.
    pub(in crate::model) fn add_qk_norm(
        &mut self,
        init: &mut Initializer<B>,
        name: &str,
        config: &spec::Model,
    ) -> Result<(), DeviceError<B::Device>> {
        self.qk_norm = QkNorm::new(init, name, config)?;
        Ok(())
    }

    /// `residual + attention(x)`: (N, C) to (N, C).
    ///
    /// With a cache, `x` is only the new tokens. They attend to the cached tokens as well, and are
    /// added to the cache.
    pub(in crate::model) fn forward<T: Tape<f32, B::Device>>(
        &self,
        x: Matrix<B::Device, T>,
        residual: Residual<B>,
        ctx: &mut ForwardContext,
        cache: Option<&mut AttentionCache>,
    ) -> Result<Matrix<B::Device, T>, DeviceError<B::Device>> {
        let heads = ctx.heads;
        let mut qkv = self.c_attn.forward(x)?; // (N, C + 2 kv hs)
        if let Some(norm) = &self.qk_norm {
            qkv = norm.forward(qkv, heads)?;
        }
        if let Some(rotary) = ctx.rotary {
            qkv = B::rotary(qkv, heads, rotary)?;
        }
        let y = match cache {
            None => B::attention(qkv, heads, ctx.dropouts.attention(heads))?,
            Some(cache) => B::attention_cached(qkv, heads, cache)?,
        }; // (N, C)
        residual.add(y, &self.c_proj, ctx)
    }
}

/// Floating-point operations per token of attention scores and of the weighted sum of values, forward,
/// in all blocks. The products with parameters are not included.
pub(in crate::model) fn score_flops(config: &spec::Model, block: u64) -> f64 {
    2.0 * 2.0 * config.n_layer as f64 * config.n_embd as f64 * mean_seen(config, block)
}

/// Mean number of tokens that a token of a sequence attends to, itself included.
fn mean_seen(config: &spec::Model, block: u64) -> f64 {
    let window = config
        .sliding_window
        .map_or(block, |window| block.min(window as u64)) as f64;
    let t = block as f64;
    // Token i attends to i + 1 tokens until the window is full, and then to `window` tokens.
    (window * (window + 1.0) / 2.0 + (t - window) * window) / t
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_bounds_the_cost_of_attention() {
        let seen = |window, block| {
            let config = spec::Model {
                sliding_window: window,
                ..spec::Model::default()
            };
            mean_seen(&config, block)
        };
        assert_eq!(seen(None, 64), 32.5);
        assert_eq!(seen(Some(64), 64), 32.5);
        assert_eq!(seen(Some(1), 64), 1.0);
        assert_eq!(seen(Some(2), 4), 1.75);
    }
}
