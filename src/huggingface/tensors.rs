//! The tensors of a class: which numbers of a model each of them holds.

use crate::kernels::CpuBackend;
use crate::model::{Model, Parameter, sinusoids};
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
    Zeros,
    /// The table of sinusoidal positions, which is no parameter.
    Sinusoids,
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

    /// The table of sinusoidal positions.
    pub(super) fn sinusoids(&mut self, theirs: &str, shape: (usize, usize)) {
        self.add(theirs, vec![shape.0, shape.1], Values::Sinusoids);
    }

    pub(super) fn zeros(&mut self, theirs: &str, shape: Vec<usize>) {
        self.add(theirs, shape, Values::Zeros);
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
            (None, _) => Values::Zeros,
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

impl View for Tensor<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let bytes: Vec<u8> = match &self.values {
            Values::Zeros => vec![0; self.data_len()],
            Values::Sinusoids => bytes(sinusoids((self.shape[0], self.shape[1]))),
            Values::All(parameter) => bytes(parameter.value.as_vec()),
            Values::Transposed(parameter) => {
                let (rows, cols) = *parameter.value.shape();
                let values = parameter.value.as_vec();
                let column = |col: usize| (0..rows).map(move |row| row * cols + col);
                bytes((0..cols).flat_map(column).map(|at| values[at]))
            }
            Values::Rows {
                parameter,
                width,
                rows,
            } => {
                let values = parameter.value.as_vec();
                let row = |&row: &usize| &values[row * width..(row + 1) * width];
                bytes(rows.iter().flat_map(row).copied())
            }
        };
        bytes.into()
    }

    fn data_len(&self) -> usize {
        self.shape.iter().product::<usize>() * size_of::<f32>()
    }
}

fn bytes(numbers: impl IntoIterator<Item = f32>) -> Vec<u8> {
    numbers.into_iter().flat_map(f32::to_le_bytes).collect()
}
