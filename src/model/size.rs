use crate::spec::{Model, ModelKind, Norm, NormPosition, PositionKind};

/// How large a model is and what a token costs it, without building it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Size {
    pub params: u64,
    /// Without the token and position embeddings; a tied head is an embedding.
    pub params_non_embedding: u64,
    /// Floating-point operations a training token, forward and backward (twice the forward), the
    /// causal half of attention counted once (Chowdhery et al. 2022, appendix B).
    pub flops_per_token: f64,
}

/// The size of a model, and its cost on sequences of `block` tokens.
pub fn size(model: &Model, vocab_size: usize, block: usize) -> Size {
    let v = vocab_size as u64;
    match model.kind {
        ModelKind::Bigram => Size {
            params: v * v,
            params_non_embedding: 0,
            // A softmax and its gradient over a row, once each; there is no product.
            flops_per_token: 6.0 * v as f64,
        },
        // What it keeps is known when the text is counted.
        ModelKind::Ngram => Size {
            params: 0,
            params_non_embedding: 0,
            flops_per_token: 0.0,
        },
        ModelKind::Gpt => gpt(model, v, block as u64),
    }
}

fn gpt(model: &Model, v: u64, block: u64) -> Size {
    let (l, c, h) = (
        model.n_layer as u64,
        model.n_embd as u64,
        model.mlp_width() as u64,
    );
    let (hs, kv) = (model.head_size() as u64, model.kv_heads() as u64);
    let qkv = c + 2 * kv * hs;
    let mlp_in = if model.mlp.gated() { 2 * h } else { h };
    let matrices = l * (qkv * c + c * c + mlp_in * c + c * h);
    let has = model.biases();
    let count = |has: bool, width: u64| if has { width } else { 0 };
    let biases = l
        * (count(has.qkv, qkv) + count(has.attention_out, c) + count(has.mlp, mlp_in + c))
        + count(has.head, v);
    let norms = match (model.norm, model.norm_position) {
        (Norm::None, _) => 0,
        (_, NormPosition::Pre) if model.parallel_block => l + 1,
        (_, NormPosition::Pre) => 2 * l + 1,
        (_, NormPosition::Post) => 2 * l,
        (_, NormPosition::Sandwich) => 4 * l + 1,
    };
    let norms = norms * (c + count(has.norm, c)) + count(model.qk_norm, 2 * l * hs);
    let head = count(!model.tie_weights, v * c);
    let learned = model.positions.kind == PositionKind::Learned;
    let embeddings = v * c + count(learned, model.block_size as u64 * c);
    let params_non_embedding = matrices + biases + norms + head;
    // Scores and weighted sum, over the tokens that are seen.
    let attention = 2.0 * 2.0 * l as f64 * c as f64 * mean_seen(model, block);
    Size {
        params: params_non_embedding + embeddings,
        params_non_embedding,
        flops_per_token: 3.0 * (2.0 * (matrices + v * c) as f64 + attention),
    }
}

/// How many tokens a token of a sequence sees, on average.
fn mean_seen(model: &Model, block: u64) -> f64 {
    let window = model
        .sliding_window
        .map_or(block, |window| block.min(window as u64)) as f64;
    let t = block as f64;
    // The first `window` see one more each, the others all `window`.
    (window * (window + 1.0) / 2.0 + (t - window) * window) / t
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::CpuBackend;
    use crate::model;
    use crate::model::testing::configs;
    use crate::spec::{BiasOverrides, Mlp, MlpHidden};
    use dfdx::prelude::Cpu;

    #[test]
    fn counts_what_is_built() {
        use dfdx::prelude::HasShape;
        for config in configs() {
            let built = model::Model::<CpuBackend>::new(&Cpu::default(), &config, 19, 1).unwrap();
            let count =
                |p: &&model::Parameter<CpuBackend>| (p.value.shape().0 * p.value.shape().1) as u64;
            let built: u64 = built.parameters().iter().map(count).sum();
            assert_eq!(params(&config, 19), built, "{config:?}");
        }
    }

    fn params(config: &Model, vocab_size: usize) -> u64 {
        size(config, vocab_size, config.block_size).params
    }

    #[test]
    fn a_window_bounds_the_cost_of_attention() {
        let seen = |window, block| {
            let model = Model {
                sliding_window: window,
                ..Model::default()
            };
            mean_seen(&model, block)
        };
        assert_eq!(seen(None, 64), 32.5);
        assert_eq!(seen(Some(64), 64), 32.5);
        assert_eq!(seen(Some(1), 64), 1.0);
        assert_eq!(seen(Some(2), 4), 1.75);
    }

    #[test]
    fn gpt2_has_124_million_parameters() {
        let config = Model {
            n_layer: 12,
            n_head: 12,
            n_embd: 768,
            block_size: 1024,
            bias: true,
            ..Model::default()
        };
        assert_eq!(params(&config, 50257), 124_439_808);
    }

    /// As published: query, key and value without biases, everything else with.
    #[test]
    fn a_character_gpt_of_six_layers_has_10_8_million_parameters() {
        let config = Model {
            n_layer: 6,
            n_head: 6,
            n_embd: 384,
            block_size: 256,
            mlp: Mlp::Relu,
            tie_weights: false,
            bias: true,
            bias_overrides: BiasOverrides {
                qkv: Some(false),
                head: true,
                ..BiasOverrides::default()
            },
            ..Model::default()
        };
        assert_eq!(params(&config, 65), 10_788_929);
    }

    #[test]
    fn a_gated_gpt_without_biases_has_50_thousand_parameters() {
        let config = Model {
            n_layer: 4,
            n_head: 4,
            n_embd: 32,
            block_size: 16,
            norm: Norm::Rmsnorm,
            mlp: Mlp::Swiglu,
            mlp_hidden: MlpHidden::Multiple {
                numerator: 8,
                denominator: 3,
            },
            ..Model::default()
        };
        assert_eq!(params(&config, 27), 50_688);
    }

    #[test]
    fn an_untied_gpt_over_a_large_vocabulary_has_30_6_million_parameters() {
        let config = Model {
            n_layer: 6,
            n_head: 4,
            n_embd: 256,
            block_size: 256,
            tie_weights: false,
            bias: true,
            bias_overrides: BiasOverrides {
                head: true,
                ..BiasOverrides::default()
            },
            ..Model::default()
        };
        assert_eq!(params(&config, 50_281), 30_598_761);
    }
}
