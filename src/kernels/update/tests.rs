//! Each kernel against its reference, and each rule against its paper's formula in double precision
//! over several steps.

use super::*;
use crate::kernels::testing::{assert_close, matrices, relative_error};
use crate::kernels::{Backend, CpuBackend, ReferenceBackend};

const STEPS: usize = 6;
const SHAPE: (usize, usize) = (7, 19);

/// One step of a rule on a parameter and its state, the step numbered from 1.
type Rule<'a> = dyn Fn(&mut Matrix<Cpu>, &Matrix<Cpu>, &mut [Matrix<Cpu>], i32) + 'a;
/// The same in double precision, on one element.
type Formula<'a> = dyn Fn(&mut f64, f64, &mut [f64], i32) + 'a;

fn gradients() -> Vec<Matrix<Cpu>> {
    matrices(11, &[SHAPE; STEPS])
}

/// A parameter and its state after some steps.
fn after(kept: usize, rule: &Rule) -> Vec<Matrix<Cpu>> {
    let mut parameter = matrices(10, &[SHAPE]).remove(0);
    let zeros: Matrix<Cpu> = Cpu::default().zeros_like(&SHAPE);
    let mut state = vec![zeros; kept];
    for (t, gradient) in (1..).zip(&gradients()) {
        rule(&mut parameter, gradient, &mut state, t);
    }
    state.insert(0, parameter);
    state
}

/// Holds kernel and reference against the formula.
fn check(kept: usize, kernel: &Rule, reference: &Rule, formula: &Formula) {
    let mut p: Vec<f64> = doubles(&matrices(10, &[SHAPE])[0]);
    let mut state = vec![vec![0.0; kept]; p.len()];
    for (t, gradient) in (1..).zip(&gradients()) {
        let elements = p.iter_mut().zip(doubles(gradient)).zip(&mut state);
        elements.for_each(|((p, g), state)| formula(p, g, state, t));
    }
    let mut expected = vec![p];
    expected.extend((0..kept).map(|i| state.iter().map(|state| state[i]).collect()));
    for rule in [kernel, reference] {
        for (want, got) in expected.iter().zip(after(kept, rule)) {
            let want: Vec<f32> = want.iter().map(|&x| x as f32).collect();
            let error = relative_error(&want, &got.as_vec());
            assert!(error < 2e-6, "differs by {error:e} of its norm");
        }
    }
}

fn doubles(x: &Matrix<Cpu>) -> Vec<f64> {
    x.as_vec().into_iter().map(f64::from).collect()
}

fn pair(state: &mut [Matrix<Cpu>]) -> (&mut Matrix<Cpu>, &mut Matrix<Cpu>) {
    let [m, v] = state else { panic!("two moments") };
    (m, v)
}

#[test]
fn adamw_and_adam() {
    for (weight_decay, l2) in [(0.1f32, 0.0f32), (0.0, 0.3), (0.0, 0.0)] {
        let step = |t: i32| AdamW {
            lr: 0.01,
            betas: [0.9, 0.99],
            eps: 1e-8,
            weight_decay,
            l2,
            gradient_scale: 0.5,
            bias_corrections: [1.0 - 0.9f32.powi(t), 1.0 - 0.99f32.powi(t)],
        };
        check(
            2,
            &|p, g, state, t| CpuBackend::adamw(p, g, pair(state), &step(t)).unwrap(),
            &|p, g, state, t| ReferenceBackend::<Cpu>::adamw(p, g, pair(state), &step(t)).unwrap(),
            &|p, g, state, t| {
                let g = 0.5 * g + f64::from(l2) * *p;
                state[0] = 0.9 * state[0] + 0.1 * g;
                state[1] = 0.99 * state[1] + 0.01 * g * g;
                let m = state[0] / (1.0 - 0.9f64.powi(t));
                let v = state[1] / (1.0 - 0.99f64.powi(t));
                *p -= 0.01 * f64::from(weight_decay) * *p;
                *p -= 0.01 * m / (v.sqrt() + 1e-8);
            },
        );
    }
}

