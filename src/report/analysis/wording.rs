//! Short texts for a comparison, shared by the plots and the pages.

use super::ranking::{Ranking, Variant};
use crate::spec::Measure;
use crate::stats::{Comparison, Verdict};
use crate::text::units;

/// Shown in place of a value that does not exist.
pub(crate) const NO_VALUE: &str = "–";

/// Both ends of the corrected 95 % interval: `−0.0312` and `−0.0101`.
pub(crate) fn interval_ends(comparison: &Comparison) -> Option<(String, String)> {
    let corrected = comparison.corrected?;
    Some((
        units::difference(corrected.low),
        units::difference(corrected.high),
    ))
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
    let comparisons = ranking.variants.len().saturating_sub(1);
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

/// The verdict on a variant in one or two words.
pub(crate) fn verdict(variant: &Variant) -> &'static str {
    if variant.is_baseline {
        return "baseline";
    }
    let comparison = variant.comparison.as_ref();
    if comparison.is_some_and(|comparison| comparison.pairs == 1) {
        return "one seed: no interval";
    }
    if comparison.is_some_and(|comparison| comparison.corrected.is_none()) {
        return "too few seeds so far";
    }
    match comparison.map(|comparison| comparison.verdict) {
        Some(Verdict::Better) => "better",
        Some(Verdict::Worse) => "worse",
        Some(Verdict::Equivalent) => "equivalent",
        Some(Verdict::Inconclusive) => "inconclusive",
        None if variant.bits_per_byte.is_empty() => "no result",
        None => "no shared seed",
    }
}
