use super::arithmetic::linear_combination;
use super::rule::{OptimizerRule, StepSettings};
use crate::kernels::cpu::matmul::{Accumulate, View, matmul};
use crate::kernels::cpu::simd::{sum_of, vectorized};
use crate::kernels::{DeviceError, Matrix, UpdateRule};
use crate::spec::{self, Precision};
use dfdx::prelude::*;

/// Coefficients of the odd polynomial ax + bx³ + cx⁵ that moves every singular value towards 1. They
/// are chosen for speed: after five applications a value is between 0.7 and 1.2.
const COEFFICIENTS: [f32; 3] = [3.4445, -4.775, 2.0315];

/// Added to the norm that a matrix is divided by, so that a matrix of zeros stays zero.
const NORM_EPSILON: f32 = 1e-7;

/// Muon (Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks"). The
/// direction of a step is the momentum, made orthogonal by the Newton-Schulz iteration. Weight decay
/// is decoupled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Muon {
    lr: f32,
    /// Factor of the orthogonal direction, besides `lr`.
    scale: f32,
    momentum: f32,
    nesterov: bool,
    /// Newton-Schulz iterations.
    iterations: usize,
    weight_decay: f32,
    gradient_scale: f32,
}

impl OptimizerRule<1> for Muon {
    const STATE_NAMES: [&'static str; 1] = ["muon.velocity"];
    const MATRICES_ONLY: bool = true;

    fn new(config: &spec::Optimizer, settings: &StepSettings) -> Self {
        let muon = &config.muon;
        Self {
            lr: settings.lr,
            scale: muon.scale.factor(settings.shape) as f32,
            momentum: muon.momentum as f32,
            nesterov: muon.nesterov,
            iterations: muon.iterations,
            weight_decay: settings.weight_decay,
            gradient_scale: settings.gradient_scale,
        }
    }
}

impl UpdateRule<1> for Muon {
    fn cpu(&self, shape: (usize, usize), p: &mut [f32], g: &[f32], [v]: [&mut [f32]; 1]) {
        let mut direction = vec![0.0; p.len()];
        vectorized(
            #[inline(always)]
            || self.update_momentum(&mut direction, g, v),
        );
        orthogonalize(&mut direction, shape, self.iterations);
        let keep = 1.0 - self.lr * self.weight_decay;
        vectorized(
            #[inline(always)]
            || combine(p, keep, &direction, -self.lr * self.scale),
        );
    }

