use super::lock::{Holder, LockError};
use crate::config::Diagnostics;
use crate::data::DataError;
use crate::results::RecordError;
use std::io;
use std::path::{Path, PathBuf};

/// Why a sweep could not be planned or carried out. An error of a single run is recorded in its
/// `status.json` instead.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The experiment file or its data has errors.
    #[error("{0}")]
    Config(Diagnostics),
    /// The machine failed while the data was read or encoded.
    #[error("{0}")]
    Data(DataError),
    #[error("{} is in use by {holder}\nwait until it ends, stop it, or use another folder with --results", folder.display())]
    Held { folder: PathBuf, holder: Holder },
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// A file of a run cannot be read. A damaged file is no error: the run is trained again.
    #[error(transparent)]
    Record(RecordError),
    #[error("no run matches --only '{glob}'\nthe variants are {}", variants.join(", "))]
    NothingMatches { glob: String, variants: Vec<String> },
    #[error(
        "this build of runner has no GPU support\nbuild it with `cargo build --release --features cuda` (which needs CUDA's nvcc), or train with --device cpu"
    )]
    NoCuda,
    #[error(
        "cannot use GPU {ordinal}: {reason}\ntrain with --device cpu, or with another --device cuda:N"
    )]
    NoGpu { ordinal: usize, reason: String },
    #[error("cannot listen for Ctrl-C: {0}")]
    Signals(ctrlc::Error),
    #[error("cannot start the thread that listens for Ctrl-C: {0}")]
    SignalThread(#[source] io::Error),
    #[error("cannot start worker processes: {0}")]
    Program(io::Error),
}

impl Error {
    /// The error of a results folder that could not be locked.
    pub(super) fn lock(folder: &Path) -> impl FnOnce(LockError) -> Self {
        move |error| match error {
            LockError::Held(holder) => Self::Held {
                folder: folder.to_owned(),
                holder,
            },
            LockError::Io {
                action,
                path,
                source,
            } => Self::Io {
                action,
                path,
                source,
            },
        }
    }

    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }
}