#[test]
fn sgd_with_momentum_and_nesterov() {
    for nesterov in [false, true] {
        let step = Sgd {
            lr: 0.1,
            momentum: 0.9,
            nesterov,
            weight_decay: 0.01,
            gradient_scale: 2.0,
        };
        check(
            1,
            &|p, g, state, _| CpuBackend::sgd(p, g, &mut state[0], &step).unwrap(),
            &|p, g, state, _| ReferenceBackend::<Cpu>::sgd(p, g, &mut state[0], &step).unwrap(),
            &|p, g, state, _| {
                let g = 2.0 * g;
                state[0] = 0.9 * state[0] + g;
                let direction = if nesterov {
                    g + 0.9 * state[0]
                } else {
                    state[0]
                };
                *p = *p * (1.0 - 0.1 * 0.01) - 0.1 * direction;
            },
        );
    }
}

#[test]
fn rmsprop() {
    let step = RmsProp {
        lr: 0.01,
        alpha: 0.9,
        eps: 1e-6,
        l2: 0.2,
        gradient_scale: 0.5,
    };
    check(
        1,
        &|p, g, state, _| CpuBackend::rmsprop(p, g, &mut state[0], &step).unwrap(),
        &|p, g, state, _| ReferenceBackend::<Cpu>::rmsprop(p, g, &mut state[0], &step).unwrap(),
        &|p, g, state, _| {
            let g = 0.5 * g + 0.2 * *p;
            state[0] = 0.9 * state[0] + 0.1 * g * g;
            *p -= 0.01 * g / (state[0].sqrt() + 1e-6);
        },
    );
}

#[test]
fn lion() {
    let step = Lion {
        lr: 0.01,
        betas: [0.9, 0.99],
        weight_decay: 0.5,
        gradient_scale: 0.5,
    };
    check(
        1,
        &|p, g, state, _| CpuBackend::lion(p, g, &mut state[0], &step).unwrap(),
        &|p, g, state, _| ReferenceBackend::<Cpu>::lion(p, g, &mut state[0], &step).unwrap(),
        &|p, g, state, _| {
            let g = 0.5 * g;
            let c: f64 = 0.9 * state[0] + 0.1 * g;
            *p -= 0.01 * (c.signum() + 0.5 * *p);
            state[0] = 0.99 * state[0] + 0.01 * g;
        },
    );
}

/// Muon's formula takes the whole matrix, (n, m), row by row.
fn muon_in_doubles(p: &mut [f64], g: &[f64], v: &mut [f64], step: &Muon, (n, m): (usize, usize)) {
    let product = |a: &[f64], b: &[f64], (rows, inner, cols): (usize, usize, usize)| {
        let at = |i: usize| {
            (0..inner)
                .map(|k| a[i / cols * inner + k] * b[k * cols + i % cols])
                .sum()
        };
        (0..rows * cols).map(at).collect::<Vec<f64>>()
    };
    let mut x = Vec::new();
    for (v, &g) in v.iter_mut().zip(g) {
        *v = f64::from(step.momentum) * *v + g;
        x.push(if step.nesterov {
            g + f64::from(step.momentum) * *v
        } else {
            *v
        });
    }
    let norm = x.iter().map(|x| x * x).sum::<f64>().sqrt();
    x.iter_mut().for_each(|x| *x /= norm + 1e-7);
    for _ in 0..step.iterations {
        let transposed: Vec<f64> = (0..n * m).map(|i| x[i % n * m + i / n]).collect();
        // As the paper has it, from the left, whichever side is longer.
        let a = product(&x, &transposed, (n, m, n));
        let squared = product(&a, &a, (n, n, n));
        let b: Vec<f64> = a
            .iter()
            .zip(squared)
            .map(|(a, s)| -4.775 * a + 2.0315 * s)
            .collect();
        let bx = product(&b, &x, (n, n, m));
        x.iter_mut()
            .zip(bx)
            .for_each(|(x, bx)| *x = 3.4445 * *x + bx);
    }
    let (lr, decay) = (f64::from(step.lr), f64::from(step.weight_decay));
    for (p, x) in p.iter_mut().zip(x) {
        *p = *p * (1.0 - lr * decay) - lr * f64::from(step.scale) * x;
    }
}

