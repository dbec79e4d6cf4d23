use crate::spec::{Model, ModelKind};

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

/// The size of a model.
pub fn size(model: &Model, vocab_size: usize) -> Size {
    let v = vocab_size as u64;
    match model.kind {
        ModelKind::Bigram => Size {
            params: v * v,
            params_non_embedding: 0,
            // A softmax and its gradient over a row, once each; there is no product.
            flops_per_token: 6.0 * v as f64,
        },
        ModelKind::Gpt => gpt(model, v),
    }
}

fn gpt(model: &Model, v: u64) -> Size {
    let (l, c, h) = (
        model.n_layer as u64,
        model.n_embd as u64,
        model.mlp_width() as u64,
    );
    let t = model.block_size as u64;
    let mlp_in = if model.mlp.gated() { 2 * h } else { h };
    let matrices = l * (3 * c * c + c * c + mlp_in * c + c * h);
    let biases = if model.bias {
        l * (3 * c + c + mlp_in + c)
    } else {
        0
    };
    let norm = if model.bias && model.norm.has_bias() {
        2 * c
    } else {
        c
    };
    let norms = (2 * l + 1) * norm;
    let head = if model.tie_weights { 0 } else { v * c };
    let params_non_embedding = matrices + biases + norms + head;
    // Scores and weighted sum, over (T + 1) / 2 tokens on average.
    let attention = 2.0 * 2.0 * l as f64 * c as f64 * (t + 1) as f64 / 2.0;
    Size {
        params: params_non_embedding + v * c + t * c,
        params_non_embedding,
        flops_per_token: 3.0 * (2.0 * (matrices + v * c) as f64 + attention),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model;
    use crate::ops::Fused;
    use crate::spec::{Mlp, Norm};
    use dfdx::prelude::Cpu;

    #[test]
    fn counts_what_is_built() {
        for norm in Norm::ALL {
            for mlp in Mlp::ALL {
                for bits in 0..8 {
                    let config = Model {
                        kind: if bits == 7 {
                            ModelKind::Bigram
                        } else {
                            ModelKind::Gpt
                        },
                        n_layer: 2,
                        n_head: 2,
                        n_embd: 12,
                        block_size: 7,
                        norm,
                        mlp,
                        tie_weights: bits & 1 == 0,
                        bias: bits & 2 == 0,
                        ..Model::default()
                    };
                    let built =
                        model::Model::<Fused>::new(&Cpu::default(), &config, 19, 1).unwrap();
                    let count = |p: &&model::Parameter<Fused>| {
                        (p.value.shape().0 * p.value.shape().1) as u64
                    };
                    use dfdx::prelude::HasShape;
                    let params: u64 = built.parameters().iter().map(count).sum();
                    assert_eq!(size(&config, 19).params, params, "{config:?}");
                }
            }
        }
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
        assert_eq!(size(&config, 50257).params, 124_439_808);
    }
}
