//! Short texts for a comparison, shared by the plots and the pages.

use super::metric::Metric;
use super::ranking::{Ranking, Untested, Variant};
use crate::spec::{Margin, Measure};
use crate::stats::{Comparison, ConfidenceInterval, Verdict};
use crate::text::units::list;

/// A difference from the baseline as texts with equal numbers of decimals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DifferenceText {
    pub(crate) mean: String,
    /// Both ends of the corrected 95 % interval: `−0.0312` and `−0.0101`.
    pub(crate) interval: Option<(String, String)>,
}

impl DifferenceText {
    /// ` (95 % interval a to b)`; empty without an interval. The report says elsewhere what it is corrected for.
    pub(super) fn interval_in_words(&self) -> String {
        self.interval.as_ref().map_or(String::new(), |(low, high)| {
            format!(" (95 % interval {low} to {high})")
        })
    }
}

/// A difference from the baseline, with as many decimals as its interval needs: the ends can be told apart from
/// each other and from 0.
pub(crate) fn difference(metric: Metric, comparison: &Comparison) -> DifferenceText {
    /// An end that is closer to 0, in half widths of the interval, needs no decimals of its own.
    const NEGLIGIBLE: f64 = 1e-3;
    let shown = match comparison.corrected {
        None => vec![comparison.mean],
        Some(ConfidenceInterval { low, high }) => {
            let half_width = (high - low) / 2.0;
            let mut shown = vec![low, high, half_width];
            shown.retain(|value| value.abs() >= NEGLIGIBLE * half_width);
            shown
        }
    };
    let decimals = metric.decimals_of_difference(comparison.mean, &shown);
    let text = |value| metric.difference_with(value, decimals);
    DifferenceText {
        mean: text(comparison.mean),
        interval: comparison
            .corrected
            .map(|interval| (text(interval.low), text(interval.high))),
    }
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

/// Most variants that a sentence names.
pub(super) const MOST_VARIANTS: usize = 6;

/// A list of a few variants, and the number of the others.
pub(crate) fn shortened(mut variants: Vec<String>) -> String {
    let more = variants.len().saturating_sub(MOST_VARIANTS);
    if more > 1 {
        variants.truncate(MOST_VARIANTS);
        variants.push(format!("{more} other variants"));
    }
    list(&variants)
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
pub fn name_of(verdict: Verdict) -> &'static str {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Compare, CompareMetric};

    fn shown(metric: CompareMetric, mean: f64, half_width: f64) -> [String; 3] {
        let compare = Compare {
            metric,
            ..Compare::default()
        };
        let comparison = Comparison {
            corrected: Some(ConfidenceInterval {
                low: mean - half_width,
                high: mean + half_width,
            }),
            ..Comparison::untested(&[mean]).unwrap()
        };
        let text = difference(Metric::of(&compare), &comparison);
        let (low, high) = text.interval.unwrap();
        [text.mean, low, high]
    }

    #[test]
    fn a_difference_has_as_many_digits_as_its_interval_needs() {
        let bits = CompareMetric::BitsPerByte;
        for (mean, half_width, expected) in [
            (-0.0274, 0.0211, ["−0.0274", "−0.0485", "−0.0063"]),
            (-3.6e-5, 1.5e-5, ["−0.000036", "−0.000051", "−0.000021"]),
            (-3.6e-5, 0.01, ["0.0000", "−0.0100", "+0.0100"]),
            (-0.02, 0.01997, ["−0.020000", "−0.039970", "−0.000030"]),
            (0.5, 2e-7, ["+0.50000000", "+0.49999980", "+0.50000020"]),
            (0.5, 0.0, ["+0.5000", "+0.5000", "+0.5000"]),
        ] {
            assert_eq!(shown(bits, mean, half_width), expected);
        }
        let steps = CompareMetric::StepsToLoss;
        assert_eq!(shown(steps, 1300.0, 400.0), ["+1,300", "+900", "+1,700"]);
        assert_eq!(shown(steps, 3.2, 3.0), ["+3.2", "+0.2", "+6.2"]);
    }

    #[test]
    fn a_difference_without_an_interval_is_not_shown_as_zero() {
        let metric = Metric::of(&Compare::default());
        let text = |mean: f64| {
            let comparison = Comparison::untested(&[mean]).unwrap();
            difference(metric, &comparison).mean
        };
        assert_eq!(
            [-3.6e-5, 0.0, -0.0, 0.25].map(text),
            ["−0.000036", "0.0000", "0.0000", "+0.2500"]
        );
        assert_eq!(metric.with_unit(2e-5), "0.000020 bits per byte");
    }
}
