//! The tensors of a class: which numbers of a model each of them holds.

use crate::kernels::CpuBackend;
use crate::model::{Model, Parameter};
use dfdx::prelude::*;
use safetensors::tensor::{Dtype, View, serialize_to_file};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;

/// The tensors of a class by their names. A layer is added under the name of the class, `theirs`, with the values of the
/// layer `ours` of a [`Model`].
#[derive(Debug)]
pub(super) struct Tensors<'a> {
    parameters: BTreeMap<&'a str, &'a Parameter<CpuBackend>>,
    tensors: Vec<(String, Tensor<'a>)>,
}

#[derive(Debug)]
struct Tensor<'a> {
    shape: Vec<usize>,
    values: Values<'a>,
}

/// Where the numbers of a tensor come from.
#[derive(Debug)]
enum Values<'a> {
    /// All values of a parameter.
    All(&'a Parameter<CpuBackend>),
    /// The rows of a parameter as columns.
    Transposed(&'a Parameter<CpuBackend>),
    /// Rows of `width` values of a parameter, in this order.
    Rows {
        parameter: &'a Parameter<CpuBackend>,
        width: usize,
        rows: Vec<usize>,
    },
    /// Values that are no parameter of the model.
    Computed(Vec<f32>),
}

impl<'a> Tensors<'a> {
    pub(super) fn of(model: &'a Model<CpuBackend>) -> Self {
        let parameters = model.parameters().into_iter();
        Self {
            parameters: parameters
                .map(|parameter| (parameter.name.as_str(), parameter))
                .collect(),
            tensors: Vec::new(),
        }
    }

    /// A matrix with the shape that it has in the model.
    pub(super) fn table(&mut self, theirs: &str, ours: &str) {
        let parameter = self.parameters[ours];
        let (rows, cols) = *parameter.value.shape();
        self.add(theirs, vec![rows, cols], Values::All(parameter));
    }

    /// A matrix that is computed.
    pub(super) fn computed(&mut self, theirs: &str, shape: (usize, usize), values: Vec<f32>) {
        self.add(theirs, vec![shape.0, shape.1], Values::Computed(values));
    }

    /// A norm. If it has a bias in the class and none in the model, the bias is zero.
    pub(super) fn norm(&mut self, theirs: &str, ours: &str, has_bias: bool) {
        let gain = self.parameters[format!("{ours}.weight").as_str()];
        let width = gain.value.shape().1;
        self.add(&format!("{theirs}.weight"), vec![width], Values::All(gain));
        if has_bias {
            self.bias(theirs, ours, width, None);
        }
    }

    /// A linear layer, as [`Self::norm`].
    pub(super) fn linear(&mut self, theirs: &str, ours: &str, has_bias: bool) {
        let weight = format!("{ours}.weight");
        let outputs = self.parameters[weight.as_str()].value.shape().0;
        self.table(&format!("{theirs}.weight"), &weight);
        if has_bias {
            self.bias(theirs, ours, outputs, None);
        }
    }

    /// A linear layer whose weight is (in, out), with a bias.
    pub(super) fn transposed_linear(&mut self, theirs: &str, ours: &str) {
        let weight = self.parameters[format!("{ours}.weight").as_str()];
        let (outputs, inputs) = *weight.value.shape();
        let shape = vec![inputs, outputs];
        self.add(
            &format!("{theirs}.weight"),
            shape,
            Values::Transposed(weight),
        );
        self.bias(theirs, ours, outputs, None);
    }

    /// A linear layer with these outputs of a layer of the model.
    pub(super) fn linear_outputs(
        &mut self,
        theirs: &str,
        ours: &str,
        outputs: Vec<usize>,
        has_bias: bool,
    ) {
        let parameter = self.parameters[format!("{ours}.weight").as_str()];
        let inputs = parameter.value.shape().1;
        let (shape, number) = (vec![outputs.len(), inputs], outputs.len());
        if has_bias {
            self.bias(theirs, ours, number, Some(&outputs));
        }
        let values = Values::Rows {
            parameter,
            width: inputs,
            rows: outputs,
        };
        self.add(&format!("{theirs}.weight"), shape, values);
    }

    /// The bias of a layer with a number of outputs: all of `ours`, or some of them.
    fn bias(&mut self, theirs: &str, ours: &str, number: usize, outputs: Option<&[usize]>) {
        let parameter = self
            .parameters
            .get(format!("{ours}.bias").as_str())
            .copied();
        let values = match (parameter, outputs) {
            (None, _) => Values::Computed(vec![0.0; number]),
            (Some(parameter), None) => Values::All(parameter),
            (Some(parameter), Some(outputs)) => Values::Rows {
                parameter,
                width: 1,
                rows: outputs.to_vec(),
            },
        };
        self.add(&format!("{theirs}.bias"), vec![number], values);
    }

    fn add(&mut self, name: &str, shape: Vec<usize>, values: Values<'a>) {
        self.tensors
            .push((name.to_owned(), Tensor { shape, values }));
    }

    /// Writes a safetensors file, one tensor after the other.
    pub(super) fn write(self, path: &Path) -> io::Result<()> {
        // Readers refuse a file that does not say this.
        let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        serialize_to_file(self.tensors, Some(metadata), path).map_err(|error| match error {
            safetensors::SafeTensorError::IoError(error) => error,
            error => io::Error::other(error),
        })
    }
}

impl Tensor<'_> {
    fn numbers(&self) -> Vec<f32> {
        match &self.values {
            Values::All(parameter) => parameter.value.as_vec(),
            Values::Transposed(parameter) => {
                let (rows, cols) = *parameter.value.shape();
                let values = parameter.value.as_vec();
                let column = |col: usize| (0..rows).map(move |row| row * cols + col);
                let order = (0..cols).flat_map(column);
                order.map(|at| values[at]).collect()
            }
            Values::Rows {
                parameter,
                width,
                rows,
            } => {
                let values = parameter.value.as_vec();
                let row = |&row: &usize| &values[row * width..(row + 1) * width];
                rows.iter().flat_map(row).copied().collect()
            }
            Values::Computed(values) => values.clone(),
        }
    }
}

impl View for Tensor<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let numbers = self.numbers().into_iter();
        numbers
            .flat_map(f32::to_le_bytes)
            .collect::<Vec<u8>>()
            .into()
    }

    fn data_len(&self) -> usize {
        self.shape.iter().product::<usize>() * size_of::<f32>()
    }
}
