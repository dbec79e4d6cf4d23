//! The weights of the best evaluation of a run so far, which become its result when it ends.
//!
//! There is a file for each step, so that a run that continues from an earlier checkpoint finds the weights that were
//! the best ones then.

use super::train_error::TrainError;
use crate::kernels::Backend;
use crate::model::{Model, WeightsError, check_weights, read_text};
use crate::results::{Evaluation, RecordError, RunDir, create_folder, remove_if_exists};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

/// Key of the validation loss in the metadata of a file.
const VAL_LOSS: &str = "val_loss";

/// Saves the weights of an evaluation.
pub(super) fn save<B: Backend>(
    model: &Model<B>,
    evaluation: &Evaluation,
    dir: &RunDir,
) -> Result<(), TrainError> {
    let path = dir.best_weights(evaluation.step);
    let folder = dir.checkpoint();
    create_folder(&folder).map_err(TrainError::file(folder))?;
    let metadata = [(VAL_LOSS.to_owned(), evaluation.val_loss.to_string())];
    let saved = model.save_with(BTreeMap::from(metadata), &path);
    saved.map_err(TrainError::file(path))
}

/// Checks that the weights of an evaluation were saved and are undamaged. A run that was killed may have saved those
/// of another evaluation with this step, if it does not repeat its losses exactly.
///
/// # Errors
/// If the file is missing, damaged or unreadable.
pub(super) fn check<B: Backend>(
    mut model: Model<B>,
    evaluation: &Evaluation,
    dir: &RunDir,
) -> Result<(), RecordError> {
    let path = dir.best_weights(evaluation.step);
    let loaded = model.load(&path);
    loaded.map_err(|error| record_error(error, &path))?;
    let loss = read_text(&path, VAL_LOSS);
    match loss.is_some_and(|loss| loss == evaluation.val_loss.to_string()) {
        true => Ok(()),
        false => Err(RecordError::damaged(path)(
            "it is that of another evaluation",
        )),
    }
}

/// Compares all saved weights with their own digests.
///
/// # Errors
/// The first file that is damaged or cannot be read.
pub(super) fn check_all(dir: &RunDir) -> Result<(), RecordError> {
    let folder = dir.checkpoint();
    let saved = dir.all_best_weights();
    for path in saved.map_err(RecordError::read(&folder))? {
        match check_weights(&path) {
            // The run has removed it in the meantime.
            Err(WeightsError::Read { source, .. }) if source.kind() == ErrorKind::NotFound => {}
            checked => checked.map_err(|error| record_error(error, &path))?,
        }
    }
    Ok(())
}

fn record_error(error: WeightsError, path: &Path) -> RecordError {
    match error {
        WeightsError::Read { path, source } if source.kind() != ErrorKind::NotFound => {
            RecordError::read(path)(source)
        }
        WeightsError::Read { source, .. } => RecordError::damaged(path)(source),
        WeightsError::Unfit { why, .. } => RecordError::damaged(path)(why),
    }
}

/// Removes all saved weights but those of these steps.
pub(super) fn remove_others(dir: &RunDir, kept: &[Option<u64>]) -> Result<(), TrainError> {
    let kept: Vec<_> = kept
        .iter()
        .flatten()
        .map(|&step| dir.best_weights(step))
        .collect();
    let saved = dir.all_best_weights();
    for path in saved.map_err(TrainError::file(dir.checkpoint()))? {
        if !kept.contains(&path) {
            remove_if_exists(&path).map_err(TrainError::file(path))?;
        }
    }
    Ok(())
}
