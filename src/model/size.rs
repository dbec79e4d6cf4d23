use super::bigram;
use super::blocks::attention::score_flops;
use super::initializer::ParameterShape;
use super::language_model::parameter_shapes;
use super::parameter::ParamGroup;
use crate::kernels::SharedGradients;
use crate::spec::{Model, ModelKind};

/// The number of parameters of a model, and its cost per token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Size {
    pub params: u64,
    /// Without the tables of tokens and positions. A tied head is such a table.
    pub params_non_embedding: u64,
    /// In large linear layers, whose gradients the threads of a step share: see [`SharedGradients`].
    pub params_with_shared_gradients: u64,
    /// Elements of the largest parameter.
    pub largest_parameter: u64,
    /// Floating-point operations per training token, forward and backward. The backward pass costs
    /// twice the forward pass. It is the formula of Chowdhery et al. (2022, appendix B), except that
    /// attention is counted for the tokens that the causal mask leaves only, which is half of it. For
    /// GPT-2 small, the formula without this exception, as in nanoGPT, gives 7 % more.
    pub flops_per_token: f64,
}

/// The size of a model, and its cost on sequences of `block` tokens. The model is not allocated.
///
/// Nothing is trained in an n-gram model, so its size is 0. The number of its counts is known after
/// counting.
pub fn size(config: &Model, vocab_size: usize, block: usize) -> Size {
    let shapes = parameter_shapes(config, vocab_size);
    let count = |wanted: &dyn Fn(&ParameterShape) -> bool| {
        let counts = shapes.iter().filter(|shape| wanted(shape));
        counts.fold(0u64, |sum, shape| sum.saturating_add(shape.count()))
    };
    // A token takes one multiplication and one addition for each weight of a linear layer.
    let multiplied = count(&|shape| matches!(shape.group, ParamGroup::Matrix | ParamGroup::Head));
    Size {
        params: count(&|_| true),
        params_non_embedding: count(&|shape| !shape.is_table),
        params_with_shared_gradients: count(&|shape| {
            shape.group == ParamGroup::Matrix
                && shape.count() >= SharedGradients::MIN_ELEMENTS as u64
        }),
        largest_parameter: shapes.iter().map(ParameterShape::count).max().unwrap_or(0),
        flops_per_token: match config.kind {
            ModelKind::Bigram => bigram::flops_per_token(vocab_size),
            ModelKind::Ngram => 0.0,
            ModelKind::Gpt => 3.0 * (2.0 * multiplied as f64 + score_flops(config, block as u64)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::CpuBackend;
    use crate::model;
    use crate::model::testing::configs;
    use crate::spec::{BiasOverrides, Mlp, MlpHidden, Norm, PositionKind};
    use dfdx::prelude::{Cpu, HasShape};

    /// A layer that makes a parameter but does not list it in `impl_parameters` fails here.
    #[test]
    fn shapes_are_those_of_the_parameters_that_are_visited() {
        for config in configs() {
            let model = model::Model::<CpuBackend>::new(&Cpu::default(), &config, 19, 1).unwrap();
            let built = model.parameters().into_iter();
            let built = built.map(|p| (p.name.clone(), p.group, *p.value.shape()));
            let shapes = parameter_shapes(&config, 19).into_iter();
            let shapes = shapes.map(|p| (p.name, p.group, p.shape));
            let sorted = |mut list: Vec<(String, ParamGroup, (usize, usize))>| {
                list.sort_by(|a, b| a.0.cmp(&b.0));
                list
            };
            assert_eq!(
                sorted(shapes.collect()),
                sorted(built.collect()),
                "{config:?}"
            );
        }
    }

    #[test]
    fn a_size_beyond_memory_is_counted_without_allocating() {
        for kind in [
            PositionKind::Learned,
            PositionKind::Sinusoidal,
            PositionKind::Rotary,
        ] {
            let mut config = Model {
                n_layer: 1,
                n_embd: 100_000,
                block_size: 1_000_000,
                ..Model::default()
            };
            config.positions.kind = kind;
            assert!(params(&config, 100_000) > 100_000_000_000);
        }
        let bigram = Model {
            kind: ModelKind::Bigram,
            ..Model::default()
        };
        assert_eq!(params(&bigram, usize::MAX), u64::MAX);
    }

    fn params(config: &Model, vocab_size: usize) -> u64 {
        size(config, vocab_size, config.block_size).params
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
