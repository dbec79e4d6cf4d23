//! Model weights as a safetensors file.

use super::language_model::Model;
use crate::kernels::{Backend, Matrix};
use crate::results::write_atomic;
use dfdx::prelude::*;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// The version of the file layout, stored in the metadata.
const FORMAT: &str = "runner-model-1";

/// A weights file that cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} does not hold the weights of this model: {why}", path.display())]
    Unfit { path: PathBuf, why: String },
}

impl<B: Backend> Model<B> {
    /// Writes all weights to a file, under the names of the parameters.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        let parameters = self.parameters().into_iter();
        let tensors = parameters.map(|parameter| (parameter.name.clone(), &parameter.value));
        let metadata = HashMap::from([("format".to_owned(), FORMAT.to_owned())]);
        write_matrices(tensors, metadata, path)
    }

    /// Loads weights that [`Self::save`] wrote for a model of the same kind and size.
    ///
    /// # Errors
    /// If the file cannot be read, is damaged, or belongs to another model or version. Some of the
    /// weights may have been loaded then.
    pub fn load(&mut self, path: &Path) -> Result<(), WeightsError> {
        let bytes = fs::read(path).map_err(|source| WeightsError::Read {
            path: path.to_owned(),
            source,
        })?;
        self.fill(&bytes).map_err(|why| WeightsError::Unfit {
            path: path.to_owned(),
            why,
        })
    }

    fn fill(&mut self, bytes: &[u8]) -> Result<(), String> {
        let matrices = Matrices::read(bytes, FORMAT)?;
        let mut parameters = self.parameters_mut();
        for parameter in &mut parameters {
            matrices.fill(&parameter.name, &mut parameter.value)?;
        }
        let known = |name: &str| parameters.iter().any(|parameter| parameter.name == name);
        match matrices
            .tensors
            .names()
            .into_iter()
            .find(|name| !known(name))
        {
            Some(name) => Err(format!("unknown parameter `{name}` in the file")),
            None => Ok(()),
        }
    }
}

/// Writes named matrices to a safetensors file. The file is either complete or unchanged.
///
/// # Errors
/// If the file cannot be written.
pub fn write_matrices<'a, D: Device<f32>>(
    matrices: impl Iterator<Item = (String, &'a Matrix<D>)>,
    metadata: HashMap<String, String>,
    path: &Path,
) -> io::Result<()> {
    let stored: Vec<_> = matrices
        .map(|(name, matrix)| {
            let values = matrix.as_vec();
            let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            (name, *matrix.shape(), bytes)
        })
        .collect();
    let views = stored.iter().map(|(name, (rows, cols), bytes)| {
        let view = TensorView::new(Dtype::F32, vec![*rows, *cols], bytes);
        (name.as_str(), view.expect("an f32 has four bytes"))
    });
    let bytes = safetensors::serialize(views, Some(metadata)).map_err(io::Error::other)?;
    write_atomic(path, &bytes)
}

/// The contents of a safetensors file of matrices.
#[derive(Debug)]
pub struct Matrices<'a> {
    tensors: SafeTensors<'a>,
    metadata: HashMap<String, String>,
}

impl<'a> Matrices<'a> {
    /// Reads a file that [`write_matrices`] wrote with this `format` in its metadata.
    ///
    /// # Errors
    /// A description of what is wrong: the file is damaged, or has another format.
    pub fn read(bytes: &'a [u8], format: &str) -> Result<Self, String> {
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| error.to_string())?;
        let matrices = Self {
            tensors: SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?,
            metadata: header.metadata().clone().unwrap_or_default(),
        };
        match matrices.text("format") {
            found if found == format => Ok(matrices),
            "" => Err(format!("no format in the metadata; expected `{format}`")),
            found => Err(format!(
                "format `{found}` in the metadata; expected `{format}`"
            )),
        }
    }

    /// A value of the metadata. It is empty if there is no such key.
    pub fn text(&self, key: &str) -> &str {
        self.metadata
            .get(key)
            .map(String::as_str)
            .unwrap_or_default()
    }

    /// Replaces the values of a matrix by those stored under `name`.
    ///
    /// # Errors
    /// A description of what is wrong: no such matrix, another shape, or no memory.
    pub fn fill<D: Device<f32>>(&self, name: &str, matrix: &mut Matrix<D>) -> Result<(), String> {
        let stored = self
            .tensors
            .tensor(name)
            .map_err(|error| error.to_string())?;
        let (rows, cols) = *matrix.shape();
        if stored.shape() != [rows, cols] || stored.dtype() != Dtype::F32 {
            return Err(format!(
                "`{name}` has shape {:?} and type {:?}; expected [{rows}, {cols}] and F32",
                stored.shape(),
                stored.dtype()
            ));
        }
        let numbers = stored.data().chunks_exact(4);
        let numbers = numbers.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        *matrix = matrix
            .device()
            .try_tensor_from_vec(numbers.collect(), (rows, cols))
            .map_err(|error| format!("{error:?}"))?;
        Ok(())
    }
}
