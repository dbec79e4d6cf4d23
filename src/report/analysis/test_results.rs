//! The scores of variants on the test split, which `runner confirm` has recorded.

use crate::report::loaded_results::Results;
use crate::results::{TestComparison, TestUse, VariantComparison};
use crate::stats::mean;

/// The score of a variant on the test split.
#[derive(Debug)]
pub(crate) struct TestResult<'a> {
    pub(crate) variant: &'a str,
    /// How often the test split had been used, this use included.
    pub(crate) test_uses: usize,
    /// Mean bits per byte of the variant.
    pub(crate) mean: f64,
    /// Mean bits per byte of the baseline.
    pub(crate) baseline_mean: f64,
    pub(crate) tested: TestComparison,
}

/// The recorded scores of the runs of this report, in the order of their use.
pub(crate) fn test_results(results: &Results) -> Vec<TestResult<'_>> {
    let uses = results.test_uses.iter().flatten();
    uses.filter_map(|(number, one)| test_result(results, *number, one))
        .collect()
}

/// The number of recorded scores of this experiment, those of other runs included, such as those of an earlier
/// configuration.
pub(crate) fn recorded_scores(results: &Results) -> usize {
    results.test_uses.as_ref().map_or(0, Vec::len)
}

fn test_result<'a>(
    results: &'a Results,
    number: usize,
    one: &'a TestUse,
) -> Option<TestResult<'a>> {
    let of = |name: &str| results.comparisons.iter().find(|c| c.variant == name);
    let (variant, baseline) = (of(&one.variant)?, of(&one.baseline)?);
    let mut scored = identities(results, variant, &one.values)?;
    scored.extend(identities(results, baseline, &one.baseline_values)?);
    if one.baseline != results.plan.baseline || TestUse::hash_of_runs(&scored) != one.runs {
        return None;
    }
    let average = |values: &[(u64, f64)]| {
        let values: Vec<f64> = values.iter().map(|(_, value)| *value).collect();
        mean(&values)
    };
    let compared = [variant, baseline];
    Some(TestResult {
        variant: &variant.variant,
        test_uses: number,
        mean: average(&one.values)?,
        baseline_mean: average(&one.baseline_values)?,
        tested: TestComparison::new(&results.plan, results.margin, compared, (number, one))?,
    })
}

/// The identities of the runs that compare a variant, with the seeds of these values. `None` if one is absent.
fn identities<'a>(
    results: &'a Results,
    compared: &VariantComparison,
    values: &[(u64, f64)],
) -> Option<Vec<&'a str>> {
    let identity = |(seed, _): &(u64, f64)| {
        let mut runs = compared.runs.iter().map(|&run| &results.runs[run].planned);
        let run = runs.find(|run| run.spec.seed == *seed)?;
        Some(run.identity.as_str())
    };
    values.iter().map(identity).collect()
}
