use super::cpu::matmul::{Accumulate, View, matmul};
use crate::spec::Precision;

/// The three products of a linear layer's forward and backward pass, with x (N, C) and weight (D,
/// C). They measure the speed of a machine.
#[derive(Debug)]
pub struct LinearProducts {
    precision: Precision,
    shape: (usize, usize, usize),
    x: Vec<f32>,
    weight: Vec<f32>,
    y: Vec<f32>,
    gx: Vec<f32>,
    gw: Vec<f32>,
}

impl LinearProducts {
    /// Products of constant matrices.
    pub fn new(precision: Precision, n: usize, c: usize, d: usize) -> Self {
        Self {
            precision,
            shape: (n, c, d),
            x: vec![0.5; n * c],
            weight: vec![0.25; d * c],
            y: vec![0.0; n * d],
            gx: vec![0.0; n * c],
            gw: vec![0.0; d * c],
        }
    }

    /// Floating-point operations of [`Self::run`].
    pub fn flops(&self) -> f64 {
        let (n, c, d) = self.shape;
        3.0 * 2.0 * (n * c * d) as f64
    }

    /// Computes the products on one thread: `y = x Wᵀ`, `gx = y W`, `gw = yᵀ x`.
    pub fn run(&mut self) {
        let (precision, (n, c, d)) = (self.precision, self.shape);
        let (x, weight) = (View::new(&self.x, n, c), View::new(&self.weight, d, c));
        matmul(
            precision,
            &mut self.y,
            d,
            Accumulate::Overwrite,
            x,
            weight.t(),
        );
        let y = View::new(&self.y, n, d);
        matmul(precision, &mut self.gx, c, Accumulate::Overwrite, y, weight);
        matmul(precision, &mut self.gw, c, Accumulate::Overwrite, y.t(), x);
    }
}