    fn reference<D: Device<f32>>(
        &self,
        p: &mut Matrix<D>,
        g: &Matrix<D>,
        [v]: [&mut Matrix<D>; 1],
    ) -> Result<(), DeviceError<D>> {
        let g = g.clone().try_mul(self.gradient_scale)?;
        *v = linear_combination(self.momentum, v, 1.0, &g)?;
        let direction = match self.nesterov {
            true => linear_combination(self.momentum, v, 1.0, &g)?,
            false => v.clone(),
        };
        let direction = orthogonalize_reference(direction, self.iterations)?;
        let kept = p.clone().try_mul(1.0 - self.lr * self.weight_decay)?;
        *p = kept.try_sub(direction.try_mul(self.lr * self.scale)?)?;
        Ok(())
    }
}

impl Muon {
    /// Adds the gradient to the momentum, and writes the direction before it is made orthogonal.
    #[inline(always)]
    fn update_momentum(&self, direction: &mut [f32], g: &[f32], v: &mut [f32]) {
        let (momentum, scale) = (self.momentum, self.gradient_scale);
        // The direction is a v + b g.
        let (a, b) = if self.nesterov {
            (momentum, 1.0)
        } else {
            (1.0, 0.0)
        };
        for ((d, &g), v) in direction.iter_mut().zip(g).zip(v) {
            let g = g * scale;
            *v = *v * momentum + g;
            *d = *v * a + g * b;
        }
    }
}

/// `x = a x + b y`
#[inline(always)]
fn combine(x: &mut [f32], a: f32, y: &[f32], b: f32) {
    for (x, &y) in x.iter_mut().zip(y) {
        *x = *x * a + y * b;
    }
}

/// Replaces a matrix of shape (rows, columns) by a nearly orthogonal one with the same singular
/// vectors, by the Newton-Schulz iteration `x = a x + (b x xᵀ + c (x xᵀ)²) x`. It multiplies on the
/// shorter side, of length n, which takes 4n²m + 2n³ operations per iteration for an n by m matrix.
fn orthogonalize(x: &mut [f32], (rows, cols): (usize, usize), iterations: usize) {
    let n = rows.min(cols);
    let wide = n == rows;
    let squares: f64 = x.chunks(4096).map(sum_of_squares).sum();
    let scale = 1.0 / (squares.sqrt() as f32 + NORM_EPSILON);
    x.iter_mut().for_each(|x| *x *= scale);
    let [a, b, c] = COEFFICIENTS;
    let (mut gram, mut square) = (vec![0.0; n * n], vec![0.0; n * n]);
    let mut product = vec![0.0; x.len()];
    for _ in 0..iterations {
        let view = View::new(x, rows, cols);
        let (left, right) = if wide {
            (view, view.t())
        } else {
            (view.t(), view)
        };
        matmul(
            Precision::F32,
            &mut gram,
            n,
            Accumulate::Overwrite,
            left,
            right,
        );
        let symmetric = View::new(&gram, n, n);
        matmul(
            Precision::F32,
            &mut square,
            n,
            Accumulate::Overwrite,
            symmetric,
            symmetric,
        );
        vectorized(
            #[inline(always)]
            || combine(&mut gram, b, &square, c),
        );
        let polynomial = View::new(&gram, n, n);
        let (left, right) = if wide {
            (polynomial, view)
        } else {
            (view, polynomial)
        };
        matmul(
            Precision::F32,
            &mut product,
            cols,
            Accumulate::Overwrite,
            left,
            right,
        );
        vectorized(
            #[inline(always)]
            || combine(x, a, &product, 1.0),
        );
    }
}

fn sum_of_squares(x: &[f32]) -> f64 {
    f64::from(vectorized(
        #[inline(always)]
        || sum_of(x, |x| x * x),
    ))
}

/// [`orthogonalize`] by dfdx's operations.
fn orthogonalize_reference<D: Device<f32>>(
    x: Matrix<D>,
    iterations: usize,
) -> Result<Matrix<D>, DeviceError<D>> {
    let (rows, cols) = *x.shape();
    let wide = rows <= cols;
    let norm = x.clone().try_square()?.try_sum::<Rank0, _>()?.as_vec()[0].sqrt();
    let mut x = x.try_mul(1.0 / (norm + NORM_EPSILON))?;
    let [a, b, c] = COEFFICIENTS;
    for _ in 0..iterations {
        let transposed = x.clone().try_permute::<_, Axes2<1, 0>>()?;
        let gram = match wide {
            true => x.clone().try_matmul(transposed)?,
            false => transposed.try_matmul(x.clone())?,
        };
        let square = gram.clone().try_matmul(gram.clone())?;
        let polynomial = linear_combination(b, &gram, c, &square)?;
        let product = match wide {
            true => polynomial.try_matmul(x.clone())?,
            false => x.clone().try_matmul(polynomial)?,
        };
        x = linear_combination(a, &x, 1.0, &product)?;
    }
    Ok(x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{matrices, relative_error};
    use crate::kernels::{Backend, CpuBackend, ReferenceBackend};
    use crate::spec::OptimizerKind;
    use crate::train::optim::testing::{STEPS, doubles, singles};
    use crate::train::testing::assert_loss_falls;

    /// `a b` for a (n, k) and b (k, m), in double precision.
    fn product(a: &[f64], b: &[f64], (n, k, m): (usize, usize, usize)) -> Vec<f64> {
        let element = |i: usize| {
            (0..k)
                .map(|j| a[i / m * k + j] * b[j * m + i % m])
                .sum::<f64>()
        };
        (0..n * m).map(element).collect()
    }

    /// The orthogonal matrix I - 2 v vᵀ / (vᵀ v).
    fn reflection(n: usize) -> Vec<f64> {
        let v = |i: usize| 1.0 + 0.3 * i as f64;
        let squares: f64 = (0..n).map(|i| v(i) * v(i)).sum();
        let element = |i: usize| {
            let (row, col) = (i / n, i % n);
            f64::from(u8::from(row == col)) - 2.0 * v(row) * v(col) / squares
        };
        (0..n * n).map(element).collect()
    }

    /// A matrix with these singular values.
    fn with_singular_values(values: &[f64], (rows, cols): (usize, usize)) -> Vec<f64> {
        let mut diagonal = vec![0.0; rows * cols];
        for (i, value) in values.iter().enumerate() {
            diagonal[i * cols + i] = *value;
        }
        let left = product(&reflection(rows), &diagonal, (rows, rows, cols));
        product(&left, &reflection(cols), (rows, cols, cols))
    }

    /// The iteration changes the singular values alone, each by the polynomial. So the result is
    /// known from numbers, without any matrix iteration.
    #[test]
    fn singular_values_follow_the_polynomial_and_singular_vectors_stay() {
        for (shape, iterations) in [((4, 11), 5), ((11, 4), 5), ((4, 4), 3), ((1, 9), 5)] {
            let count = shape.0.min(shape.1);
            let values = &[3.0, 2.0, 0.5, 1.0][..count];
            let norm = values.iter().map(|s| s * s).sum::<f64>().sqrt();
            let polynomial = |s: f64| 3.4445 * s - 4.775 * s.powi(3) + 2.0315 * s.powi(5);
            let iterated = values.iter().map(|s| {
                let start = s / (norm + 1e-7);
                (0..iterations).fold(start, |s, _| polynomial(s))
            });
            let iterated: Vec<f64> = iterated.collect();
            let expected = singles(&with_singular_values(&iterated, shape));
            let mut x = singles(&with_singular_values(values, shape));
            orthogonalize(&mut x, shape, iterations);
            let error = relative_error(&expected, &x);
            assert!(error < 1e-5, "{shape:?} differs by {error:e} of its norm");
            let near_one = iterated.iter().all(|s| (0.6..1.25).contains(s));
            assert!(iterations < 5 || near_one, "{iterated:?}");
        }
    }

    #[test]
    fn a_matrix_of_zeros_stays_zero() {
        let mut x = vec![0.0; 12];
        orthogonalize(&mut x, (3, 4), 5);
        assert_eq!(x, [0.0; 12]);
    }

    /// A step in double precision on a matrix (n, m). It multiplies from the left as in the paper,
    /// whichever side is longer.
    fn step_in_doubles(
        rule: &Muon,
        p: &mut [f64],
        g: &[f64],
        v: &mut [f64],
        (n, m): (usize, usize),
    ) {
        let momentum = f64::from(rule.momentum);
        let gradient_scale = f64::from(rule.gradient_scale);
        let mut x = Vec::new();
        for (v, &g) in v.iter_mut().zip(g) {
            let g = gradient_scale * g;
            *v = momentum * *v + g;
            x.push(if rule.nesterov { g + momentum * *v } else { *v });
        }
        let norm = x.iter().map(|x| x * x).sum::<f64>().sqrt();
        x.iter_mut().for_each(|x| *x /= norm + 1e-7);
        for _ in 0..rule.iterations {
            let transposed: Vec<f64> = (0..n * m).map(|i| x[i % n * m + i / n]).collect();
            let gram = product(&x, &transposed, (n, m, n));
            let square = product(&gram, &gram, (n, n, n));
            let pairs = gram.iter().zip(square);
            let polynomial: Vec<f64> = pairs.map(|(a, s)| -4.775 * a + 2.0315 * s).collect();
            let change = product(&polynomial, &x, (n, n, m));
            let pairs = x.iter_mut().zip(change);
            pairs.for_each(|(x, change)| *x = 3.4445 * *x + change);
        }
        let (lr, decay) = (f64::from(rule.lr), f64::from(rule.weight_decay));
        for (p, x) in p.iter_mut().zip(x) {
            *p = *p * (1.0 - lr * decay) - lr * f64::from(rule.scale) * x;
        }
    }

    #[test]
    fn wide_tall_and_square_matrices_follow_the_formula() {
        for (shape, nesterov) in [((7, 19), true), ((19, 7), false), ((8, 8), true)] {
            let rule = Muon {
                lr: 0.02,
                scale: 0.7,
                momentum: 0.95,
                nesterov,
                iterations: 5,
                weight_decay: 0.1,
                gradient_scale: 0.5,
            };
            let start = matrices(10, &[shape]).remove(0);
            let zeros: Matrix<Cpu> = Cpu::default().zeros_like(&shape);
            let (mut cpu_p, mut cpu_v) = (start.clone(), [zeros.clone()]);
            let (mut reference_p, mut reference_v) = (start.clone(), [zeros.clone()]);
            let (mut p, mut v) = (doubles(&start), doubles(&zeros));
            for g in matrices(12, &[shape; STEPS]) {
                CpuBackend::update(&rule, &mut cpu_p, &g, &mut cpu_v).unwrap();
                ReferenceBackend::<Cpu>::update(&rule, &mut reference_p, &g, &mut reference_v)
                    .unwrap();
                step_in_doubles(&rule, &mut p, &doubles(&g), &mut v, shape);
            }
            for (got_p, [got_v]) in [(cpu_p, cpu_v), (reference_p, reference_v)] {
                assert!(relative_error(&singles(&p), &got_p.as_vec()) < 1e-5);
                assert!(relative_error(&singles(&v), &got_v.as_vec()) < 1e-5);
            }
        }
    }

    #[test]
    fn the_loss_falls() {
        assert_loss_falls(OptimizerKind::Muon, 1e-2);
    }
}
