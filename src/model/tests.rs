//! The whole model on the kernels against the whole model on dfdx's own operations: loss and every
//! gradient of a first step, for each choice that there is.

use super::testing::{BLOCK, configs};
use super::*;
use crate::ops::{Composed, Fused};
use crate::spec::Model as Config;

const VOCAB: usize = 29;

fn batch(sequences: usize) -> (Vec<usize>, Vec<usize>) {
    let tokens: Vec<usize> = (0..=sequences * BLOCK)
        .map(|i| (i * i + 3 * i) % VOCAB)
        .collect();
    (tokens[..sequences * BLOCK].to_vec(), tokens[1..].to_vec())
}

/// Loss, and the gradient of each parameter.
fn first_step<B: Backend>(device: &B::Device, config: &Config) -> (f32, Vec<(String, Vec<f32>)>) {
    let model = Model::<B>::new(device, config, VOCAB, 7).unwrap();
    let (inputs, targets) = batch(4);
    let stream = Stream::new(7, "dropout");
    let noise = StepNoise {
        stream: &stream,
        step: 0,
        first_row: 0,
    };
    let scale = 1.0 / inputs.len() as f32;
    let loss: Scalar<B::Device, OwnedTape<f32, B::Device>> = model
        .loss(&inputs, &targets, BLOCK, scale, Some(noise))
        .unwrap();
    let value = loss.as_vec()[0];
    let mut gradients = loss.backward();
    let named = model.parameters().into_iter().map(|parameter| {
        let gradient = B::take_gradient(&mut gradients, &parameter.value).unwrap();
        (parameter.name.clone(), gradient.as_vec())
    });
    (value, named.collect())
}

#[test]
fn loss_and_gradients_are_those_of_the_composition() {
    let device = Cpu::default();
    for config in configs() {
        let (want, want_gradients) = first_step::<Composed<Cpu>>(&device, &config);
        let (got, got_gradients) = first_step::<Fused>(&device, &config);
        assert!(
            (want - got).abs() < 1e-4 * want,
            "{want} against {got}: {config:?}"
        );
        for ((name, want), (_, got)) in want_gradients.iter().zip(&got_gradients) {
            let norm = |x: &[f32]| x.iter().map(|v| v * v).sum::<f32>().sqrt();
            let difference: Vec<f32> = want.iter().zip(got).map(|(a, b)| a - b).collect();
            assert!(norm(want) > 0.0, "{name} takes part: {config:?}");
            let error = norm(&difference) / norm(want);
            assert!(
                error < 1e-4,
                "{name} differs by {error} of its norm: {config:?}"
            );
        }
    }
}

#[test]
fn shards_of_a_batch_add_up_to_the_batch() {
    let stream = Stream::new(7, "dropout");
    let config = Config {
        dropout: 0.2,
        block_size: BLOCK,
        ..Config::default()
    };
    let model = Model::<Fused>::new(&Cpu::default(), &config, VOCAB, 7).unwrap();
    let (inputs, targets) = batch(4);
    let loss = |from: usize, to: usize| {
        let rows = from * BLOCK..to * BLOCK;
        let noise = StepNoise {
            stream: &stream,
            step: 3,
            first_row: rows.start,
        };
        let scale = 1.0 / inputs.len() as f32;
        let (inputs, targets) = (&inputs[rows.clone()], &targets[rows]);
        let loss: Scalar<Cpu> = model
            .loss(inputs, targets, BLOCK, scale, Some(noise))
            .unwrap();
        loss.array()
    };
    assert!((loss(0, 4) - (loss(0, 1) + loss(1, 4))).abs() < 1e-5);
}

#[test]
fn the_next_token_is_predicted_as_in_training() {
    for config in configs() {
        let model = Model::<Fused>::new(&Cpu::default(), &config, VOCAB, 7).unwrap();
        let (inputs, targets) = batch(1);
        let logits = model.next_logits(&inputs).unwrap();
        let last: Scalar<Cpu> = Fused::cross_entropy(logits, &targets[BLOCK - 1..], 1.0).unwrap();
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
