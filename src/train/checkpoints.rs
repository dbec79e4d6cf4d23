//! Checkpoints: safetensors files from which a run resumes.

use super::train_error::TrainError;
use super::trainer::Trainer;
use crate::kernels::{Backend, Matrix};
use crate::model::{Matrices, write_matrices};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufReader, ErrorKind, Read};
use std::path::Path;

/// Name of the file.
const FILE: &str = "state.safetensors";
/// Version of the layout of the file.
const FORMAT: &str = "runner-checkpoint-2";

/// Totals of a run over all its interruptions.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct RunTotals {
    /// Time in optimizer steps.
    pub(super) training_seconds: f64,
    /// Time in training, evaluation and sampling.
    pub(super) seconds: f64,
    pub(super) peak_memory_mb: f64,
}

/// Writes everything that the next step depends on. The random streams are functions of the seed
/// and the step, so they have no state besides the step.
pub(super) fn save_checkpoint<B: Backend>(
    trainer: &mut Trainer<B>,
    totals: RunTotals,
    identity: &str,
    folder: &Path,
) -> Result<(), TrainError> {
    fs::create_dir_all(folder).map_err(TrainError::file(folder))?;
    let metadata = [
        ("format", FORMAT.to_owned()),
        ("identity", identity.to_owned()),
        ("step", trainer.step.to_string()),
        ("training_seconds", totals.training_seconds.to_string()),
        ("seconds", totals.seconds.to_string()),
        ("peak_memory_mb", totals.peak_memory_mb.to_string()),
    ];
    let metadata = metadata.map(|(key, value)| (key.to_owned(), value));
    let metadata = HashMap::from(metadata);
    let path = folder.join(FILE);
    let matrices = named_matrices(trainer).into_iter();
    let matrices = matrices.map(|(name, matrix)| (name, &*matrix));
    write_matrices(matrices, metadata, &path).map_err(TrainError::file(path))
}

/// Restores a trainer from the checkpoint in `folder`. Returns `None` if there is no checkpoint.
pub(super) fn load_checkpoint<B: Backend>(
    trainer: &mut Trainer<B>,
    identity: &str,
    folder: &Path,
) -> Result<Option<RunTotals>, TrainError> {
    let path = folder.join(FILE);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(TrainError::file(path)(error)),
    };
    restore(trainer, identity, &bytes)
        .map(Some)
        .map_err(|why| TrainError::Checkpoint { path, why })
}

/// The step of the checkpoint in `folder`, without reading its matrices. `None` if there is no checkpoint
/// that can be read.
pub fn saved_step(folder: &Path) -> Option<u64> {
    // A safetensors file begins with the length of a JSON header and this header.
    let mut file = File::open(folder.join(FILE)).ok()?;
    let mut length = [0; 8];
    file.read_exact(&mut length).ok()?;
    let header = BufReader::new(file.take(u64::from_le_bytes(length)));
    let header: serde_json::Value = serde_json::from_reader(header).ok()?;
    header["__metadata__"]["step"].as_str()?.parse().ok()
}

fn restore<B: Backend>(
    trainer: &mut Trainer<B>,
    identity: &str,
    bytes: &[u8],
) -> Result<RunTotals, String> {
    let matrices = Matrices::read(bytes, FORMAT)?;
    let text = |key: &str| matrices.text(key);
    if text("identity") != identity {
        return Err("it is from a run with another configuration".to_owned());
    }
    let number = |key: &str| -> Result<f64, String> {
        text(key)
            .parse()
            .map_err(|_| format!("its metadata has no number '{key}'"))
    };
    let step = text("step")
        .parse()
        .map_err(|_| "its metadata has no number 'step'".to_owned())?;
    for (name, value) in named_matrices(trainer) {
        matrices.fill(&name, value)?;
    }
    trainer.step = step;
    Ok(RunTotals {
        training_seconds: number("training_seconds")?,
        seconds: number("seconds")?,
        peak_memory_mb: number("peak_memory_mb")?,
    })
}

/// All matrices of a trainer, with their names in a checkpoint.
fn named_matrices<B: Backend>(trainer: &mut Trainer<B>) -> Vec<(String, &mut Matrix<B::Device>)> {
    let mut all = Vec::new();
    if let Some(ema) = &mut trainer.ema {
        let parameters = trainer.model.parameters().into_iter();
        let names = parameters.map(|parameter| format!("ema.{}", parameter.name));
        all.extend(names.zip(ema.averages_mut()));
    }
    let states = trainer.optimizer.states_mut();
    for (parameter, state) in trainer.model.parameters_mut().into_iter().zip(states) {
        for (state_name, matrix) in state {
            all.push((format!("{state_name}.{}", parameter.name), matrix));
        }
        all.push((parameter.name.clone(), &mut parameter.value));
    }
    all
}
