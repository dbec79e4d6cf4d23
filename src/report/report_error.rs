use std::io;
use std::path::PathBuf;

const RESULTS_FOLDER: &str =
    "a results folder is made by `runner sweep FILE` and is named results/<experiment>";

/// Why a report could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error("there is no folder {}; {RESULTS_FOLDER}", .0.display())]
    NoFolder(PathBuf),
    #[error("{} is a file, and a folder is meant; {RESULTS_FOLDER}", .0.display())]
    NotAFolder(PathBuf),
    #[error(
        "{} has no plan.json, which a report is written from together with runs/; both stay behind \
         where results are committed: run the sweep again with `runner sweep FILE`",
        .0.display()
    )]
    NoPlan(PathBuf),
    #[error(
        "{} cannot be read as a plan; `runner sweep FILE` writes it anew and keeps the runs that are done",
        path.display()
    )]
    BadPlan {
        path: PathBuf,
        source: serde_json::Error,
    },
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("template {name}:{line}: {message}")]
    Template {
        name: String,
        line: usize,
        message: String,
    },
    #[error("cannot make the table of runs")]
    Table(#[from] polars::error::PolarsError),
    #[error("cannot draw {name}: {message}")]
    Plot { name: &'static str, message: String },
}
