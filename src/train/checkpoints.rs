//! Checkpoints, as safetensors files.

use super::{TrainError, Trainer};
use crate::kernels::{Backend, Matrix};
use crate::model::{Matrices, write_matrices};
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

/// Writes everything that the next step depends on. The random streams are functions of the seed
/// and of the step, so the step is their state.
pub(super) fn save_checkpoint<B: Backend>(
    trainer: &mut Trainer<B>,
    elapsed: Elapsed,
    identity: &str,
    folder: &Path,
) -> Result<(), TrainError> {
    fs::create_dir_all(folder).map_err(TrainError::file(folder))?;
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
    let path = folder.join("state.safetensors");
    let matrices = everything(trainer).into_iter();
    let matrices = matrices.map(|(name, matrix)| (name, &*matrix));
    write_matrices(matrices, metadata, &path).map_err(TrainError::file(path))
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
    let matrices = Matrices::read(bytes, FORMAT)?;
    let text = |key: &str| matrices.text(key);
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
        matrices.fill(&name, value)?;
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
    if let Some(ema) = &mut trainer.ema {
        let names = trainer.model.parameters().into_iter();
        let names = names.map(|parameter| format!("ema.{}", parameter.name));
        all.extend(names.zip(ema.averages_mut()));
    }
    let state = trainer.optimizer.states_mut();
    for (parameter, state) in trainer.model.parameters_mut().into_iter().zip(state) {
        for (what, matrix) in state {
            all.push((format!("{what}.{}", parameter.name), matrix));
        }
        all.push((parameter.name.clone(), &mut parameter.value));
    }
    all
}
