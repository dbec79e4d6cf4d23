use crate::ops::{Backend, Fault, Matrix};
use crate::random::{Stream, unit};
use dfdx::prelude::*;

/// What a parameter is for. Optimizers treat roles differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Multiplies activations inside the model.
    Matrix,
    /// A table that rows are read from, and no more.
    Embedding,
    /// Multiplies activations at the model's end: the output head, and the token embedding where it
    /// is tied to it.
    Head,
    /// The gain of a norm.
    Norm,
    /// Added to activations, by a linear layer or a norm.
    Bias,
}

/// A trained matrix; a vector is one row.
#[derive(Debug, Clone)]
pub struct Parameter<B: Backend> {
    pub name: String,
    pub role: Role,
    pub value: Matrix<B::Device>,
}

/// Makes parameters one after another, each from random numbers of its own.
pub(super) struct Initializer<'a, B: Backend> {
    device: &'a B::Device,
    stream: &'a Stream,
    made: u64,
}

impl<'a, B: Backend> Initializer<'a, B> {
    pub(super) fn new(device: &'a B::Device, stream: &'a Stream) -> Self {
        Self {
            device,
            stream,
            made: 0,
        }
    }

    /// Normally distributed around 0 (Box & Muller 1958).
    pub(super) fn normal(
        &mut self,
        name: impl Into<String>,
        role: Role,
        (rows, cols): (usize, usize),
        std: f64,
    ) -> Result<Parameter<B>, Fault<B::Device>> {
        let mut rng = self.stream.at(self.made);
        let mut values = Vec::with_capacity(rows * cols + 1);
        while values.len() < rows * cols {
            let radius = (-2.0 * (1.0 - unit(&mut rng)).ln()).sqrt() * std;
            let (sin, cos) = (std::f64::consts::TAU * unit(&mut rng)).sin_cos();
            values.push((radius * cos) as f32);
            values.push((radius * sin) as f32);
        }
        values.truncate(rows * cols);
        self.made(name, role, (rows, cols), values)
    }

    /// The same value everywhere.
    pub(super) fn constant(
        &mut self,
        name: impl Into<String>,
        role: Role,
        cols: usize,
        value: f32,
    ) -> Result<Parameter<B>, Fault<B::Device>> {
        self.made(name, role, (1, cols), vec![value; cols])
    }

    fn made(
        &mut self,
        name: impl Into<String>,
        role: Role,
        shape: (usize, usize),
        values: Vec<f32>,
    ) -> Result<Parameter<B>, Fault<B::Device>> {
        self.made += 1;
        Ok(Parameter {
            name: name.into(),
            role,
            value: self.device.try_tensor_from_vec(values, shape)?,
        })
    }
}
