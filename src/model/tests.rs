//! Tests of whole models, with every architecture choice of [`super::testing::configs`].

use super::testing::{BLOCK, configs};
use super::{Decoder, DropoutContext, Model, decoder, sampler};
use crate::kernels::operations::*;
use crate::kernels::{Backend, CpuBackend, ReferenceBackend, Scalar};
use crate::random::Stream;
use crate::spec::{Init, InitKind, Model as Config, ModelKind};
use dfdx::prelude::*;

const VOCAB: usize = 29;

fn batch(sequences: usize) -> (Vec<usize>, Vec<usize>) {
    let tokens: Vec<usize> = (0..=sequences * BLOCK)
        .map(|i| (i * i + 3 * i) % VOCAB)
        .collect();
    (tokens[..sequences * BLOCK].to_vec(), tokens[1..].to_vec())
}

/// The loss of the first step, and the gradient of each parameter by name.
fn first_step<B: Backend>(device: &B::Device, config: &Config) -> (f32, Vec<(String, Vec<f32>)>) {
    let model = Model::<B>::new(device, config, VOCAB, 7).unwrap();
    let (inputs, targets) = batch(4);
    let stream = Stream::new(7, "dropout");
    let dropout = DropoutContext {
        stream: &stream,
        step: 0,
        first_row: 0,
    };
    let scale = 1.0 / inputs.len() as f32;
    let loss: Scalar<B::Device, OwnedTape<f32, B::Device>> = model
        .loss(&inputs, &targets, BLOCK, scale, Some(dropout))
        .unwrap();
    let value = loss.as_vec()[0];
    let mut gradients = loss.backward();
    let named = model.parameters().into_iter().map(|parameter| {
        let gradient = B::take_gradient(&mut gradients, &parameter.value).unwrap();
        (parameter.name.clone(), gradient.as_vec())
    });
    (value, named.collect())
}

/// The kernels against the same model from the operations of dfdx.
#[test]
fn loss_and_gradients_match_the_reference_backend() {
    let device = Cpu::default();
    for config in configs() {
        let (want, want_gradients) = first_step::<ReferenceBackend<Cpu>>(&device, &config);
        let (got, got_gradients) = first_step::<CpuBackend>(&device, &config);
        assert!(
            (want - got).abs() < 1e-4 * want,
            "{want} against {got}: {config:?}"
        );
        for ((name, want), (_, got)) in want_gradients.iter().zip(&got_gradients) {
            let norm = |x: &[f32]| x.iter().map(|v| v * v).sum::<f32>().sqrt();
            let difference: Vec<f32> = want.iter().zip(got).map(|(a, b)| a - b).collect();
            assert!(norm(want) > 0.0, "{name} has no gradient: {config:?}");
            let error = norm(&difference) / norm(want);
            assert!(
                error < 1e-4,
                "{name} differs by {error} of its norm: {config:?}"
            );
        }
    }
}

#[test]
fn losses_of_shards_add_up_to_the_loss_of_the_batch() {
    let stream = Stream::new(7, "dropout");
    let config = Config {
        dropout: 0.2,
        block_size: BLOCK,
        ..Config::default()
    };
    let model = Model::<CpuBackend>::new(&Cpu::default(), &config, VOCAB, 7).unwrap();
    let (inputs, targets) = batch(4);
    let loss = |from: usize, to: usize| {
        let rows = from * BLOCK..to * BLOCK;
        let dropout = DropoutContext {
            stream: &stream,
            step: 3,
            first_row: rows.start,
        };
        let scale = 1.0 / inputs.len() as f32;
        let (inputs, targets) = (&inputs[rows.clone()], &targets[rows]);
        let loss: Scalar<Cpu> = model
            .loss(inputs, targets, BLOCK, scale, Some(dropout))
            .unwrap();
        loss.array()
    };
    assert!((loss(0, 4) - (loss(0, 1) + loss(1, 4))).abs() < 1e-5);
}

