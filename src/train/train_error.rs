use crate::data::DataError;
use crate::model::WeightsError;
use crate::results::RecordError;
use std::io;
use std::path::PathBuf;

/// Why a run could not be trained.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    #[error("cannot read or write {path}: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error(
        "cannot resume from the checkpoint {path}: {why}; the checkpoint was not changed; finish the run with \
         the version of runner that started it, or train it from its first step with --restart"
    )]
    Checkpoint { path: PathBuf, why: String },
    #[error(transparent)]
    Record(RecordError),
    #[error(transparent)]
    Weights(#[from] WeightsError),
    #[error("sample.prompt cannot be encoded: {0}")]
    Prompt(DataError),
    #[error(transparent)]
    Data(#[from] DataError),
    #[error("cannot start threads: {0}")]
    Threads(io::Error),
    #[error("the device failed: {0}")]
    Device(String),
}

impl From<dfdx::prelude::CpuError> for TrainError {
    fn from(error: dfdx::prelude::CpuError) -> Self {
        Self::device(error)
    }
}

impl TrainError {
    /// Names the file in an I/O error.
    pub(super) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }

    /// Wraps an error of a dfdx device.
    pub(super) fn device(error: impl std::fmt::Debug) -> Self {
        Self::Device(format!("{error:?}"))
    }
}
