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
mod report_json;
mod result_changes;
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
pub use recorded_summary::{SummaryRow, parse_summary, read_summary};
pub use report_error::ReportError;
pub use report_json::report_schema;
pub use result_changes::{Gate, GateResult, ResultChanges, VariantChange, result_changes};
pub use text_table::TextTable;

use crate::config;
use crate::results::{RunState, Sealed, SweepPlan, remove_if_exists, write_atomic};
use analysis::answer::answer;
use analysis::cautions::{cautions, unfinished};
use analysis::claim_results::test_claims;
use analysis::claim_summary;
use analysis::ranking::Ranking;
use analysis::reproduction;
use analysis::tuning::Tuning;
use loaded_results::Results;
use schemars::JsonSchema;
use sections::Findings;
use serde::Serialize;
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Counts {
    pub done: usize,
    pub failed: usize,
    pub diverged: usize,
    pub stopped: usize,
    pub not_started: usize,
}

impl Counts {
    /// Whether all runs have finished.
    pub fn are_complete(&self) -> bool {
        let Self {
            done: _,
            failed,
            diverged,
            stopped,
            not_started,
        } = *self;
        [failed, diverged, stopped, not_started]
            .iter()
            .all(|count| *count == 0)
    }
}

/// Reads `plan.json` of a results folder.
pub fn read_plan(results_dir: &Path) -> Result<Sealed<SweepPlan>, ReportError> {
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
    config::read_plan(&json).map_err(|source| ReportError::BadPlan { path, source })
}

/// Reads `runs/` of a results folder and writes `report.md`, `report.html`, `report.json`, `summary.csv` and
/// `plots/` into it. Each file is complete or absent. `plan` is the plan of this folder, and `template`
/// is the path of a template that replaces the built-in one of `report.md`. The template that a plan
/// names is not opened: a plan can come from somebody else, and a template can read files.
pub fn write(
    results_dir: &Path,
    plan: Sealed<SweepPlan>,
    template: Option<&str>,
) -> Result<Summary, ReportError> {
    // Render everything before writing anything, so that an error keeps the previous report.
    let (files, summary) = render(results_dir, plan, template)?;
    let folder = results_dir.join(PLOTS);
    let failed = |path: &Path| {
        let path = path.to_owned();
        |source| ReportError::Write { path, source }
    };
    fs::create_dir_all(&folder).map_err(failed(&folder))?;
    for file in &files {
        let path = results_dir.join(&file.name);
        write_atomic(&path, &file.contents).map_err(failed(&path))?;
    }
    for path in other_plots(results_dir, &files) {
        remove_if_exists(&path).map_err(failed(&path))?;
    }
    Ok(summary)
}

/// The files of the report of a results folder that are not what [`write`] would write: those that are out of date,
/// changed or absent, and plots that are not drawn any more.
pub fn outdated_files(
    results_dir: &Path,
    plan: Sealed<SweepPlan>,
    template: Option<&str>,
) -> Result<Vec<PathBuf>, ReportError> {
    let (files, _) = render(results_dir, plan, template)?;
    let mut outdated = Vec::new();
    for file in &files {
        let path = results_dir.join(&file.name);
        match fs::read(&path) {
            Ok(contents) if contents == file.contents => {}
            Err(source) if source.kind() != ErrorKind::NotFound => {
                return Err(ReportError::Read { path, source });
            }
            _ => outdated.push(path),
        }
    }
    let others = other_plots(results_dir, &files);
    outdated.extend(others.filter(|path| path.exists()));
    Ok(outdated)
}

/// A file of a report.
struct ReportFile {
    /// Its path in the results folder.
    name: String,
    contents: Vec<u8>,
}

/// Folder of the plots in a results folder.
const PLOTS: &str = "plots";

/// The path of a plot in a results folder.
fn plot_file(name: &str) -> String {
    format!("{PLOTS}/{name}.svg")
}

/// The files of a report, without writing them, and what a terminal shows of it.
fn render(
    results_dir: &Path,
    plan: Sealed<SweepPlan>,
    template: Option<&str>,
) -> Result<(Vec<ReportFile>, Summary), ReportError> {
    let results = Results::read(results_dir, plan)?;
    let ranking = Ranking::new(&results);
    let plots = plots::draw(&ranking)?;
    let claims = test_claims(&results);
    let checks = reproduction::checks(&results);
    let mut answer = answer(&ranking);
    answer.extend(claim_summary::summary(&claims));
    answer.extend(reproduction::summary(&checks));
    let tuning = Tuning::new(&results, &ranking);
    let cautions = cautions(&results, &ranking, tuning.as_ref());
    let counts = Counts {
        done: results.count(RunState::Done),
        failed: results.count(RunState::Failed),
        diverged: unfinished(&results, RunState::Diverged).count(),
        stopped: results.count(RunState::Stopped),
        not_started: results.count(RunState::NotStarted),
    };
    let findings = Findings {
        results: &results,
        ranking: &ranking,
        tuning: tuning.as_ref(),
        plots: &plots,
        answer: &answer,
        cautions: &cautions,
        claims: &claims,
        checks: &checks,
    };
    let data = TemplateData::new(&findings);
    let file = |name: &str, contents: Vec<u8>| ReportFile {
        name: name.to_owned(),
        contents,
    };
    let mut files = vec![
        file(MARKDOWN, pages::markdown(&data, template)?.into_bytes()),
        file(HTML, pages::html(&data)?.into_bytes()),
        file(CSV, summary_csv::summary_csv(&results)?),
        file(JSON, report_json::report_json(&findings, counts)?),
    ];
    let svg = |plot: &plots::Plot| file(&plot_file(plot.name), plot.svg.clone().into_bytes());
    files.extend(plots.iter().map(svg));
    let summary = Summary {
        experiment: results.plan.experiment.name.clone(),
        markdown: results_dir.join(MARKDOWN),
        html: results_dir.join(HTML),
        csv: results_dir.join(CSV),
        plots: plots
            .iter()
            .map(|plot| results_dir.join(plot_file(plot.name)))
            .collect(),
        counts,
        ranking: ranking_columns::terminal_table(&ranking),
        answer,
        cautions,
        claims,
        checks,
    };
    Ok((files, summary))
}

const MARKDOWN: &str = "report.md";
const HTML: &str = "report.html";
const CSV: &str = "summary.csv";
const JSON: &str = "report.json";

/// The paths of plots that a report can have and this one does not.
fn other_plots(results_dir: &Path, files: &[ReportFile]) -> impl Iterator<Item = PathBuf> {
    let names = plots::names().map(plot_file);
    names
        .filter(|name| files.iter().all(|file| file.name != *name))
        .map(|name| results_dir.join(name))
}