#[test]
fn muon_of_wide_and_of_tall_matrices() {
    for (shape, nesterov) in [((7, 19), true), ((19, 7), false), ((8, 8), true)] {
        let step = Muon {
            lr: 0.02,
            scale: 0.7,
            momentum: 0.95,
            nesterov,
            iterations: 5,
            weight_decay: 0.1,
            gradient_scale: 1.0,
        };
        let start = matrices(10, &[shape]).remove(0);
        let zeros: Matrix<Cpu> = Cpu::default().zeros_like(&shape);
        let (mut a, mut b) = (
            [start.clone(), zeros.clone()],
            [start.clone(), zeros.clone()],
        );
        let (mut p, mut v) = (doubles(&start), doubles(&zeros));
        for gradient in matrices(12, &[shape; STEPS]) {
            let [parameter, momentum] = &mut a;
            CpuBackend::muon(parameter, &gradient, momentum, &step).unwrap();
            let [parameter, momentum] = &mut b;
            ReferenceBackend::<Cpu>::muon(parameter, &gradient, momentum, &step).unwrap();
            muon_in_doubles(&mut p, &doubles(&gradient), &mut v, &step, shape);
        }
        for got in [&a, &b] {
            for (want, got) in [&p, &v].into_iter().zip(got) {
                let want: Vec<f32> = want.iter().map(|&x| x as f32).collect();
                assert!(relative_error(&want, &got.as_vec()) < 1e-5);
            }
        }
    }
}

#[test]
fn a_moment_that_dies_away_becomes_zero_and_not_denormal() {
    let step = AdamW {
        lr: 0.01,
        betas: [0.5, 0.5],
        eps: 1e-8,
        weight_decay: 0.0,
        l2: 0.0,
        gradient_scale: 1.0,
        bias_corrections: [1.0; 2],
    };
    let mut x = matrices(10, &[SHAPE; 3]);
    let zeros: Matrix<Cpu> = Cpu::default().zeros_like(&SHAPE);
    let [p, m, v] = &mut x[..] else { panic!() };
    *v = v.clone().square();
    for _ in 0..150 {
        CpuBackend::adamw(p, &zeros, (m, v), &step).unwrap();
    }
    assert_eq!(m.as_vec(), zeros.as_vec());
    assert_eq!(v.as_vec(), zeros.as_vec());
}

#[test]
fn an_average_moves_by_its_weight() {
    let [mean, value] = &matrices(13, &[SHAPE; 2])[..] else {
        panic!()
    };
    let (mut a, mut b) = (mean.clone(), mean.clone());
    CpuBackend::average(&mut a, value, 0.25).unwrap();
    ReferenceBackend::<Cpu>::average(&mut b, value, 0.25).unwrap();
    let moved = doubles(mean).into_iter().zip(doubles(value));
    let moved: Vec<f32> = moved.map(|(m, v)| (0.75 * m + 0.25 * v) as f32).collect();
    assert!(relative_error(&moved, &a.as_vec()) < 1e-6);
    assert_close(&a, &b, 1e-6);
}

#[test]
fn gradients_of_shards_are_summed_with_their_norm() {
    let shards = matrices(30, &[(3, 50), (3, 50), (3, 50)]);
    let a = ReferenceBackend::<Cpu>::sum_gradients(shards.clone()).unwrap();
    let b = CpuBackend::sum_gradients(shards).unwrap();
    assert_close(&a.gradient, &b.gradient, 1e-6);
    assert!((a.squared_norm - b.squared_norm).abs() < 1e-5 * a.squared_norm);
}
