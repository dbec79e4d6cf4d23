//! The report of a sweep: what its runs left behind, compared, drawn and put into words.
//!
//! Reads records and nothing else: no model, no data and no configuration file is needed to render
//! a report again. Unchanged records give the same bytes.

mod answer;
mod config_diff;
mod loaded_results;
mod page_data;
mod plots;
mod ranking;
mod render;
mod report_error;
mod reproduction;
mod side_by_side;
mod summary_csv;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod tokenizer_table;

pub use page_data::Row;
pub use report_error::ReportError;
pub use reproduction::{Expected, Verdict, expected_of_plan};
pub use tokenizer_table::{TokenizerRow, tokenizers};

use crate::results::{RunState, SweepPlan, write_atomic};
use loaded_results::Results;
use page_data::View;
use ranking::Ranking;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What a terminal shows when a report is written.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// Name of the experiment.
    pub experiment: String,
    /// The answer, in plain sentences.
    pub answer: Vec<String>,
    /// Where the comparison is not between equals, or not complete.
    pub cautions: Vec<String>,
    /// Best first.
    pub ranking: Vec<Row>,
    /// What the experiment expects, in the order of the file.
    pub expected: Vec<Expected>,
    pub counts: Counts,
    pub markdown: PathBuf,
    pub html: PathBuf,
    pub csv: PathBuf,
    pub plots: Vec<PathBuf>,
}

/// Number of runs by where they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    pub done: usize,
    pub failed: usize,
    pub diverged: usize,
    pub stopped: usize,
    pub not_started: usize,
}

/// Reads `plan.json` of a results folder.
pub fn read_plan(results_dir: &Path) -> Result<SweepPlan, ReportError> {
    let path = results_dir.join("plan.json");
    let json = match fs::read(&path) {
        Ok(json) => json,
        Err(_) if !results_dir.exists() => {
            return Err(ReportError::NoFolder(results_dir.to_owned()));
        }
        Err(_) if !results_dir.is_dir() => {
            return Err(ReportError::NotAFolder(results_dir.to_owned()));
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(ReportError::NoPlan(results_dir.to_owned()));
        }
        Err(source) => return Err(ReportError::Read { path, source }),
    };
    SweepPlan::from_json(&json).map_err(|source| ReportError::BadPlan { path, source })
}

/// Reads `runs/` of a results folder and writes `report.md`, `report.html`, `summary.csv` and
/// `plots/` into it. Each file is complete or absent. `plan` is the plan of this folder, and `template`
/// is the path of a template that replaces the built-in one of `report.md`. The template that a plan
/// names is not opened: a plan can come from somebody else, and a template can read files.
pub fn write(
    results_dir: &Path,
    plan: SweepPlan,
    template: Option<&str>,
) -> Result<Summary, ReportError> {
    let results = Results::read(results_dir, plan);
    let ranking = Ranking::new(&results);
    let plots = plots::draw(&ranking)?;
    let view = View::new(&results, &ranking, &plots);
    // Everything is rendered before anything is written: an error leaves the last report whole.
    let markdown = render::markdown(&view, template)?;
    let html = render::html(&view)?;
    let csv = summary_csv::summary_csv(&results)?;

    let summary = Summary {
        experiment: results.plan.experiment.name.clone(),
        markdown: put(results_dir, "report.md", markdown.as_bytes())?,
        html: put(results_dir, "report.html", html.as_bytes())?,
        csv: put(results_dir, "summary.csv", &csv)?,
        plots: put_plots(results_dir, &plots)?,
        counts: Counts {
            done: results.count(RunState::Done),
            failed: results.count(RunState::Failed),
            diverged: results.count(RunState::Diverged),
            stopped: results.count(RunState::Stopped),
            not_started: results.count(RunState::NotStarted),
        },
        answer: view.answer,
        cautions: view.cautions,
        ranking: view.ranking,
        expected: view.expected,
    };
    Ok(summary)
}

fn put(dir: &Path, name: &str, contents: &[u8]) -> Result<PathBuf, ReportError> {
    let path = dir.join(name);
    match write_atomic(&path, contents) {
        Ok(()) => Ok(path),
        Err(source) => Err(ReportError::Write { path, source }),
    }
}

/// Writes the plots there are and removes those of an earlier report that are no longer drawn.
fn put_plots(dir: &Path, plots: &[plots::Plot]) -> Result<Vec<PathBuf>, ReportError> {
    let folder = dir.join("plots");
    let failed = |source| ReportError::Write {
        path: folder.clone(),
        source,
    };
    fs::create_dir_all(&folder).map_err(failed)?;
    for name in plots::names() {
        if plots.iter().any(|plot| plot.name == name) {
            continue;
        }
        let path = folder.join(format!("{name}.svg"));
        match fs::remove_file(&path) {
            Err(source) if source.kind() != ErrorKind::NotFound => {
                return Err(ReportError::Write { path, source });
            }
            _ => {}
        }
    }
    plots
        .iter()
        .map(|plot| put(&folder, &format!("{}.svg", plot.name), plot.svg.as_bytes()))
        .collect()
}
