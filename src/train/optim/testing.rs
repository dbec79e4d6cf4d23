//! Tests of a rule against its formula in double precision.

use crate::kernels::testing::{matrices, relative_error};
use crate::kernels::{Backend, CpuBackend, Matrix, ReferenceBackend, UpdateRule};
use dfdx::prelude::*;

/// Steps that a test takes.
pub(super) const STEPS: usize = 6;
/// Shape of the parameter in tests of elementwise rules.
pub(super) const SHAPE: (usize, usize) = (7, 19);

/// Takes some steps with the CPU implementation and the reference of a rule, and compares the
/// parameter and the state with a formula. `rule` makes the rule of step t, from 1. `formula` takes
/// an element of the parameter, its gradient, its state, and t.
pub(super) fn check_against_formula<R: UpdateRule<STATES>, const STATES: usize>(
    rule: impl Fn(i32) -> R,
    formula: impl Fn(&mut f64, f64, &mut [f64; STATES], i32),
) {
    let start = matrices(10, &[SHAPE]).remove(0);
    let gradients = matrices(11, &[SHAPE; STEPS]);
    let mut p = doubles(&start);
    let mut state = vec![[0.0; STATES]; p.len()];
    for (t, gradient) in (1..).zip(&gradients) {
        let elements = p.iter_mut().zip(doubles(gradient)).zip(&mut state);
        elements.for_each(|((p, g), state)| formula(p, g, state, t));
    }
    let mut expected = vec![singles(&p)];
    for i in 0..STATES {
        let one: Vec<f64> = state.iter().map(|state| state[i]).collect();
        expected.push(singles(&one));
    }
    let cpu = take_steps::<CpuBackend, R, STATES>(&start, &gradients, &rule);
    let reference = take_steps::<ReferenceBackend<Cpu>, R, STATES>(&start, &gradients, &rule);
    for got in [cpu, reference] {
        for (want, got) in expected.iter().zip(got) {
            let error = relative_error(want, &got.as_vec());
            assert!(error < 2e-6, "differs by {error:e} of its norm");
        }
    }
}

/// The parameter and then its state, after a step for each gradient.
fn take_steps<B: Backend<Device = Cpu>, R: UpdateRule<STATES>, const STATES: usize>(
    start: &Matrix<Cpu>,
    gradients: &[Matrix<Cpu>],
    rule: &impl Fn(i32) -> R,
) -> Vec<Matrix<Cpu>> {
    let mut parameter = start.clone();
    let mut state = [(); STATES].map(|()| Cpu::default().zeros_like(&SHAPE));
    for (t, gradient) in (1..).zip(gradients) {
        B::update(&rule(t), &mut parameter, gradient, &mut state).unwrap();
    }
    std::iter::once(parameter).chain(state).collect()
}

pub(super) fn doubles(x: &Matrix<Cpu>) -> Vec<f64> {
    x.as_vec().into_iter().map(f64::from).collect()
}

pub(super) fn singles(x: &[f64]) -> Vec<f32> {
    x.iter().map(|&x| x as f32).collect()
}
