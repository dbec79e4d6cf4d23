//! How the variants of a sweep are compared, and which runs that needs.
//!
//! Both follow from the plan and the results so far. The scheduler and the report use the same
//! functions, so a sweep ends when its report has a verdict on every variant. They depend on the runs
//! that have ended, and not on the order in which they ended.

use super::{RunState, RunStatus, SweepPlan};
use crate::spec::{Seeds, SequentialSeeds};
use crate::stats::{
    Comparison, Design, Verdict, compare, mean, paired_differences, rate_of_repeated_designs,
};
use std::collections::HashSet;

/// What is known of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RunResult {
    /// It has not started, or it was stopped.
    Open,
    /// It has ended. The value is `None` if it failed or diverged.
    Ended(Option<f64>),
}

impl RunResult {
    /// The result of a run with this `status.json`, if it has one.
    pub fn new(status: Option<&RunStatus>) -> Self {
        match status {
            None => Self::Open,
            Some(status) => match status.state {
                RunState::NotStarted | RunState::Stopped => Self::Open,
                RunState::Failed | RunState::Diverged => Self::Ended(None),
                RunState::Done => Self::Ended(status.bits_per_byte()),
            },
        }
    }
}

/// A variant compared with the baseline.
#[derive(Debug, Clone, PartialEq)]
pub struct VariantComparison<'a> {
    pub variant: &'a str,
    /// (seed, variant - baseline) for the seeds that both have.
    pub differences: Vec<(u64, f64)>,
    /// `None` for the baseline, and if there are no differences.
    pub comparison: Option<Comparison>,
    /// Indices in the plan of the runs of this variant that are needed so far.
    pub needed_runs: Vec<usize>,
}

/// One variant in the order of its seeds.
struct VariantRuns<'a> {
    name: &'a str,
    /// Index in the plan, seed, and result.
    runs: Vec<(usize, u64, RunResult)>,
}

impl SweepPlan {
    /// Compares every variant with the baseline, in the order of the plan. `results` has one entry for
    /// each run of the plan.
    ///
    /// With a fixed number of seeds, all runs are needed. In a sequential design, the runs of the first
    /// seeds are needed, and then one more seed of each undecided variant, and the same seeds of the
    /// baseline.
    pub fn compare(&self, results: &[RunResult]) -> Vec<VariantComparison<'_>> {
        let variants = self.variants(results);
        let range = self.sequential_seeds();
        let baseline = variants
            .iter()
            .find(|variant| variant.name == self.baseline);
        let design = self.design(&variants, baseline);
        let mut comparisons: Vec<VariantComparison> = variants
            .iter()
            .map(|variant| variant.compare(baseline, &design, range))
            .collect();
        // The baseline is needed with every seed that another variant needs.
        let most = comparisons.iter().map(|c| c.needed_runs.len()).max();
        for (comparison, variant) in comparisons.iter_mut().zip(&variants) {
            if variant.name == self.baseline {
                comparison.needed_runs = variant.first(most.unwrap_or(0));
            }
        }
        comparisons
    }

    /// Indices of the runs that are needed according to the results so far, in the order of the plan.
    pub fn needed_runs(&self, results: &[RunResult]) -> Vec<usize> {
        if self.sequential_seeds().is_none() {
            return (0..self.runs.len()).collect();
        }
        let comparisons = self.compare(results);
        let mut needed: Vec<usize> = comparisons
            .into_iter()
            .flat_map(|c| c.needed_runs)
            .collect();
        needed.sort_unstable();
        needed
    }

    /// The range of the number of seeds, if it depends on the results.
    pub fn sequential_seeds(&self) -> Option<SequentialSeeds> {
        self.experiment.sweep.as_ref()?.seeds.sequential()
    }

    fn variants(&self, results: &[RunResult]) -> Vec<VariantRuns<'_>> {
        let mut variants: Vec<VariantRuns> = Vec::new();
        for (index, (run, &result)) in self.runs.iter().zip(results).enumerate() {
            let entry = (index, run.spec.seed, result);
            // The runs of a variant follow each other, so the last variant is found first.
            let known = variants
                .iter_mut()
                .rev()
                .find(|v| v.name == run.spec.variant);
            match known {
                Some(variant) => variant.runs.push(entry),
                None => variants.push(VariantRuns {
                    name: &run.spec.variant,
                    runs: vec![entry],
                }),
            }
        }
        variants
    }

    fn design(&self, variants: &[VariantRuns], baseline: Option<&VariantRuns>) -> Design {
        let comparisons = variants.len().saturating_sub(1);
        let range = self.sequential_seeds();
        let design = design_of(range, comparisons);
        // A margin in per cent must not change when seeds are added.
        let seeds = range.map_or(usize::MAX, |range| range.min as usize);
        let baseline = baseline.and_then(|baseline| baseline.mean(seeds));
        let margin = self.experiment.compare.margin.zip(baseline);
        design.with_margin(margin.map(|(margin, baseline)| margin.absolute(baseline)))
    }

    /// An upper bound of the probability that any of several equal variants is called better or worse, if
    /// the seeds were changed after results were known. `None` if they were not.
    pub fn rate_after_changed_seeds(&self, comparisons: usize) -> Option<f64> {
        let sweep = self
            .experiment
            .sweep
            .as_ref()
            .filter(|_| !self.earlier_seeds.is_empty())?;
        let used = self.earlier_seeds.iter().chain([&sweep.seeds]);
        let designs: Vec<(Design, usize)> = used
            .map(|seeds| {
                (
                    design_of(seeds.sequential(), comparisons),
                    seeds.all().len(),
                )
            })
            .collect();
        Some(rate_of_repeated_designs(comparisons, &designs))
    }

    /// Takes over which seeds an earlier plan of the same runs had.
    pub fn continue_from(&mut self, before: &Self) {
        let seeds = |plan: &Self| {
            plan.experiment
                .sweep
                .as_ref()
                .map(|sweep| sweep.seeds.clone())
        };
        let names: HashSet<&str> = before.runs.iter().map(|run| run.name.as_str()).collect();
        if !self
            .runs
            .iter()
            .any(|run| names.contains(run.name.as_str()))
        {
            return; // another experiment of the same name
        }
        self.earlier_seeds.clone_from(&before.earlier_seeds);
        // The same seeds can be written as a list and as a number.
        let meaning = |seeds: &Seeds| (seeds.all(), seeds.sequential());
        let now = seeds(self).as_ref().map(meaning);
        let last = seeds(before).filter(|before| now != Some(meaning(before)));
        self.earlier_seeds.extend(last);
    }
}

