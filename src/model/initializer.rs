//! The first values of parameters.

use super::parameter::{ParamGroup, Parameter};
use crate::kernels::{Backend, DeviceError};
use crate::random::{Stream, unit};
use crate::spec::{self, InitKind};
use dfdx::prelude::*;

/// Rows and columns.
pub(super) type Shape = (usize, usize);

/// The description of a parameter, without its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ParameterShape {
    pub(super) name: String,
    pub(super) group: ParamGroup,
    pub(super) shape: Shape,
    /// Whether rows of it are looked up by token or position.
    pub(super) is_table: bool,
}

impl ParameterShape {
    /// Number of elements. A shape that is too large for a number counts as the largest number.
    pub(super) fn count(&self) -> u64 {
        (self.shape.0 as u64).saturating_mul(self.shape.1 as u64)
    }
}

/// The values that new parameters get.
enum Values<'a> {
    /// Random numbers of this stream.
    Random(&'a Stream),
    /// Zeros in place of random numbers, for weights that are loaded next.
    Zeros,
    /// No elements at all. Only shapes are recorded.
    ShapesOnly,
}

/// Makes the parameters of a model one after another, and records their shapes.
///
/// The random numbers of a parameter depend on how many parameters were made before it. The order in
/// which a model makes its parameters is therefore part of its results.
pub(super) struct Initializer<'a, B: Backend> {
    device: &'a B::Device,
    config: &'a spec::Init,
    values: Values<'a>,
    shapes: Vec<ParameterShape>,
}

impl<'a, B: Backend> Initializer<'a, B> {
    /// Draws each parameter from numbers of `stream` that no other parameter uses.
    pub(super) fn random(
        device: &'a B::Device,
        config: &'a spec::Init,
        stream: &'a Stream,
    ) -> Self {
        Self::new(device, config, Values::Random(stream))
    }

    /// Does not draw. Parameters that would be drawn are zero.
    pub(super) fn zeros(device: &'a B::Device, config: &'a spec::Init) -> Self {
        Self::new(device, config, Values::Zeros)
    }

    /// Records shapes and allocates nothing: all values and tables are empty.
    pub(super) fn shapes_only(device: &'a B::Device, config: &'a spec::Init) -> Self {
        Self::new(device, config, Values::ShapesOnly)
    }

    fn new(device: &'a B::Device, config: &'a spec::Init, values: Values<'a>) -> Self {
        Self {
            device,
            config,
            values,
            shapes: Vec::new(),
        }
    }

    /// The shapes of the parameters made so far, in the order in which they were made.
    pub(super) fn into_shapes(self) -> Vec<ParameterShape> {
        self.shapes
    }

    /// A table whose rows are looked up.
    pub(super) fn table(
        &mut self,
        name: impl Into<String>,
        group: ParamGroup,
        shape: Shape,
    ) -> Result<Parameter<B>, DeviceError<B::Device>> {
        let std = self.config.embedding_std;
        let table = self.normal(name, group, shape, std)?;
        if let Some(made) = self.shapes.last_mut() {
            made.is_table = true;
        }
        Ok(table)
    }

    /// The weight (out, in) of a linear layer. For the last layer of a residual branch, `branches` is
    /// the number of branches in the model.
    pub(super) fn matrix(
        &mut self,
        name: impl Into<String>,
        group: ParamGroup,
        shape: Shape,
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
            InitKind::Kaiming => self.normal(name, group, shape, (2.0 / inputs).sqrt()),
            InitKind::Uniform => self.uniform(name, group, shape, 1.0 / inputs.sqrt()),
        }
    }

    /// The bias (1, out) of a linear layer with a weight (out, in).
    pub(super) fn bias(
        &mut self,
        name: impl Into<String>,
        (outputs, inputs): Shape,
    ) -> Result<Parameter<B>, DeviceError<B::Device>> {
        match self.config.kind {
            InitKind::Normal | InitKind::Xavier | InitKind::Kaiming => {
                self.constant(name, ParamGroup::Bias, outputs, 0.0)
            }
            InitKind::Uniform => {
                let bound = 1.0 / (inputs as f64).sqrt();
                self.uniform(name, ParamGroup::Bias, (1, outputs), bound)
            }
        }
    }

    /// A vector (1, cols) with the same value everywhere.
    pub(super) fn constant(
        &mut self,
        name: impl Into<String>,
        group: ParamGroup,
        cols: usize,
        value: f32,
    ) -> Result<Parameter<B>, DeviceError<B::Device>> {
        self.push(name, group, (1, cols), |n| vec![value; n])
    }

    /// A table of `rows` rows that is computed and not trained. It is empty where only shapes are
    /// recorded.
    pub(super) fn computed<T>(&self, rows: usize, table: impl FnOnce(usize) -> T) -> T {
        match self.values {
            Values::Random(_) | Values::Zeros => table(rows),
            Values::ShapesOnly => table(0),
        }
    }

    /// Normally distributed around 0 (Box & Muller 1958).
    fn normal(
        &mut self,
        name: impl Into<String>,
        group: ParamGroup,
        shape: Shape,
        std: f64,
    ) -> Result<Parameter<B>, DeviceError<B::Device>> {
        let Values::Random(stream) = self.values else {
            return self.push(name, group, shape, |n| vec![0.0; n]);
        };
        let mut rng = stream.at(self.shapes.len() as u64);
        self.push(name, group, shape, |n| {
            let mut values = Vec::with_capacity(n.saturating_add(1));
            while values.len() < n {
                let radius = (-2.0 * libm::log(1.0 - unit(&mut rng))).sqrt() * std;
                let (sin, cos) = libm::sincos(std::f64::consts::TAU * unit(&mut rng));
                values.push((radius * cos) as f32);
                values.push((radius * sin) as f32);
            }
            values.truncate(n);
            values
        })
    }

    /// Uniform in [-bound, bound).
    fn uniform(
        &mut self,
        name: impl Into<String>,
        group: ParamGroup,
        shape: Shape,
        bound: f64,
    ) -> Result<Parameter<B>, DeviceError<B::Device>> {
        let Values::Random(stream) = self.values else {
            return self.push(name, group, shape, |n| vec![0.0; n]);
        };
        let mut rng = stream.at(self.shapes.len() as u64);
        let value = |_| ((2.0 * unit(&mut rng) - 1.0) * bound) as f32;
        self.push(name, group, shape, |n| (0..n).map(value).collect())
    }

    /// Records a parameter and allocates it. `values` gets the number of elements.
    fn push(
        &mut self,
        name: impl Into<String>,
        group: ParamGroup,
        shape: Shape,
        values: impl FnOnce(usize) -> Vec<f32>,
    ) -> Result<Parameter<B>, DeviceError<B::Device>> {
        let name = name.into();
        self.shapes.push(ParameterShape {
            name: name.clone(),
            group,
            shape,
            is_table: false,
        });
        let (rows, cols) = match self.values {
            Values::Random(_) | Values::Zeros => shape,
            Values::ShapesOnly => (0, 0),
        };
        let values = values(rows.saturating_mul(cols));
        Ok(Parameter {
            name,
            group,
            value: self.device.try_tensor_from_vec(values, (rows, cols))?,
        })
    }
}
