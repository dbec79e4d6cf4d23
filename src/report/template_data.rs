//! The variables of the templates.

use super::analysis::claim_results::TestedClaim;
use super::analysis::config_diff::{Change, changes};
use super::analysis::generated_text::{self, Sample};
use super::analysis::reproduction::MetricCheck;
use super::analysis::tokenizer_table::{TokenizerRow, tokenizers};
use super::plots::Plot;
use super::ranking_columns;
use super::sections::{self, FailedRun, Findings, ReproductionField, Section};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

/// The variables of a template. The head of `templates/report.md.j2` documents them.
///
/// The built-in templates use `name`, `sections` and `written_at`. The other variables are for custom templates.
#[derive(Debug, Serialize)]
pub(super) struct TemplateData<'a> {
    name: &'a str,
    question: &'a str,
    answer: &'a [String],
    cautions: &'a [String],
    baseline: &'a str,
    ranking: Vec<BTreeMap<&'static str, String>>,
    claims: &'a [TestedClaim],
    expected: &'a [MetricCheck],
    variants: Vec<VariantChanges<'a>>,
    tokenizers: Vec<TokenizerRow>,
    plots: &'a [Plot],
    samples: Vec<Sample>,
    unfinished: Vec<FailedRun>,
    reproduction: Vec<ReproductionField>,
    sections: Vec<Section>,
    /// When the page was written, in seconds since 1970, if the sweep is running.
    written_at: Option<u64>,
}

/// The changes of one variant from the baseline.
#[derive(Debug, Serialize)]
struct VariantChanges<'a> {
    variant: &'a str,
    is_baseline: bool,
    changes: Vec<Change>,
}

impl<'a> TemplateData<'a> {
    pub(super) fn new(findings: &Findings<'a>) -> Self {
        let experiment = &findings.results.plan.experiment;
        let ranking = findings.ranking;
        let variants = ranking.baseline().into_iter().flat_map(|baseline| {
            let variants = ranking.variants.iter();
            variants.map(|variant| VariantChanges {
                variant: variant.name,
                is_baseline: variant.is_baseline,
                changes: changes(variant.spec(), baseline.spec()),
            })
        });
        Self {
            name: &experiment.name,
            question: experiment.description.trim(),
            answer: findings.answer,
            cautions: findings.cautions,
            baseline: ranking.baseline,
            ranking: ranking_columns::template_rows(ranking),
            claims: findings.claims,
            expected: findings.checks,
            variants: variants.collect(),
            tokenizers: tokenizers(&findings.results.plan),
            plots: findings.plots,
            samples: generated_text::of_all_variants(ranking),
            unfinished: FailedRun::all(findings.results),
            reproduction: ReproductionField::all(findings.results),
            sections: sections::build(findings),
            written_at: findings.is_live.then(now),
        }
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH);
    elapsed.map_or(0, |elapsed| elapsed.as_secs())
}
