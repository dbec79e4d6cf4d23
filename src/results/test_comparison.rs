//! What the losses on the test split say about a variant.

use super::{SweepPlan, TestUse, VariantComparison};
use crate::spec::CompareMetric;
use crate::stats::{Comparison, Design, compare};

/// The comparison of a variant with the baseline on the test split.
#[derive(Debug, Clone, PartialEq)]
pub struct TestComparison {
    /// In bits per byte, on the seeds that both have.
    pub comparison: Comparison,
    /// Level of its interval, which is higher for each further use of the test split.
    pub confidence: f64,
}

impl TestComparison {
    /// `margin` is the smallest difference that matters, in the unit of the metric. `number` is that of the use. `None` if
    /// the two have no seed in common.
    pub fn new(
        plan: &SweepPlan,
        margin: Option<f64>,
        [variant, baseline]: [&VariantComparison; 2],
        (number, test_use): (usize, &TestUse),
    ) -> Option<Self> {
        let differences = differences(
            (&test_use.values, variant.is_seed_free),
            (&test_use.baseline_values, baseline.is_seed_free),
        );
        let is_bits = plan.experiment.compare.metric == CompareMetric::BitsPerByte;
        // The error rates of all uses add up to at most that of one report: 1/2 + 1/6 + 1/12 + 1/20 and so on is 1.
        let design = Design::fixed(number * (number + 1)).with_margin(margin.filter(|_| is_bits));
        let comparison = match variant.is_seed_free && baseline.is_seed_free {
            true => Comparison::exact(*differences.first()?, &design),
            false => compare(&differences, &design)?,
        };
        let level = design.level(comparison.pairs).unwrap_or_default();
        Some(Self {
            comparison,
            confidence: 1.0 - level,
        })
    }
}

/// Variant minus baseline for the seeds that both have. A result that does not depend on the seed is compared with
/// every seed of the other.
fn differences(
    (variant, variant_is_seed_free): (&[(u64, f64)], bool),
    (baseline, baseline_is_seed_free): (&[(u64, f64)], bool),
) -> Vec<f64> {
    let value = |values: &[(u64, f64)], is_seed_free, seed| match is_seed_free {
        true => values.first().map(|(_, value)| *value),
        false => values
            .iter()
            .find(|(own, _)| *own == seed)
            .map(|(_, value)| *value),
    };
    let seeds = if variant_is_seed_free {
        baseline
    } else {
        variant
    };
    let pairs = seeds.iter().filter_map(|(seed, _)| {
        let own = value(variant, variant_is_seed_free, *seed)?;
        Some(own - value(baseline, baseline_is_seed_free, *seed)?)
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_paired_by_seed() {
        let variant = [(1, 1.5), (2, 1.75), (4, 1.0)];
        let baseline = [(2, 1.5), (1, 1.0), (3, 2.0)];
        let of = |variant_is_free, baseline_is_free| {
            differences((&variant, variant_is_free), (&baseline, baseline_is_free))
        };
        assert_eq!(of(false, false), [0.5, 0.25]);
        assert_eq!(of(true, false), [0.0, 0.5, -0.5]);
        assert_eq!(of(false, true), [0.0, 0.25, -0.5]);
    }
}
