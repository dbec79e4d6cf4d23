//! The trained model of a run, read from its folder.

use super::generate_error::GenerateError;
use crate::data::Tokenizer;
use crate::kernels::CpuBackend;
use crate::model::{Model, WeightsError, size};
use crate::regular_file::is_present;
use crate::results::{RecordError, RunDir, RunState, RunStatus};
use crate::spec::RunSpec;
use crate::text::units;
use crate::train;
use dfdx::prelude::Cpu;
use std::fs;
use std::path::{Path, PathBuf};

/// The model of a run after `step`, or after the last step, with its tokenizer. The files are checked against the
/// record of the run. An n-gram model has no weights.
pub(super) fn load_model(
    dir: &RunDir,
    spec: &RunSpec,
    step: Option<u64>,
) -> Result<(Model<CpuBackend>, Tokenizer), GenerateError> {
    let record = dir.record()?;
    let status = record.as_ref().map(|record| &record.status);
    let weights = weights(dir, status, step)?;
    if let Some(record) = &record {
        for file in [&dir.config(), &dir.tokenizer(), &weights] {
            dir.check_file(file, record)?;
        }
    }
    train::check_origin(&weights, spec, dir)?;
    let tokenizer = Tokenizer::load(&dir.tokenizer()).map_err(GenerateError::Tokenizer)?;
    let vocab_size = tokenizer.vocab_size();
    let params = size(&spec.model, vocab_size, spec.sequence_length()).params;
    check_size(&weights, params).map_err(GenerateError::Weights)?;
    let mut model = Model::<CpuBackend>::zeros(&Cpu::default(), &spec.model, vocab_size)?;
    model.load(&weights).map_err(GenerateError::Weights)?;
    Ok((model, tokenizer))
}

/// The file with the weights after `step`, or after the last step. `status` is that of a run that has ended.
fn weights(
    dir: &RunDir,
    status: Option<&RunStatus>,
    step: Option<u64>,
) -> Result<PathBuf, GenerateError> {
    let folder = dir.path().to_owned();
    let last = dir.weights();
    let Some(step) = step else {
        if is_present(&last) {
            return Ok(last);
        }
        let state = describe_state(status);
        return Err(GenerateError::NoModel { folder, state });
    };
    let saved = dir.weights_at(step);
    if is_present(&saved) {
        return Ok(saved);
    }
    let listed = dir.saved_steps();
    let mut steps = listed.map_err(|source| {
        let path = folder.clone();
        GenerateError::Record(RecordError::read(path)(source))
    })?;
    if is_present(&last)
        && let Some(outcome) = status.and_then(|status| status.outcome.as_ref())
    {
        let saved = outcome.weights_step();
        if saved == step {
            return Ok(last);
        }
        if !steps.contains(&saved) {
            steps.push(saved);
        }
    }
    Err(GenerateError::NotSaved {
        folder,
        step,
        saved: steps,
    })
}

/// Bytes by which the weights of a configuration may be larger than their file. What is wrong with them is then
/// found when the file is read, with a better message.
const SLACK: u64 = 64 << 20;

/// Checks that a file of weights is not far too small for a number of parameters, before a model of this size
/// is allocated: the configuration may have been changed.
fn check_size(weights: &Path, params: u64) -> Result<(), WeightsError> {
    let path = || weights.to_owned();
    let file = fs::metadata(weights).map_err(|source| WeightsError::Read {
        path: path(),
        source,
    })?;
    let needed = params.saturating_mul(size_of::<f32>() as u64);
    if needed <= file.len().saturating_add(SLACK) {
        return Ok(());
    }
    let why = format!(
        "it has {} bytes, and the {} parameters of the configuration take {}",
        units::exact(file.len()),
        units::exact(params),
        units::exact(needed)
    );
    Err(WeightsError::Unfit { path: path(), why })
}

/// The state of a run that has no model.
fn describe_state(status: Option<&RunStatus>) -> String {
    match status.map(|status| (status.state, &status.reason)) {
        Some((RunState::Failed, why)) => format!("failed: {why}"),
        Some((RunState::Diverged, why)) => format!("diverged: {why}"),
        Some((RunState::Done, _)) => "is done, but its model.safetensors is missing".to_owned(),
        Some((RunState::NotStarted | RunState::Stopped, _)) | None => {
            "is not done; `runner sweep` continues it".to_owned()
        }
    }
}
