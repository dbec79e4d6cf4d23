//! Weights and checkpoints, as safetensors files.

use super::{TrainError, Trainer};
use crate::model::Model;
use crate::ops::{Backend, Matrix};
use crate::record::write_atomic;
use dfdx::prelude::*;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use std::collections::HashMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// Version of the file's layout.
const FORMAT: &str = "runner-checkpoint-2";

/// What goes on counting over interruptions, besides the trainer's own state.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Elapsed {
    /// In optimizer steps.
    pub(super) training_seconds: f64,
    pub(super) seconds: f64,
    pub(super) peak_memory_mb: f64,
}

/// Writes the weights of a model alone.
pub(super) fn save_weights<B: Backend>(model: &Model<B>, path: &Path) -> Result<(), TrainError> {
    let tensors = model
        .parameters()
        .into_iter()
        .map(|parameter| (parameter.name.clone(), Stored::new(&parameter.value)))
        .collect();
    save(tensors, HashMap::new(), path)
}

/// Writes everything that the next step depends on. The random streams are functions of the seed
/// and of the step, so the step is their state.
pub(super) fn save_checkpoint<B: Backend>(
    trainer: &mut Trainer<B>,
    elapsed: Elapsed,
    identity: &str,
    folder: &Path,
) -> Result<(), TrainError> {
    fs::create_dir_all(folder).map_err(TrainError::file(folder))?;
    let mut tensors = Vec::new();
    for (name, value) in everything(trainer) {
        tensors.push((name, Stored::new(value)));
    }
    let metadata = HashMap::from([
        ("format".to_owned(), FORMAT.to_owned()),
        ("identity".to_owned(), identity.to_owned()),
        ("step".to_owned(), trainer.step.to_string()),
        (
            "training_seconds".to_owned(),
            elapsed.training_seconds.to_string(),
        ),
        ("seconds".to_owned(), elapsed.seconds.to_string()),
        (
            "peak_memory_mb".to_owned(),
            elapsed.peak_memory_mb.to_string(),
        ),
    ]);
    save(tensors, metadata, &folder.join("state.safetensors"))
}

/// Puts a trainer where the checkpoint in `folder` left off; `None` where there is no checkpoint.
pub(super) fn load_checkpoint<B: Backend>(
    trainer: &mut Trainer<B>,
    identity: &str,
    folder: &Path,
) -> Result<Option<Elapsed>, TrainError> {
    let path = folder.join("state.safetensors");
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(TrainError::file(path)(error)),
    };
    restore(trainer, identity, &bytes)
        .map(Some)
        .map_err(|why| TrainError::Checkpoint { path, why })
}

fn restore<B: Backend>(
    trainer: &mut Trainer<B>,
    identity: &str,
    bytes: &[u8],
) -> Result<Elapsed, String> {
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| error.to_string())?;
    let tensors = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
    let metadata = header.metadata().clone().unwrap_or_default();
    let text = |key: &str| metadata.get(key).map(String::as_str).unwrap_or_default();
    if text("format") != FORMAT {
        return Err(format!(
            "its format is '{}', not '{FORMAT}'",
            text("format")
        ));
    }
    if text("identity") != identity {
        return Err("it was written by a run of another configuration".to_owned());
    }
    let number = |key: &str| -> Result<f64, String> {
        text(key)
            .parse()
            .map_err(|_| format!("it has no number '{key}'"))
    };
    let step = text("step")
        .parse()
        .map_err(|_| "it has no number 'step'".to_owned())?;
    for (name, value) in everything(trainer) {
        let stored = tensors.tensor(&name).map_err(|error| error.to_string())?;
        let (rows, cols) = *value.shape();
        if stored.shape() != [rows, cols] || stored.dtype() != Dtype::F32 {
            return Err(format!("'{name}' is not ({rows}, {cols}) of f32"));
        }
        let numbers = stored.data().chunks_exact(4);
        let numbers = numbers
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect();
        *value = value
            .device()
            .try_tensor_from_vec(numbers, (rows, cols))
            .map_err(|error| format!("{error:?}"))?;
    }
    trainer.step = step;
    Ok(Elapsed {
        training_seconds: number("training_seconds")?,
        seconds: number("seconds")?,
        peak_memory_mb: number("peak_memory_mb")?,
    })
}

/// Every matrix of a trainer, with its name in a checkpoint.
fn everything<B: Backend>(trainer: &mut Trainer<B>) -> Vec<(String, &mut Matrix<B::Device>)> {
    let mut all = Vec::new();
    if let Some(average) = &mut trainer.average {
        let names = trainer.model.parameters().into_iter();
        let names = names.map(|parameter| format!("ema.{}", parameter.name));
        all.extend(names.zip(average.means_mut()));
    }
    let state = trainer.optimizer.state_mut();
    for (parameter, state) in trainer.model.parameters_mut().into_iter().zip(state) {
        for (what, matrix) in state {
            all.push((format!("{what}.{}", parameter.name), matrix));
        }
        all.push((parameter.name.clone(), &mut parameter.value));
    }
    all
}

/// A matrix on its way into a file.
struct Stored {
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Stored {
    fn new<D: Device<f32>>(matrix: &Matrix<D>) -> Self {
        let (rows, cols) = *matrix.shape();
        Self {
            shape: vec![rows, cols],
            bytes: matrix
                .as_vec()
                .iter()
                .flat_map(|v| v.to_le_bytes())
                .collect(),
        }
    }
}

fn save(
    tensors: Vec<(String, Stored)>,
    metadata: HashMap<String, String>,
    path: &Path,
) -> Result<(), TrainError> {
    let views = tensors.iter().map(|(name, stored)| {
        let view = TensorView::new(Dtype::F32, stored.shape.clone(), &stored.bytes);
        (name.as_str(), view.expect("four bytes an element"))
    });
    let bytes = safetensors::serialize(views, Some(metadata))
        .map_err(|error| TrainError::file(path)(std::io::Error::other(error.to_string())))?;
    write_atomic(path, &bytes).map_err(TrainError::file(path))
}
