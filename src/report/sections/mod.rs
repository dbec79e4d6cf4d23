//! The sections of a report, one file each.
//!
//! A section is a function from the results to blocks. A section without blocks is not shown. To add
//! a section, add its file and its line in [`SECTIONS`]; every output format then shows it.

mod claims_table;
mod cost_plots;
mod factor_tables;
mod failed_runs;
mod glossary;
mod metric_checks;
mod overview;
mod ranking_table;
mod reproduce;
mod samples;
mod samples_during_training;
mod scaling_tables;
mod search_results;
mod setting_table;
mod test_split;
mod tokenizer_comparison;
mod training_plots;
mod variant_changes;

use super::analysis::claim_results::TestedClaim;
use super::analysis::factors::Factors;
use super::analysis::ranking::Ranking;
use super::analysis::reproduction::MetricCheck;
use super::analysis::scaling::Scaling;
use super::analysis::setting_importance::SettingImportance;
use super::analysis::tuning::Tuning;
use super::loaded_results::Results;
use super::page_blocks::{Block, Text};
use super::plots::{Placement, Plot};
use crate::stats::ConfidenceInterval;
pub(super) use failed_runs::FailedRun;
pub(super) use reproduce::ReproductionField;
use serde::Serialize;

/// The results of a sweep, analyzed, from which the sections are built.
pub(super) struct Findings<'a> {
    pub(super) results: &'a Results,
    pub(super) ranking: &'a Ranking<'a>,
    /// `None` without a complete grid of two settings.
    pub(super) factors: Option<&'a Factors<'a>>,
    /// `None` without a search or random combinations of two settings that have ended.
    pub(super) importance: Option<&'a SettingImportance<'a>>,
    /// `None` if the variants have one size.
    pub(super) scaling: Option<&'a Scaling<'a>>,
    /// `None` if the variants are not tuned.
    pub(super) tuning: Option<&'a Tuning<'a>>,
    pub(super) plots: &'a [Plot],
    pub(super) answer: &'a [String],
    pub(super) cautions: &'a [String],
    pub(super) claims: &'a [TestedClaim],
    pub(super) checks: &'a [MetricCheck],
    /// Whether the runs are being trained, so that this report is written again soon.
    pub(super) is_live: bool,
}

type Build = fn(&Findings) -> Vec<Block>;

/// Name and content of each section, in the order of the page.
const SECTIONS: &[(&str, Build)] = &[
    ("overview", overview::blocks),
    ("ranking", ranking_table::blocks),
    ("test_split", test_split::blocks),
    ("claims", claims_table::blocks),
    ("variants", variant_changes::blocks),
    ("scaling", scaling_tables::blocks),
    ("factors", factor_tables::blocks),
    ("tuning", search_results::blocks),
    ("settings", setting_table::blocks),
    ("tokenizers", tokenizer_comparison::blocks),
    ("checks", metric_checks::blocks),
    ("training", training_plots::blocks),
    ("cost", cost_plots::blocks),
    ("samples", samples::blocks),
    ("samples_during_training", samples_during_training::blocks),
    ("failed_runs", failed_runs::blocks),
    ("glossary", glossary::blocks),
    ("reproduce", reproduce::blocks),
];

/// A section with content.
#[derive(Debug, Serialize)]
pub(super) struct Section {
    /// Name by which a custom template finds it.
    pub(super) name: &'static str,
    pub(super) blocks: Vec<Block>,
}

/// The sections with content, in the order of the page.
pub(super) fn build(findings: &Findings) -> Vec<Section> {
    SECTIONS
        .iter()
        .map(|&(name, build)| Section {
            name,
            blocks: build(findings),
        })
        .filter(|section| !section.blocks.is_empty())
        .collect()
}

impl Findings<'_> {
    /// The plots that belong into one place of the report.
    fn figures(&self, placement: Placement) -> impl Iterator<Item = Block> {
        let plots = self
            .plots
            .iter()
            .filter(move |plot| plot.placement == placement);
        plots.cloned().map(Block::Figure)
    }
}

/// A value, followed by its interval if it has one.
fn with_interval(
    value: f64,
    interval: Option<ConfidenceInterval>,
    format: &dyn Fn(f64) -> String,
) -> Text {
    match interval {
        None => Text::new().plain(format(value)),
        Some(ConfidenceInterval { low, high }) => Text::new()
            .plain(format(value) + " ")
            .interval(format(low), format(high)),
    }
}
