//! Safetensors files of matrices that verify themselves.
//!
//! The metadata has one entry, `runner`: a digest, a space, and a JSON object with the metadata of the file and the
//! SHA-256 of each matrix. The digest covers this object and the names, types and shapes of the matrices. There is only
//! one entry because `safetensors` writes entries in a random order, and equal weights shall give equal files.

use crate::hash;
use crate::kernels::Matrix;
use crate::regular_file;
use crate::results::write_atomic_with;
use dfdx::prelude::*;
use safetensors::tensor::{Metadata, TensorInfo};
use safetensors::{Dtype, SafeTensors};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::path::Path;

/// The entry of the metadata.
const ENTRY: &str = "runner";
/// The keys of the digests of matrices start with this. The name of the matrix follows.
const DIGEST: &str = "sha256:";

fn bytes_of<D: Device<f32>>(matrix: &Matrix<D>) -> Vec<u8> {
    let values = matrix.as_vec();
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

/// Writes named matrices to a safetensors file. The file is either complete or unchanged. It is synced.
///
/// It is written here and not by `safetensors`, which either copies all matrices at once, or writes a file of its own
/// that is not synced. There is a copy of one matrix at a time.
///
/// # Errors
/// If the file cannot be written.
pub fn write_matrices<'a, D: Device<f32>>(
    matrices: impl Iterator<Item = (String, &'a Matrix<D>)>,
    mut metadata: BTreeMap<String, String>,
    path: &Path,
) -> io::Result<()> {
    let mut matrices: Vec<_> = matrices.collect();
    matrices.sort_by(|a, b| a.0.cmp(&b.0));
    let mut infos = Vec::new();
    let mut end = 0;
    for (name, matrix) in &matrices {
        let (rows, cols) = *matrix.shape();
        let bytes = bytes_of(matrix);
        let start = end;
        end += bytes.len();
        metadata.insert(format!("{DIGEST}{name}"), hash::sha256(&bytes));
        let info = TensorInfo {
            dtype: Dtype::F32,
            shape: vec![rows, cols],
            data_offsets: (start, end),
        };
        infos.push((name.clone(), info));
    }
    let json = serde_json::to_string(&metadata)?;
    let shapes = infos
        .iter()
        .map(|(name, info)| (name.clone(), info.dtype, info.shape.clone()));
    let entry = format!("{} {json}", header_digest(&json, shapes.collect()));
    let metadata = HashMap::from([(ENTRY.to_owned(), entry)]);
    let header = Metadata::new(Some(metadata), infos).map_err(io::Error::other)?;
    let mut header = serde_json::to_vec(&header)?;
    // The matrices begin at a multiple of 8 bytes.
    header.resize(header.len().next_multiple_of(8), b' ');
    write_atomic_with(path, |file| {
        let file = file.as_file_mut();
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(&header)?;
        matrices
            .iter()
            .try_for_each(|(_, matrix)| file.write_all(&bytes_of(matrix)))
    })
}

/// SHA-256 of the metadata, and of the names, types and shapes of the matrices.
fn header_digest(json: &str, mut shapes: Vec<(String, Dtype, Vec<usize>)>) -> String {
    shapes.sort_by(|a, b| a.0.cmp(&b.0));
    let mut text = json.to_owned();
    for (name, dtype, shape) in shapes {
        write!(text, "\n{name:?} {dtype:?} {shape:?}").expect("writing to a string cannot fail");
    }
    hash::sha256(text.as_bytes())
}

/// The metadata of a file, and whether it has digests. The files of earlier versions have none, and each of their
/// values is an entry.
///
/// # Errors
/// A description of the damage.
fn read_metadata(header: &Metadata) -> Result<(BTreeMap<String, String>, bool), String> {
    let entries = header.metadata().clone().unwrap_or_default();
    let Some(entry) = entries.get(ENTRY) else {
        return Ok((entries.into_iter().collect(), false));
    };
    let tensors = header.tensors().into_iter();
    let shapes = tensors.map(|(name, info)| (name, info.dtype, info.shape.clone()));
    match entry.split_once(' ') {
        Some((digest, json)) if digest == header_digest(json, shapes.collect()) => {
            let metadata = serde_json::from_str(json).map_err(|error| error.to_string())?;
            Ok((metadata, true))
        }
        _ => Err("its header does not agree with its digest".to_owned()),
    }
}

/// The contents of a safetensors file of matrices.
#[derive(Debug)]
pub struct Matrices<'a> {
    tensors: SafeTensors<'a>,
    metadata: BTreeMap<String, String>,
    has_digests: bool,
}

