//! Comparisons for the tests of operations: with the reference, and with finite differences.

use super::cpu::storage;
use super::matrix::Matrix;
use crate::random::{Stream, unit};
use dfdx::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestCaseError};

/// The same cases in every test run. The tests compare rounding errors, which have no bound that no
/// random case would ever exceed.
pub(super) fn cases() -> Config {
    Config {
        cases: 32,
        rng_seed: RngSeed::Fixed(1),
        failure_persistence: None,
        ..Config::default()
    }
}

/// Matrices of these shapes, uniform in (-1, 1).
pub(crate) fn matrices(seed: u64, shapes: &[(usize, usize)]) -> Vec<Matrix<Cpu>> {
    let mut rng = Stream::new(seed, "test").at(0);
    shapes
        .iter()
        .map(|&(n, c)| {
            let data = (0..n * c)
                .map(|_| unit(&mut rng) as f32 * 2.0 - 1.0)
                .collect();
            storage::matrix((n, c), data)
        })
        .collect()
}

type Taped = Matrix<Cpu, OwnedTape<f32, Cpu>>;

/// The sum of the elements times fixed weights, so that the elements have different gradients.
fn weighted_sum(y: Taped) -> Scalar {
    let weights = matrices(99, &[*y.shape()]).remove(0);
    (y * weights).sum()
}

/// An operation under test.
type Operation<'a> = dyn Fn(&[Matrix<Cpu>]) -> Result<Taped, CpuError> + 'a;

type Scalar = Tensor<Rank0, f32, Cpu, OwnedTape<f32, Cpu>>;

/// Checks that the output and all gradients of a kernel differ from those of the reference by at
/// most 1e-5 of their norm.
pub(super) fn check_against_reference(
    inputs: &[Matrix<Cpu>],
    reference: impl Fn(&[Matrix<Cpu>]) -> Result<Taped, CpuError>,
    kernel: impl Fn(&[Matrix<Cpu>]) -> Result<Taped, CpuError>,
) -> Result<(), TestCaseError> {
    check_within(1e-5, inputs, reference, kernel)
}

/// [`check_against_reference`] for a kernel that rounds factors to bfloat16, which changes each by up to 0.4 %.
pub(super) fn check_bf16_against_reference(
    inputs: &[Matrix<Cpu>],
    reference: impl Fn(&[Matrix<Cpu>]) -> Result<Taped, CpuError>,
    kernel: impl Fn(&[Matrix<Cpu>]) -> Result<Taped, CpuError>,
) -> Result<(), TestCaseError> {
    let is_exact = check_within(1e-5, inputs, &reference, &kernel).is_ok();
    if is_exact {
        return Err(TestCaseError::fail("nothing is rounded"));
    }
    check_within(1e-2, inputs, reference, kernel)
}

fn check_within(
    tolerance: f64,
    inputs: &[Matrix<Cpu>],
    reference: impl Fn(&[Matrix<Cpu>]) -> Result<Taped, CpuError>,
    kernel: impl Fn(&[Matrix<Cpu>]) -> Result<Taped, CpuError>,
) -> Result<(), TestCaseError> {
    let run = |operation: &Operation| {
        let y = operation(inputs).expect("memory for a test");
        let mut results = vec![y.as_vec()];
        let mut gradients = weighted_sum(y).backward();
        for input in inputs {
            let _ = gradients.get_or_alloc_mut(input);
            results.push(gradients.get(input).as_vec());
        }
        results
    };
    for (i, (want, got)) in run(&reference).iter().zip(run(&kernel)).enumerate() {
        let error = relative_error(want, &got);
        if error > tolerance {
            let what = if i == 0 {
                "the output".to_owned()
            } else {
                format!("gradient {}", i - 1)
            };
            return Err(TestCaseError::fail(format!(
                "{what} differs by {error:e} of its norm"
            )));
        }
    }
    Ok(())
}

/// The norm of the difference, divided by the norm of `want` or by a small number, whichever is
/// larger.
pub(crate) fn relative_error(want: &[f32], got: &[f32]) -> f64 {
    assert_eq!(want.len(), got.len());
    let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|v| v * v).sum::<f64>().sqrt();
    let difference = norm(&mut want.iter().zip(got).map(|(a, b)| f64::from(a - b)));
    difference
        / norm(&mut want.iter().map(|&a| f64::from(a)))
            .max(1e-6 * (want.len() as f64).sqrt())
            .max(1e-2)
}

/// Checks that two matrices differ by at most `tolerance` of the norm.
pub(crate) fn assert_close(want: &Matrix<Cpu>, got: &Matrix<Cpu>, tolerance: f64) {
    let error = relative_error(&want.as_vec(), &got.as_vec());
    assert!(error <= tolerance, "differs by {error:e} of its norm");
}

/// Checks that all gradients of an operation agree with central differences.
pub(super) fn check_gradient(
    inputs: &[Matrix<Cpu>],
    operation: impl Fn(&[Matrix<Cpu>]) -> Result<Taped, CpuError>,
) {
    let value = |inputs: &[Matrix<Cpu>]| -> f64 {
        let y = operation(inputs).expect("memory for a test");
        let weights = matrices(99, &[*y.shape()]).remove(0).as_vec();
        y.as_vec()
            .iter()
            .zip(weights)
            .map(|(&y, w)| f64::from(y) * f64::from(w))
            .sum()
    };
    let mut gradients = weighted_sum(operation(inputs).expect("memory for a test")).backward();
    let step = 1e-2f32;
    for (i, input) in inputs.iter().enumerate() {
        let _ = gradients.get_or_alloc_mut(input);
        let gradient = gradients.get(input).as_vec();
        for (j, &got) in gradient.iter().enumerate() {
            let moved = |by: f32| {
                let mut inputs = inputs.to_vec();
                storage::slice_mut(&mut inputs[i])[j] += by;
                value(&inputs)
            };
            let want = (moved(step) - moved(-step)) / f64::from(2.0 * step);
            let tolerance = 2e-3 * (1.0 + want.abs());
            assert!(
                (want - f64::from(got)).abs() < tolerance,
                "input {i}, element {j}: {want} against {got}"
            );
        }
    }
}
