//! The report of a sweep: comparison, plots, pages and the table of runs.
//!
//! A report reads recorded results only. It needs no model, no data and no experiment file, and
//! unchanged results give the same bytes. The path of the data:
//! [`loaded_results`] (files) → [`analysis`] (numbers and sentences) → [`plots`] and [`sections`]
//! (blocks of content) → [`pages`] (Markdown and HTML by templates).

mod analysis;
#[cfg(test)]
mod claim_tests;
#[cfg(test)]
mod decision_tests;
#[cfg(test)]
mod hostile_tests;
mod loaded_results;
mod page_blocks;
mod pages;
mod plots;
mod ranking_columns;
mod recorded_summary;
mod report_error;
mod sections;
mod side_by_side;
mod summary_csv;
mod template_data;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod text_table;

pub use analysis::claim_results::{ClaimResult, TestedClaim};
pub use analysis::matched_variants::matched_variants;
pub use analysis::reproduction::{CheckResult, MetricCheck, checks_of_plan};
pub use analysis::tokenizer_table::{TokenizerRow, tokenizers};
pub use recorded_summary::{SummaryRow, read_summary};
pub use report_error::ReportError;
pub use text_table::TextTable;

use crate::results::{RunState, SweepPlan, remove_if_exists, write_atomic};
use analysis::answer::answer;
use analysis::cautions::{cautions, unfinished};
use analysis::claim_results::test_claims;
use analysis::claim_summary;
use analysis::ranking::Ranking;
use analysis::reproduction;
use analysis::tuning::Tuning;
use loaded_results::Results;
use sections::Findings;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use template_data::TemplateData;

/// What a terminal shows after a report is written.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// Name of the experiment.
    pub experiment: String,
    /// The answer to the question of the experiment, in sentences.
    pub answer: Vec<String>,
    /// Reasons why the comparison is incomplete or not fair.
    pub cautions: Vec<String>,
    /// The variants, best first.
    pub ranking: TextTable,
    /// The claims of the experiment, in the order of its file.
    pub claims: Vec<TestedClaim>,
    /// The metrics that the experiment expects, in the order of its file.
    pub checks: Vec<MetricCheck>,
    pub counts: Counts,
    pub markdown: PathBuf,
    pub html: PathBuf,
    pub csv: PathBuf,
    pub plots: Vec<PathBuf>,
}

/// Number of runs in each state. A run of a search that diverged is not counted.
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
        Err(_) if matches!(results_dir.try_exists(), Ok(false)) => {
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
    match SweepPlan::from_json(&json) {
        Ok(plan) => Ok(plan.value),
        Err(source) => Err(ReportError::BadPlan { path, source }),
    }
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
    let claims = test_claims(&results);
    let checks = reproduction::checks(&results);
    let mut answer = answer(&ranking);
    answer.extend(claim_summary::summary(&claims));
    answer.extend(reproduction::summary(&checks));
    let tuning = Tuning::new(&results, &ranking);
    let cautions = cautions(&results, &ranking, tuning.as_ref());
    let data = TemplateData::new(&Findings {
        results: &results,
        ranking: &ranking,
        tuning: tuning.as_ref(),
        plots: &plots,
        answer: &answer,
        cautions: &cautions,
        claims: &claims,
        checks: &checks,
    });
    // Render everything before writing anything, so that an error keeps the previous report.
    let markdown = pages::markdown(&data, template)?;
    let html = pages::html(&data)?;
    let csv = summary_csv::summary_csv(&results)?;

    let summary = Summary {
        experiment: results.plan.experiment.name.clone(),
        markdown: write_file(results_dir, "report.md", markdown.as_bytes())?,
        html: write_file(results_dir, "report.html", html.as_bytes())?,
        csv: write_file(results_dir, "summary.csv", &csv)?,
        plots: write_plots(results_dir, &plots)?,
        counts: Counts {
            done: results.count(RunState::Done),
            failed: results.count(RunState::Failed),
            diverged: unfinished(&results, RunState::Diverged).count(),
            stopped: results.count(RunState::Stopped),
            not_started: results.count(RunState::NotStarted),
        },
        ranking: ranking_columns::terminal_table(&ranking),
        answer,
        cautions,
        claims,
        checks,
    };
    Ok(summary)
}

/// Whether the `summary.csv` of a results folder is what its runs give. `plan` is the plan of this folder.
pub fn summary_agrees(results_dir: &Path, plan: SweepPlan) -> Result<bool, ReportError> {
    let path = results_dir.join("summary.csv");
    let found = fs::read(&path).map_err(|source| ReportError::Read { path, source })?;
    let expected = summary_csv::summary_csv(&Results::read(results_dir, plan))?;
    Ok(found == expected)
}

fn write_file(dir: &Path, name: &str, contents: &[u8]) -> Result<PathBuf, ReportError> {
    let path = dir.join(name);
    match write_atomic(&path, contents) {
        Ok(()) => Ok(path),
        Err(source) => Err(ReportError::Write { path, source }),
    }
}

/// Writes the plots, and removes plots of an earlier report that are no longer drawn.
fn write_plots(dir: &Path, plots: &[plots::Plot]) -> Result<Vec<PathBuf>, ReportError> {
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
        if let Err(source) = remove_if_exists(&path) {
            return Err(ReportError::Write { path, source });
        }
    }
    plots
        .iter()
        .map(|plot| write_file(&folder, &format!("{}.svg", plot.name), plot.svg.as_bytes()))
        .collect()
}