fn design_of(range: Option<SequentialSeeds>, comparisons: usize) -> Design {
    match range {
        Some(range) => Design::sequential(comparisons, range.min as usize, range.max as usize),
        None => Design::fixed(comparisons),
    }
}

impl<'a> VariantRuns<'a> {
    fn compare(
        &self,
        baseline: Option<&Self>,
        design: &Design,
        range: Option<SequentialSeeds>,
    ) -> VariantComparison<'a> {
        let of_seeds = |seeds: usize, differences: Vec<(u64, f64)>| {
            let values: Vec<f64> = differences.iter().map(|(_, value)| *value).collect();
            VariantComparison {
                variant: self.name,
                comparison: compare(&values, design),
                differences,
                needed_runs: self.first(seeds),
            }
        };
        let Some(baseline) = baseline.filter(|baseline| baseline.name != self.name) else {
            let least = range.map_or(self.runs.len(), |range| range.min as usize);
            return of_seeds(least, Vec::new());
        };
        let differences = |seeds| paired_differences(&self.values(seeds), &baseline.values(seeds));
        let Some(range) = range else {
            return of_seeds(self.runs.len(), differences(usize::MAX));
        };
        let (min, max) = (range.min as usize, range.max as usize);
        // With an open run there are less than `min` pairs, for which the design has no test.
        let mut last = of_seeds(min, differences(min));
        for seeds in min..=max {
            last.needed_runs = self.first(seeds);
            if !self.have_ended(seeds) || !baseline.have_ended(seeds) {
                break;
            }
            last = of_seeds(seeds, differences(seeds));
            let is_decided = |c: &Comparison| c.verdict != Verdict::Inconclusive;
            let has_failed = self.values(seeds).is_empty() || baseline.values(seeds).is_empty();
            // What failed with all of its seeds is not trained with more of them.
            if has_failed || last.comparison.as_ref().is_some_and(is_decided) {
                break;
            }
        }
        last
    }

    fn have_ended(&self, seeds: usize) -> bool {
        let mut first = self.runs.iter().take(seeds);
        first.all(|(_, _, result)| *result != RunResult::Open)
    }

    /// (seed, value) of the first runs that have a value.
    fn values(&self, seeds: usize) -> Vec<(u64, f64)> {
        let value = |&(_, seed, result): &(usize, u64, RunResult)| match result {
            RunResult::Ended(Some(value)) => Some((seed, value)),
            RunResult::Ended(None) | RunResult::Open => None,
        };
        self.runs.iter().take(seeds).filter_map(value).collect()
    }

    /// Mean over the first runs that have a value.
    fn mean(&self, seeds: usize) -> Option<f64> {
        let values: Vec<f64> = self
            .values(seeds)
            .into_iter()
            .map(|(_, value)| value)
            .collect();
        mean(&values)
    }

    /// Indices of the first runs in the plan.
    fn first(&self, seeds: usize) -> Vec<usize> {
        let first = self.runs.iter().take(seeds);
        first.map(|(index, _, _)| *index).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::testing::plan_of;
    use RunResult::{Ended, Open};

    const SWEEP: &str = "{name: x, sweep: {seeds: {min: 3, max: 6, until: decided}, \
                         variants: {a: {}, b: {model: {n_layer: 2}}, c: {model: {n_layer: 3}}}}}";

    /// Results of the runs of the variants a, b and c with six seeds. NaN stands for a failed run.
    fn results(values: [&[f64]; 3]) -> Vec<RunResult> {
        let of_seed = |values: &[f64], seed| match values.get(seed) {
            None => Open,
            Some(value) => Ended(Some(*value).filter(|value: &f64| !value.is_nan())),
        };
        let of_variant = |values| (0..6).map(move |seed| of_seed(values, seed));
        values.into_iter().flat_map(of_variant).collect()
    }

    /// Number of needed runs of each variant.
    fn needed(values: [&[f64]; 3]) -> [usize; 3] {
        let needed = plan_of(SWEEP).needed_runs(&results(values));
        let of_variant = |index: usize| {
            let seeds = needed.iter().filter(|&&run| run / 6 == index);
            let seeds: Vec<usize> = seeds.map(|run| run % 6).collect();
            assert_eq!(seeds, (0..seeds.len()).collect::<Vec<_>>());
            seeds.len()
        };
        [0, 1, 2].map(of_variant)
    }

    const BASE: [f64; 6] = [1.0, 1.1, 1.05, 1.2, 0.95, 1.0];
    /// Better than the baseline by about 0.1.
    const BETTER: [f64; 6] = [0.9, 1.001, 0.949, 1.1, 0.851, 0.9];
    /// Neither better nor worse.
    const SAME: [f64; 6] = [1.05, 1.0, 1.15, 1.1, 1.05, 0.9];

    #[test]
    fn all_variants_get_the_first_seeds() {
        assert_eq!(needed([&[], &[], &[]]), [3, 3, 3]);
        assert_eq!(needed([&BASE[..3], &BETTER[..2], &SAME[..2]]), [3, 3, 3]);
    }

    #[test]
    fn undecided_variants_and_the_baseline_get_more_seeds() {
        let [base, better, same] = [&BASE, &BETTER, &SAME];
        assert_eq!(needed([&base[..3], &better[..3], &same[..3]]), [4, 3, 4]);
        // The baseline comes first or last, and the next seed is needed when both have ended.
        assert_eq!(needed([&base[..4], &better[..3], &same[..3]]), [4, 3, 4]);
        assert_eq!(needed([&base[..3], &better[..3], &same[..4]]), [4, 3, 4]);
        assert_eq!(needed([&base[..4], &better[..3], &same[..4]]), [5, 3, 5]);
        assert_eq!(needed([base, &better[..3], same]), [6, 3, 6]);
    }

    #[test]
    fn a_variant_that_always_fails_gets_no_more_seeds() {
        let failed = [f64::NAN; 3];
        assert_eq!(needed([&BASE[..3], &failed, &BETTER[..3]]), [3, 3, 3]);
        // One failed seed leaves two pairs, for which there is no test yet.
        let once = [0.9, f64::NAN, 0.949];
        assert_eq!(needed([&BASE[..3], &once, &BETTER[..3]]), [4, 4, 3]);
    }

    #[test]
    fn a_decision_is_kept_when_more_seeds_are_there() {
        let plan = plan_of(SWEEP);
        let [base, better, same] = [&BASE, &BETTER, &SAME];
        let early = results([&base[..3], &better[..3], &same[..3]]);
        let late = results([base, better, same]);
        assert_eq!(plan.compare(&early)[1], plan.compare(&late)[1]);
    }

    #[test]
    fn changed_seeds_are_remembered_and_raise_the_rate() {
        let mut plan = plan_of(SWEEP);
        plan.continue_from(&plan_of(SWEEP));
        assert_eq!(plan.rate_after_changed_seeds(2), None);
        let shorter = plan_of(&SWEEP.replace("max: 6", "max: 4"));
        plan.continue_from(&shorter);
        let rate = plan.rate_after_changed_seeds(2).unwrap();
        assert!((0.055..0.1).contains(&rate), "{rate}");
        // It is kept when nothing else changes.
        let mut again = plan_of(SWEEP);
        again.continue_from(&plan);
        assert_eq!(again.rate_after_changed_seeds(2), Some(rate));
    }

    #[test]
    fn before_the_first_test_there_is_no_verdict() {
        let plan = plan_of(SWEEP);
        let compared = plan.compare(&results([&BASE[..2], &BETTER[..2], &[]]));
        let comparison = compared[1].comparison.as_ref().unwrap();
        assert_eq!((comparison.pairs, comparison.corrected), (2, None));
        assert_eq!(comparison.verdict, Verdict::Inconclusive);
    }

    #[test]
    fn with_fixed_seeds_all_runs_are_needed() {
        let plan =
            plan_of("{name: x, sweep: {seeds: 2, variants: {a: {}, b: {model: {n_layer: 2}}}}}");
        assert_eq!(plan.needed_runs(&[Open; 4]), [0, 1, 2, 3]);
    }
}
