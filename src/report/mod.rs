//! The report of a sweep: comparison, plots, pages and the table of runs.
//!
//! A report reads recorded results only. It needs no model, no data and no experiment file, and
//! unchanged results give the same bytes. The path of the data:
//! [`loaded_results`] (files) → [`analysis`] (numbers and sentences) → [`plots`] and [`sections`]
//! (blocks of content) → [`pages`] (Markdown and HTML by templates).

mod analysis;
#[cfg(test)]
mod claim_tests;
mod comment;
#[cfg(test)]
mod decision_tests;
mod factors_json;
#[cfg(test)]
mod hostile_tests;
mod loaded_results;
mod page_blocks;
mod pages;
mod plots;
mod ranking_columns;
mod recorded_summary;
mod report_error;
mod report_files;
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
pub use analysis::config_diff::{Change, changes as setting_changes};
pub use analysis::matched_variants::matched_variants;
pub use analysis::reproduction::{CheckResult, MetricCheck, checks_of_plan};
pub use analysis::tokenizer_table::{TokenizerRow, tokenizers};
pub use analysis::variant_verdict::{VariantVerdict, WordedVerdict};
pub use analysis::wording::name_of as verdict_name;
pub use recorded_summary::{SummaryRow, parse_summary, read_summary};
pub use report_error::ReportError;
pub use report_files::{Report, render_comment, summarize, write};
pub use report_json::report_schema;
pub use result_changes::{
    ChangedData, Gate, GateResult, LostResults, LostSeed, LostState, NoCommonValue, ResultChanges,
    VariantChange, result_changes,
};
pub use text_table::TextTable;

use crate::config;
use crate::regular_file;
use crate::results::{Sealed, SweepPlan};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What a terminal shows after a report is written.
#[derive(Debug, Clone, Default, PartialEq)]
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
    /// The verdict on each variant.
    pub verdicts: BTreeMap<String, WordedVerdict>,
    pub counts: Counts,
    pub markdown: PathBuf,
    pub html: PathBuf,
    pub csv: PathBuf,
    pub plots: Vec<PathBuf>,
}

/// Number of runs in each state. A run of a search that diverged is not counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Counts {
    pub done: usize,
    pub failed: usize,
    pub diverged: usize,
    pub stopped: usize,
    pub not_started: usize,
    /// Those that are being trained, in a report that is written while a sweep runs. Absent if there are none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub running: usize,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
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
            running,
        } = *self;
        [failed, diverged, stopped, not_started, running]
            .iter()
            .all(|count| *count == 0)
    }
}

/// Reads `plan.json` of a results folder.
pub fn read_plan(results_dir: &Path) -> Result<Sealed<SweepPlan>, ReportError> {
    let path = results_dir.join("plan.json");
    let json = match regular_file::read(&path) {
        Ok(json) => json,
        Err(_) if regular_file::is_absent(results_dir) => {
            return Err(ReportError::NoFolder(results_dir.to_owned()));
        }
        Err(_) if matches!(regular_file::is_folder(results_dir), Ok(false)) => {
            return Err(ReportError::NotAFolder(results_dir.to_owned()));
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(ReportError::NoPlan(results_dir.to_owned()));
        }
        Err(source) => return Err(ReportError::Read { path, source }),
    };
    config::read_plan(&json).map_err(|source| ReportError::BadPlan { path, source })
}
