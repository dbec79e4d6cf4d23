//! Short texts for a comparison, shared by the plots and the pages.

use super::metric::Metric;
use super::ranking::{Ranking, Untested, Variant};
use crate::spec::{Margin, Measure};
use crate::stats::{Comparison, Verdict};

/// Both ends of the corrected 95 % interval: `−0.0312` and `−0.0101`.
pub(crate) fn interval_ends(metric: Metric, comparison: &Comparison) -> Option<(String, String)> {
    let corrected = comparison.corrected?;
    Some((
        metric.difference(corrected.low),
        metric.difference(corrected.high),
    ))
}

/// The margin as the experiment gives it, with its unit.
pub(crate) fn margin(ranking: &Ranking) -> Option<String> {
    Some(match ranking.margin? {
        Margin::Absolute(margin) => format!("{margin} {}", ranking.metric.unit()),
        Margin::Percent(percent) => {
            let absolute = ranking.absolute_margin.map_or(String::new(), |margin| {
                format!(" ({})", ranking.metric.with_unit(margin))
            });
            let first = ranking.sequential.map_or(String::new(), |range| {
                format!(" over its first {} seeds", range.min)
            });
            format!("{percent} of the baseline's mean{first}{absolute}")
        }
    })
}

/// The name of a metric.
pub(crate) fn measure(measure: Measure) -> &'static str {
    match measure {
        Measure::Params => "parameters",
        Measure::VocabSize => "vocabulary size",
        Measure::Tokens => "tokens of the text",
        Measure::SampledTokens => "tokens of a sampled encoding",
        Measure::ValLoss => "validation loss",
        Measure::BitsPerByte => "bits per byte",
        Measure::TrainSplitLoss => "training split loss",
        Measure::BatchLoss => "batch loss",
    }
}

/// What the intervals are corrected for, such as `, corrected for 5 comparisons and up to 10 tests each`.
/// Empty for one comparison that is tested once.
pub(crate) fn correction(ranking: &Ranking) -> String {
    let comparisons = ranking.comparisons;
    let comparisons = (comparisons > 1).then(|| format!("{comparisons} comparisons"));
    let tests = ranking.sequential.map(|range| range.max - range.min + 1);
    let tests = tests.filter(|&tests| tests > 1);
    match (comparisons, tests) {
        (None, None) => String::new(),
        (Some(comparisons), None) => format!(", corrected for {comparisons}"),
        (None, Some(tests)) => format!(", corrected for up to {tests} tests"),
        (Some(comparisons), Some(tests)) => {
            format!(", corrected for {comparisons} and up to {tests} tests of each")
        }
    }
}

/// The name of a verdict.
pub(crate) fn name_of(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Better => "better",
        Verdict::Worse => "worse",
        Verdict::Equivalent => "equivalent",
        Verdict::Inconclusive => "inconclusive",
    }
}

/// The verdict on a variant in one or two words.
pub(crate) fn verdict(variant: &Variant) -> &'static str {
    if variant.is_baseline {
        return "baseline";
    }
    match variant.untested() {
        Some(Untested::OneSeed) => return "one seed: no interval",
        Some(Untested::TooFewSeeds) => return "too few seeds",
        Some(Untested::Unfinished) => return "not all seeds have ended",
        Some(Untested::Unreached) => return "loss not reached",
        Some(Untested::SameResults) => return "same results",
        None => {}
    }
    match variant.comparison.map(|comparison| comparison.verdict) {
        Some(verdict) => name_of(verdict),
        None if variant.is_searching() => "search not finished",
        None if variant.values.is_empty() && variant.runs.is_empty() => "search failed",
        None if variant.values.is_empty() => "no result",
        None if !variant.has_ended => "not all seeds have ended",
        None => "no shared seed",
    }
}
