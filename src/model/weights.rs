//! Model weights as a safetensors file.

use super::language_model::Model;
use super::matrix_file::{Matrices, have_same_matrices, write_matrices};
use crate::kernels::Backend;
use crate::regular_file;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// The versions of the file layout that can be read, the current one first. The first version had no digests.
const FORMATS: [&str; 2] = ["runner-model-2", "runner-model-1"];

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
        self.save_with(BTreeMap::new(), path)
    }

    /// [`Self::save`] with more values in the metadata, which [`super::read_text`] reads.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save_with(&self, mut metadata: BTreeMap<String, String>, path: &Path) -> io::Result<()> {
        let parameters = self.parameters().into_iter();
        let tensors = parameters.map(|parameter| (parameter.name.clone(), &parameter.value));
        metadata.insert("format".to_owned(), FORMATS[0].to_owned());
        write_matrices(tensors, metadata, path)
    }

    /// Loads weights that [`Self::save`] wrote for a model of the same kind and size.
    ///
    /// # Errors
    /// If the file cannot be read, is damaged, or belongs to another model or version. Some of the
    /// weights may have been loaded then.
    pub fn load(&mut self, path: &Path) -> Result<(), WeightsError> {
        let bytes = read(path)?;
        self.fill(&bytes).map_err(|why| WeightsError::Unfit {
            path: path.to_owned(),
            why,
        })
    }

    fn fill(&mut self, bytes: &[u8]) -> Result<(), String> {
        let matrices = Matrices::read(bytes, &FORMATS).map_err(|error| error.to_string())?;
        let mut parameters = self.parameters_mut();
        for parameter in &mut parameters {
            matrices.fill(&parameter.name, &mut parameter.value)?;
        }
        let known = |name: &str| parameters.iter().any(|parameter| parameter.name == name);
        match matrices.names().into_iter().find(|name| !known(name)) {
            Some(name) => Err(format!("unknown parameter `{name}` in the file")),
            None => Ok(()),
        }
    }
}

/// Whether two files of weights hold the same numbers, also if versions with another layout wrote them.
///
/// # Errors
/// If one of the files cannot be read or is damaged.
pub fn have_same_weights(a: &Path, b: &Path) -> Result<bool, WeightsError> {
    have_same_matrices(&read(a)?, &read(b)?, &FORMATS).map_err(|error| WeightsError::Unfit {
        path: a.to_owned(),
        why: error.to_string(),
    })
}

/// Compares a file of weights with its own digests, for whatever model it is. Those of other versions are not checked.
///
/// # Errors
/// If the file cannot be read or is damaged.
pub fn check_weights(path: &Path) -> Result<(), WeightsError> {
    let bytes = read(path)?;
    Matrices::check(&bytes, &FORMATS).map_err(|why| WeightsError::Unfit {
        path: path.to_owned(),
        why,
    })
}

fn read(path: &Path) -> Result<Vec<u8>, WeightsError> {
    regular_file::read(path).map_err(|source| WeightsError::Read {
        path: path.to_owned(),
        source,
    })
}
