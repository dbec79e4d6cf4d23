use crate::regular_file::is_wrong_kind;
use std::io;
use std::path::PathBuf;

/// A file of a run that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It does not hold what the run wrote.
    #[error("{} is damaged: {why}", path.display())]
    Damaged { path: PathBuf, why: String },
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
}

impl RecordError {
    /// For an error of reading `path`. Something else in the place of the file is damage.
    pub fn read(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| match is_wrong_kind(&source) {
            true => Self::damaged(path)(source),
            false => Self::Read { path, source },
        }
    }

    /// For contents of `path` that are not what they should be.
    pub fn damaged<E: ToString>(path: impl Into<PathBuf>) -> impl FnOnce(E) -> Self {
        let path = path.into();
        move |why| Self::Damaged {
            path,
            why: why.to_string(),
        }
    }

    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. })
    }
}