#[test]
fn next_logits_match_the_loss_of_the_last_token() {
    for config in configs() {
        let model = Model::<CpuBackend>::new(&Cpu::default(), &config, VOCAB, 7).unwrap();
        let (inputs, targets) = batch(1);
        let logits = model.next_logits(&inputs).unwrap();
        let last: Scalar<Cpu> =
            CpuBackend::cross_entropy(logits, &targets[BLOCK - 1..], 1.0).unwrap();
        let all = |n: usize| -> f32 {
            let loss: Scalar<Cpu> = model
                .loss(&inputs[..n], &targets[..n], n, 1.0, None)
                .unwrap();
            loss.array()
        };
        assert!(
            (all(BLOCK) - all(BLOCK - 1) - last.array()).abs() < 1e-4,
            "{config:?}"
        );
    }
}

/// Extends texts by `tokens` sampled tokens each. `logits` returns the logits (B, V) of the next token.
/// Returns the texts, and the logits of each step.
fn continued(
    mut texts: Vec<Vec<usize>>,
    tokens: usize,
    mut logits: impl FnMut(&[Vec<usize>]) -> Vec<f32>,
) -> (Vec<Vec<usize>>, Vec<Vec<f32>>) {
    let sample = crate::spec::Sample {
        temperature: 1.0,
        top_k: None,
        ..crate::spec::Sample::default()
    };
    let mut rng = Stream::new(11, "test").at(0);
    let mut all = Vec::new();
    for _ in 0..tokens {
        let step = logits(&texts);
        for (text, logits) in texts.iter_mut().zip(step.chunks_exact(VOCAB)) {
            let drawn = crate::random::unit(&mut rng);
            text.push(sampler::pick(logits, text, &sample, drawn));
        }
        all.push(step);
    }
    (texts, all)
}

/// A model with weights far from the initial ones. Initial weights are so similar to each other that
/// many mistakes would not change the result.
fn perturbed(config: &Config, seed: u64) -> Model<CpuBackend> {
    let mut model = Model::<CpuBackend>::new(&Cpu::default(), config, VOCAB, seed).unwrap();
    for parameter in model.parameters_mut() {
        let noise = parameter.value.as_vec().into_iter().enumerate();
        let values = noise.map(|(i, v)| 8.0 * v + 0.3 * (i as f32 * 0.7).sin());
        let shape = *parameter.value.shape();
        parameter.value = Cpu::default().tensor_from_vec(values.collect(), shape);
    }
    model
}

#[test]
fn cached_logits_have_the_same_bits_as_uncached_ones() {
    for config in configs() {
        let model = perturbed(&config, 3);
        let decoder = || Decoder::new(&model, &config, VOCAB, BLOCK).unwrap();
        let prompts = vec![vec![1, 2, 3], vec![7, 5, 0]];
        // Long enough for the context to be cut twice.
        let tokens = 2 * BLOCK;
        let mut cached = decoder();
        let (texts, logits) = continued(prompts.clone(), tokens, |texts| {
            cached.next_logits(texts).unwrap().as_vec()
        });
        let (again, logits_again) = continued(prompts.clone(), tokens, |texts| {
            decoder().next_logits(texts).unwrap().as_vec()
        });
        assert_eq!((&texts, &logits), (&again, &logits_again), "{config:?}");
        // Each text alone and without a cache, by the forward pass of training.
        let (whole, logits_whole) = continued(prompts, tokens, |texts| {
            let next = |text: &Vec<usize>| {
                let context = &text[decoder::context_start(text.len(), BLOCK)..];
                model.next_logits(context).unwrap().as_vec()
            };
            texts.iter().flat_map(next).collect()
        });
        assert_eq!(texts, whole, "{config:?}");
        for (got, want) in logits.iter().zip(&logits_whole) {
            let largest = want
                .iter()
                .fold(0.0f32, |largest, want| largest.max(want.abs()));
            let off = got.iter().zip(want).map(|(got, want)| (got - want).abs());
            let worst = off.fold(0.0, f32::max);
            assert!(worst < 2e-4 * largest, "{worst} of {largest}: {config:?}");
        }
    }
}

