use crate::huggingface::Inexpressible;
use std::io;
use std::path::PathBuf;

/// Why a model was not exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error("{} exists; name a new folder", .0.display())]
    Exists(PathBuf),
    #[error(
        "a {0} model has no counterpart in transformers; models of the kind gpt can be exported"
    )]
    Kind(&'static str),
    #[error("{} cannot be exported: {reason}", run.display())]
    Inexpressible { run: PathBuf, reason: Inexpressible },
    #[error("cannot write {}: {source}", folder.display())]
    Write { folder: PathBuf, source: io::Error },
}
