use crate::results::SealError;
use std::io;
use std::path::PathBuf;

const RESULTS_FOLDER: &str = "expected the results folder of an experiment, such as results/ablation; `runner sweep FILE` creates it";

/// Why a report could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error("folder {} does not exist; {RESULTS_FOLDER}", .0.display())]
    NoFolder(PathBuf),
    #[error("{} is a file; {RESULTS_FOLDER}", .0.display())]
    NotAFolder(PathBuf),
    #[error(
        "{} has no plan.json; a report needs plan.json and runs/, which are not committed; run \
         `runner sweep FILE` to create them",
        .0.display()
    )]
    NoPlan(PathBuf),
    #[error(
        "{} is not a valid plan; `runner sweep FILE` writes it again and keeps the finished runs",
        path.display()
    )]
    BadPlan { path: PathBuf, source: SealError },
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot read the template {}", path.display())]
    ReadTemplate { path: PathBuf, source: io::Error },
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("template {name}:{line}: {message}")]
    Template {
        name: String,
        line: usize,
        message: String,
    },
    #[error("cannot write report.json")]
    Json(#[from] serde_json::Error),
    #[error("cannot write the table of runs")]
    Table(#[from] polars::error::PolarsError),
    #[error("cannot draw {name}: {message}")]
    Plot { name: &'static str, message: String },
}