#[test]
fn texts_with_a_common_prompt_have_the_same_logits_as_each_alone() {
    let config = configs().remove(0);
    let model = perturbed(&config, 4);
    let mut together = Decoder::new(&model, &config, VOCAB, BLOCK).unwrap();
    let prompt = vec![4; BLOCK + 3];
    together.next_logits(std::slice::from_ref(&prompt)).unwrap();
    let texts: Vec<Vec<usize>> = (0..5).map(|i| [&prompt[..], &[i]].concat()).collect();
    let logits = together.next_logits(&texts).unwrap().as_vec();
    for (text, logits) in texts.iter().zip(logits.chunks_exact(VOCAB)) {
        let mut alone = Decoder::new(&model, &config, VOCAB, BLOCK).unwrap();
        assert_eq!(
            alone
                .next_logits(std::slice::from_ref(text))
                .unwrap()
                .as_vec(),
            logits
        );
    }
}

#[test]
fn a_context_has_between_half_a_block_and_a_block_of_tokens() {
    for block in 1..12 {
        for len in 1..100 {
            let context = len - decoder::context_start(len, block);
            assert!(
                context <= block && (context == len || context > block / 2),
                "{context} of {block}"
            );
        }
    }
}

/// The initial weights of a model, by name.
fn initial_weights(config: &Config, vocab_size: usize) -> impl Fn(&str) -> Vec<f32> + use<> {
    let model = Model::<CpuBackend>::new(&Cpu::default(), config, vocab_size, 7).unwrap();
    move |name| {
        let all = model.parameters();
        let named = all.iter().find(|parameter| parameter.name == name);
        named.unwrap().value.as_vec()
    }
}

fn deviation(weights: &[f32]) -> f64 {
    let squares = weights.iter().map(|&w| f64::from(w) * f64::from(w));
    (squares.sum::<f64>() / weights.len() as f64).sqrt()
}

fn largest(weights: &[f32]) -> f64 {
    weights
        .iter()
        .fold(0.0, |most, w| most.max(f64::from(w.abs())))
}

#[test]
fn initial_weights_have_the_configured_spread() {
    let config = |kind, residual_scaling| Config {
        n_layer: 2,
        bias: true,
        tie_weights: false,
        init: Init {
            kind,
            residual_scaling,
            embedding_std: 1.0,
            ..Init::default()
        },
        ..Config::default()
    };
    let near = |a: f64, b: f64| assert!((a / b - 1.0).abs() < 0.03, "{a} against {b}");

    let weights = initial_weights(&config(InitKind::Normal, true), 65);
    near(deviation(&weights("wte.weight")), 1.0);
    near(deviation(&weights("h.1.attn.c_attn.weight")), 0.02);
    near(deviation(&weights("h.1.mlp.c_proj.weight")), 0.01);
    near(deviation(&weights("lm_head.weight")), 0.02);
    assert_eq!(largest(&weights("h.0.mlp.c_fc.bias")), 0.0);
    let weights = initial_weights(&config(InitKind::Normal, false), 65);
    near(deviation(&weights("h.1.mlp.c_proj.weight")), 0.02);

    // 512 outputs of 128 inputs.
    let weights = initial_weights(&config(InitKind::Xavier, true), 65);
    near(
        largest(&weights("h.0.mlp.c_fc.weight")),
        (6.0f64 / 640.0).sqrt(),
    );
    assert_eq!(largest(&weights("h.0.mlp.c_fc.bias")), 0.0);
    let weights = initial_weights(&config(InitKind::Kaiming, true), 65);
    near(
        deviation(&weights("h.1.mlp.c_fc.weight")),
        (2.0f64 / 128.0).sqrt(),
    );
    assert_eq!(largest(&weights("h.0.mlp.c_fc.bias")), 0.0);
    let weights = initial_weights(&config(InitKind::Uniform, true), 65);
    near(largest(&weights("h.0.mlp.c_fc.weight")), 128f64.powf(-0.5));
    near(largest(&weights("h.0.mlp.c_fc.bias")), 128f64.powf(-0.5));

    let bigram = Config {
        kind: ModelKind::Bigram,
        ..config(InitKind::Normal, true)
    };
    near(
        deviation(&initial_weights(&bigram, 65)("table.weight")),
        1.0,
    );
}
