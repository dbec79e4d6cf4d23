use crate::kernels::{Backend, DeviceError, Matrix};
use crate::random::{Stream, unit};
use crate::spec::{self, InitKind};
use dfdx::prelude::*;

/// What a parameter is for. Optimizers treat groups differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParamGroup {
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
    pub group: ParamGroup,
    pub value: Matrix<B::Device>,
}

/// Makes parameters one after another, each from random numbers of its own.
pub(super) struct Initializer<'a, B: Backend> {
    device: &'a B::Device,
    /// Absent where values are about to be filled in, and need not be drawn.
    stream: Option<&'a Stream>,
    config: &'a spec::Init,
    made: u64,
}

impl<'a, B: Backend> Initializer<'a, B> {
    pub(super) fn new(
        device: &'a B::Device,
        stream: Option<&'a Stream>,
        config: &'a spec::Init,
    ) -> Self {
        Self {
            device,
            stream,
            config,
            made: 0,
        }
    }

    /// A table whose rows are read.
    pub(super) fn table(
        &mut self,
        name: impl Into<String>,
        group: ParamGroup,
        shape: (usize, usize),
    ) -> Result<Parameter<B>, DeviceError<B::Device>> {
        self.normal(name, group, shape, self.config.embedding_std)
    }

    /// A matrix (out, in). At the end of a branch, `branches` is how many of them join the residual
    /// stream.
    pub(super) fn matrix(
        &mut self,
        name: impl Into<String>,
        group: ParamGroup,
        shape: (usize, usize),
        branches: Option<usize>,
    ) -> Result<Parameter<B>, DeviceError<B::Device>> {
        let (outputs, inputs) = (shape.0 as f64, shape.1 as f64);
        match self.config.kind {
            InitKind::Normal => {
                let branches = branches.filter(|_| self.config.residual_scaling);
                let std = self.config.std / (branches.unwrap_or(1) as f64).sqrt();
                self.normal(name, group, shape, std)
            }
            InitKind::Xavier => self.uniform(name, group, shape, (6.0 / (inputs + outputs)).sqrt()),
            InitKind::Uniform => self.uniform(name, group, shape, 1.0 / inputs.sqrt()),
        }
    }

    /// The bias of a matrix (out, in).
    pub(super) fn bias(
        &mut self,
        name: impl Into<String>,
        (outputs, inputs): (usize, usize),
    ) -> Result<Parameter<B>, DeviceError<B::Device>> {
        match self.config.kind {
            InitKind::Normal | InitKind::Xavier => {
                self.constant(name, ParamGroup::Bias, outputs, 0.0)
            }
            InitKind::Uniform => {
                let bound = 1.0 / (inputs as f64).sqrt();
                self.uniform(name, ParamGroup::Bias, (1, outputs), bound)
            }
        }
    }

    /// The same value everywhere.
    pub(super) fn constant(
        &mut self,
        name: impl Into<String>,
        group: ParamGroup,
        cols: usize,
        value: f32,
    ) -> Result<Parameter<B>, DeviceError<B::Device>> {
        self.made(name, group, (1, cols), vec![value; cols])
    }

    /// Normally distributed around 0 (Box & Muller 1958).
    fn normal(
        &mut self,
        name: impl Into<String>,
        group: ParamGroup,
        (rows, cols): (usize, usize),
        std: f64,
    ) -> Result<Parameter<B>, DeviceError<B::Device>> {
        let Some(stream) = self.stream else {
            return self.made(name, group, (rows, cols), vec![0.0; rows * cols]);
        };
        let mut rng = stream.at(self.made);
        let mut values = Vec::with_capacity(rows * cols + 1);
        while values.len() < rows * cols {
            let radius = (-2.0 * (1.0 - unit(&mut rng)).ln()).sqrt() * std;
            let (sin, cos) = (std::f64::consts::TAU * unit(&mut rng)).sin_cos();
            values.push((radius * cos) as f32);
            values.push((radius * sin) as f32);
        }
        values.truncate(rows * cols);
        self.made(name, group, (rows, cols), values)
    }

    /// Uniform in [-bound, bound).
    fn uniform(
        &mut self,
        name: impl Into<String>,
        group: ParamGroup,
        (rows, cols): (usize, usize),
        bound: f64,
    ) -> Result<Parameter<B>, DeviceError<B::Device>> {
        let Some(stream) = self.stream else {
            return self.made(name, group, (rows, cols), vec![0.0; rows * cols]);
        };
        let mut rng = stream.at(self.made);
        let value = |_| ((2.0 * unit(&mut rng) - 1.0) * bound) as f32;
        let values = (0..rows * cols).map(value).collect();
        self.made(name, group, (rows, cols), values)
    }

    fn made(
        &mut self,
        name: impl Into<String>,
        group: ParamGroup,
        shape: (usize, usize),
        values: Vec<f32>,
    ) -> Result<Parameter<B>, DeviceError<B::Device>> {
        self.made += 1;
        Ok(Parameter {
            name: name.into(),
            group,
            value: self.device.try_tensor_from_vec(values, shape)?,
        })
    }
}