impl<'a> Matrices<'a> {
    /// Reads a file that [`write_matrices`] wrote with one of these `formats` in its metadata, and compares all
    /// matrices with their digests. Only files in the first format have digests.
    ///
    /// # Errors
    /// What is wrong.
    pub fn read(bytes: &'a [u8], formats: &[&str]) -> Result<Self, MatricesError> {
        let damaged = MatricesError::Damaged;
        let (_, header) =
            SafeTensors::read_metadata(bytes).map_err(|error| damaged(error.to_string()))?;
        let tensors =
            SafeTensors::deserialize(bytes).map_err(|error| damaged(error.to_string()))?;
        let (metadata, has_digests) = read_metadata(&header).map_err(damaged)?;
        let matrices = Self {
            tensors,
            metadata,
            has_digests,
        };
        let found = matrices.text("format");
        if found.is_empty() {
            return Err(MatricesError::Damaged(
                "its header has no format".to_owned(),
            ));
        }
        let is_known = match has_digests {
            true => found == formats[0],
            false => formats[1..].contains(&found),
        };
        if !is_known {
            return Err(MatricesError::Format {
                found: found.to_owned(),
                expected: formats[0].to_owned(),
            });
        }
        if has_digests {
            matrices.check_digests().map_err(damaged)?;
        }
        Ok(matrices)
    }

    /// Compares a file with its own digests. Those of versions that are not in `formats` are not checked.
    ///
    /// # Errors
    /// Why it is damaged.
    pub fn check(bytes: &[u8], formats: &[&str]) -> Result<(), String> {
        match Matrices::read(bytes, formats) {
            Ok(_) | Err(MatricesError::Format { .. }) => Ok(()),
            Err(MatricesError::Damaged(why)) => Err(why),
        }
    }

    /// Whether the file has digests. Files of earlier versions have none.
    pub fn has_digests(&self) -> bool {
        self.has_digests
    }

    fn check_digests(&self) -> Result<(), String> {
        for (name, tensor) in self.tensors.iter() {
            if self.text(&format!("{DIGEST}{name}")) != hash::sha256(tensor.data()) {
                return Err(format!("`{name}` does not agree with its digest"));
            }
        }
        Ok(())
    }

    /// The names of the matrices.
    pub fn names(&self) -> Vec<&str> {
        self.tensors.names()
    }

    /// A value of the metadata. It is empty if there is no such key.
    pub fn text(&self, key: &str) -> &str {
        self.metadata
            .get(key)
            .map(String::as_str)
            .unwrap_or_default()
    }

    /// Checks that there is a matrix of this name with this shape.
    ///
    /// # Errors
    /// A description of what is wrong.
    pub fn check_shape(&self, name: &str, (rows, cols): (usize, usize)) -> Result<(), String> {
        let stored = self
            .tensors
            .tensor(name)
            .map_err(|error| error.to_string())?;
        if stored.shape() != [rows, cols] || stored.dtype() != Dtype::F32 {
            return Err(format!(
                "`{name}` has shape {:?} and type {:?}; expected [{rows}, {cols}] and F32",
                stored.shape(),
                stored.dtype()
            ));
        }
        Ok(())
    }

    /// Replaces the values of a matrix by those stored under `name`.
    ///
    /// # Errors
    /// A description of what is wrong: no such matrix, another shape, or no memory.
    pub fn fill<D: Device<f32>>(&self, name: &str, matrix: &mut Matrix<D>) -> Result<(), String> {
        let shape = *matrix.shape();
        self.check_shape(name, shape)?;
        let stored = self
            .tensors
            .tensor(name)
            .map_err(|error| error.to_string())?;
        let numbers = stored.data().chunks_exact(4);
        let numbers = numbers.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        *matrix = matrix
            .device()
            .try_tensor_from_vec(numbers.collect(), shape)
            .map_err(|error| format!("{error:?}"))?;
        Ok(())
    }
}

/// Whether two files with one of these `formats` have the same matrices, whatever their metadata.
///
/// # Errors
/// If one of the files is damaged or has another format.
pub(super) fn have_same_matrices(
    a: &[u8],
    b: &[u8],
    formats: &[&str],
) -> Result<bool, MatricesError> {
    let (a, b) = (Matrices::read(a, formats)?, Matrices::read(b, formats)?);
    let sorted = |matrices: &Matrices| {
        let tensors = matrices.tensors.iter();
        let mut tensors: Vec<_> = tensors
            .map(|(name, tensor)| {
                (
                    name.to_owned(),
                    tensor.shape().to_vec(),
                    hash::sha256(tensor.data()),
                )
            })
            .collect();
        tensors.sort();
        tensors
    };
    Ok(sorted(&a) == sorted(&b))
}

/// A value in the metadata of a file, without reading its matrices. `None` if there is no such file or value.
pub fn read_text(path: &Path, key: &str) -> Option<String> {
    // A safetensors file begins with the length of a JSON header and this header.
    let mut file = regular_file::open(path).ok()?;
    let mut length = [0; 8];
    file.read_exact(&mut length).ok()?;
    let mut header = Vec::new();
    let length = u64::from_le_bytes(length).min(MAX_HEADER);
    file.take(length).read_to_end(&mut header).ok()?;
    let header: Metadata = serde_json::from_slice(&header).ok()?;
    let (mut metadata, _) = read_metadata(&header).ok()?;
    metadata.remove(key)
}

/// The longest header in bytes. It is the limit of the format.
const MAX_HEADER: u64 = 100_000_000;

/// Why a file of matrices cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MatricesError {
    #[error("{0}")]
    Damaged(String),
    /// It was written by another version, or is another kind of file.
    #[error("format `{found}` in the metadata; expected `{expected}`")]
    Format { found: String, expected: String },
}
