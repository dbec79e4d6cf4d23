//! How the variants of a sweep are compared, and which runs that needs.
//!
//! Both follow from the plan and the results so far. The scheduler and the report use the same
//! functions, so a sweep ends when its report has a verdict on every variant. They depend on the runs
//! that have ended, and not on the order in which they ended.

use super::variant_runs::VariantRuns;
use super::{RunResult, Search, SweepPlan};
use crate::spec::SequentialSeeds;
use crate::stats::{Comparison, Design, PairsToDecide, Verdict, compare, pairs_to_decide};

/// A variant compared with the baseline.
#[derive(Debug, Clone, PartialEq)]
pub struct VariantComparison {
    pub variant: String,
    /// Whether its result does not depend on the seed. It has one run.
    pub is_seed_free: bool,
    /// The search for its best settings, if the variants are tuned.
    pub search: Option<Search>,
    /// Most seeds of each variant that the comparison can use so far.
    pub(super) seeds: usize,
    /// Indices in the plan of the runs of this variant that are needed so far, in the order of their seeds.
    pub runs: Vec<usize>,
    /// (seed, metric) of those of these runs that have a value.
    pub values: Vec<(u64, f64)>,
    /// (seed, variant - baseline) for the seeds that both have. A result that does not depend on the seed is
    /// compared with every seed of the other.
    pub differences: Vec<(u64, f64)>,
    /// `None` for the baseline, and if there are no differences.
    pub comparison: Option<Comparison>,
    /// The number of seeds, in all, that would probably decide an inconclusive comparison.
    pub seeds_to_decide: Option<PairsToDecide>,
}

impl VariantComparison {
    /// The runs of the baseline that the verdict on this variant uses. The baseline can have more, for other variants.
    pub fn runs_of_baseline<'a>(&self, baseline: &'a Self) -> &'a [usize] {
        &baseline.runs[..baseline.runs.len().min(self.seeds)]
    }
}

impl SweepPlan {
    /// Compares every variant with the baseline, in the order of the plan. `results` has one entry for
    /// each run of the plan.
    ///
    /// With a fixed number of seeds, all runs are needed, and a variant is tested when all of its runs and
    /// all runs of the baseline have ended. In a sequential design, the runs of the first seeds are needed,
    /// and then one more seed of each undecided variant, and the same seeds of the baseline. If the variants
    /// are tuned, all runs of the search are needed. The runs that compare a variant are those with its best
    /// combination, once its search has ended.
    pub fn compare(&self, results: &[RunResult]) -> Vec<VariantComparison> {
        let variants = VariantRuns::all(self, results);
        let range = self.sequential_seeds();
        let baseline = self.baseline_of(&variants);
        let design = self.design(baseline);
        let compared: Vec<(Differences, usize)> = variants
            .iter()
            .map(|variant| variant.compare(baseline, &design, self.first_seeds(), range))
            .collect();
        // The baseline is needed with every seed that another variant needs.
        let most = compared.iter().map(|(_, seeds)| *seeds).max().unwrap_or(0);
        let entries = variants.iter().zip(compared);
        entries
            .map(|(variant, (differences, seeds))| {
                let is_baseline = variant.name == self.baseline;
                let seeds = if is_baseline { most } else { seeds };
                VariantComparison {
                    variant: variant.name.to_owned(),
                    is_seed_free: variant.is_seed_free,
                    search: variant.search.clone(),
                    seeds,
                    runs: variant.first(seeds).map(|(index, ..)| index).collect(),
                    values: variant.values(seeds),
                    seeds_to_decide: differences.seeds_to_decide(&design),
                    differences: differences.by_seed,
                    comparison: differences.comparison,
                }
            })
            .collect()
    }

    /// Indices of the runs that are needed according to the results so far, in the order of the plan.
    pub fn needed_runs(&self, results: &[RunResult]) -> Vec<usize> {
        if !self.depends_on_results() {
            let runs = 0..self.runs.len();
            return runs.filter(|run| !self.repeats_a_result(*run)).collect();
        }
        let of_variant = |comparison: VariantComparison| {
            let search = comparison.search.into_iter().flat_map(|search| search.runs);
            search.chain(comparison.runs).collect::<Vec<_>>()
        };
        let comparisons = self.compare(results).into_iter();
        let needed = comparisons.flat_map(of_variant);
        let mut needed: Vec<usize> = needed.chain(self.runs_of_smaller_sizes()).collect();
        needed.sort_unstable();
        needed
    }

    /// Indices of the runs of smaller sizes that are needed, which are those of the first seeds.
    pub(super) fn runs_of_smaller_sizes(&self) -> Vec<usize> {
        let first = self.first_seeds();
        let group = |index: &usize| {
            let run = &self.runs[*index];
            (&run.spec.variant, run.smaller_size)
        };
        let kept = (0..self.runs.len())
            .filter(|&run| self.runs[run].smaller_size.is_some() && !self.repeats_a_result(run));
        let kept: Vec<usize> = kept.collect();
        let groups = kept.chunk_by(|a, b| group(a) == group(b));
        let first = groups.flat_map(|runs| runs.iter().take(first).copied());
        first.collect()
    }

    /// Whether it depends on the results which runs are needed.
    pub fn depends_on_results(&self) -> bool {
        self.sequential_seeds().is_some() || self.runs.iter().any(|run| run.tuned.is_some())
    }

    /// The paths that the search for the best settings varies. Empty if the variants are not tuned.
    pub fn tuned_paths(&self) -> Vec<&str> {
        let sweep = self.experiment.sweep.iter();
        sweep.flat_map(|sweep| sweep.tuned_paths()).collect()
    }

    /// Whether the search for the best settings ends the training of combinations that are behind the others.
    pub fn has_halving(&self) -> bool {
        let mut runs = self.runs.iter().filter_map(|run| run.tuned);
        runs.any(|run| run.rung > 0)
    }

    /// The range of the number of seeds, if it depends on the results.
    pub fn sequential_seeds(&self) -> Option<SequentialSeeds> {
        self.experiment.sweep.as_ref()?.seeds.sequential()
    }

    /// Number of seeds that every variant gets, and with which claims are tested. More only follow from the
    /// results. Without a sequential design, that is all seeds, whose number is not limited.
    pub fn first_seeds(&self) -> usize {
        let range = self.sequential_seeds();
        range.map_or(usize::MAX, |range| range.min as usize)
    }

    /// The verdict on each variant with other results, such as those of an earlier step, but with the same
    /// seeds, settings and design as in `compared`, which follows from `results`.
    pub fn verdicts_with(
        &self,
        other_results: &[RunResult],
        compared: &[VariantComparison],
        results: &[RunResult],
    ) -> Vec<Option<Verdict>> {
        let variants = VariantRuns::all(self, other_results);
        let baseline = self.baseline_of(&variants);
        let known = VariantRuns::all(self, results);
        let design = self.design(self.baseline_of(&known));
        let verdict = |(variant, compared): (&VariantRuns, &VariantComparison)| {
            compared.comparison.as_ref()?.corrected?;
            let tested = Differences::tested(variant, baseline?, compared.seeds, &design);
            let comparison = tested.comparison?;
            comparison.corrected.map(|_| comparison.verdict)
        };
        variants.iter().zip(compared).map(verdict).collect()
    }

    /// The smallest difference that matters, in the unit of the metric.
    pub fn margin(&self, results: &[RunResult]) -> Option<f64> {
        let variants = VariantRuns::all(self, results);
        self.design(self.baseline_of(&variants)).margin()
    }

    pub(super) fn baseline_of<'v, 'a>(
        &self,
        variants: &'v [VariantRuns<'a>],
    ) -> Option<&'v VariantRuns<'a>> {
        let mut variants = variants.iter();
        variants.find(|variant| variant.name == self.baseline)
    }

    fn design(&self, baseline: Option<&VariantRuns>) -> Design {
        // A margin in percent must not change when seeds are added.
        let baseline = baseline.and_then(|baseline| baseline.mean(self.first_seeds()));
        let baseline = baseline.filter(|mean| mean.is_finite());
        let margin = self.experiment.compare.margin.zip(baseline);
        self.design_without_margin()
            .with_margin(margin.map(|(margin, baseline)| margin.absolute(baseline)))
    }
}

/// The differences between a variant and the baseline, and what follows from them.
#[derive(Default)]
struct Differences {
    by_seed: Vec<(u64, f64)>,
    comparison: Option<Comparison>,
}

impl Differences {
    fn values(by_seed: &[(u64, f64)]) -> Vec<f64> {
        by_seed.iter().map(|(_, value)| *value).collect()
    }

    fn untested(by_seed: Vec<(u64, f64)>) -> Self {
        Self {
            comparison: Comparison::untested(&Self::values(&by_seed)),
            by_seed,
        }
    }

    /// With up to `seeds` of each variant. A difference of two results that do not depend on the seed is exact.
    fn tested(
        variant: &VariantRuns,
        baseline: &VariantRuns,
        seeds: usize,
        design: &Design,
    ) -> Self {
        let by_seed = variant.differences(baseline, seeds);
        let values = Self::values(&by_seed);
        let is_exact = variant.is_seed_free && baseline.is_seed_free;
        let comparison = match values.as_slice() {
            [difference] if is_exact => Some(Comparison::exact(*difference, design)),
            _ => compare(&values, design),
        };
        Self {
            comparison,
            by_seed,
        }
    }

    /// The number of seeds that would probably decide the comparison, if it was tested without a verdict.
    fn seeds_to_decide(&self, design: &Design) -> Option<PairsToDecide> {
        let comparison = self.comparison.as_ref()?;
        let is_open = comparison.corrected.is_some() && comparison.verdict == Verdict::Inconclusive;
        is_open
            .then(|| pairs_to_decide(&Self::values(&self.by_seed), design))
            .flatten()
    }

    /// Whether more seeds would not change the verdict.
    fn are_final(&self) -> bool {
        let is_decided = |c: &Comparison| c.is_exact || c.verdict != Verdict::Inconclusive;
        // A variant with exactly the results of the baseline has them with every seed.
        let are_equal = self.by_seed.len() > 1 && self.by_seed.iter().all(|(_, d)| *d == 0.0);
        // A difference is infinite if the target loss was not reached.
        let is_untestable = self.by_seed.iter().any(|(_, d)| !d.is_finite());
        self.comparison.as_ref().is_some_and(is_decided) || are_equal || is_untestable
    }
}

impl VariantRuns<'_> {
    /// The differences from the baseline, and the number of seeds that are needed so far.
    fn compare(
        &self,
        baseline: Option<&Self>,
        design: &Design,
        first: usize,
        range: Option<SequentialSeeds>,
    ) -> (Differences, usize) {
        let Some(baseline) = baseline.filter(|baseline| baseline.name != self.name) else {
            return (Differences::default(), first);
        };
        let have_ended = |seeds| self.have_ended(seeds) && baseline.have_ended(seeds);
        if !have_ended(first) {
            let differences = self.differences(baseline, first);
            return (Differences::untested(differences), first);
        }
        let last = range.map_or(first, |range| range.max as usize);
        let mut seeds = first;
        loop {
            let tested = Differences::tested(self, baseline, seeds, design);
            // What failed with all of its seeds is not trained with more of them.
            let has_failed = self.values(seeds).is_empty() || baseline.values(seeds).is_empty();
            if has_failed || tested.are_final() || seeds >= last {
                return (tested, seeds);
            }
            seeds += 1;
            if !have_ended(seeds) {
                return (tested, seeds);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::testing::plan_of;
    use RunResult::{Ended, Open};
    use proptest::prelude::*;

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
    fn a_verdict_does_not_use_the_seeds_of_the_baseline_for_other_variants() {
        let compared = plan_of(SWEEP).compare(&results([&BASE, &BETTER[..3], &SAME]));
        let [base, better, same] = &compared[..] else {
            panic!("{compared:?}");
        };
        assert_eq!(base.runs, [0, 1, 2, 3, 4, 5]);
        assert_eq!(better.runs_of_baseline(base), [0, 1, 2]);
        assert_eq!(same.runs_of_baseline(base), [0, 1, 2, 3, 4, 5]);
    }

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
    fn smaller_sizes_get_the_first_seeds_and_are_not_compared() {
        let sized = "{name: x, sweep: {seeds: {min: 3, max: 6, until: decided}, \
                     scale: {sizes: [{model: {n_embd: 32}}, {model: {n_embd: 64}}]}, \
                     variants: {a: {}, b: {model: {n_layer: 2}}}}}";
        let plan = plan_of(sized);
        assert_eq!(plan.runs.len(), 24);
        // Each variant has six seeds of the smaller size, and then six of the larger.
        let first = [0..3, 6..9, 12..15, 18..21];
        let first: Vec<usize> = first.into_iter().flatten().collect();
        assert_eq!(plan.needed_runs(&[Open; 24]), first);
        let compared = plan.compare(&[Open; 24]);
        let runs: Vec<&[usize]> = compared.iter().map(|c| c.runs.as_slice()).collect();
        assert_eq!(runs, [[6, 7, 8], [18, 19, 20]]);
        let possible = plan.possible_runs(&[Open; 24]);
        assert_eq!(possible.len(), 3 + 6 + 3 + 6);
        assert_eq!(plan.comparisons(), 1);
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

    #[test]
    fn fixed_seeds_are_tested_when_all_have_ended() {
        let plan =
            plan_of("{name: x, sweep: {seeds: 3, variants: {a: {}, b: {model: {n_layer: 2}}}}}");
        let of = |baseline: [RunResult; 3]| {
            let variant = BETTER[..3].iter().map(|value| Ended(Some(*value)));
            let results: Vec<_> = baseline.into_iter().chain(variant).collect();
            plan.compare(&results)[1].comparison.clone().unwrap()
        };
        let [a, b, c] = [0, 1, 2].map(|seed| Ended(Some(BASE[seed])));
        let open = of([a, b, Open]);
        assert_eq!((open.pairs, open.corrected), (2, None));
        assert_eq!(open.verdict, Verdict::Inconclusive);
        // A failed run has ended. Two pairs are a valid sample.
        let failed = of([a, b, Ended(None)]);
        assert!(failed.pairs == 2 && failed.corrected.is_some());
        assert_eq!(of([a, b, c]).verdict, Verdict::Better);
    }

    #[test]
    fn a_failed_seed_of_the_baseline_is_no_pair() {
        let mut base = BASE;
        base[1] = f64::NAN;
        assert_eq!(needed([&base[..3], &BETTER[..3], &SAME[..3]]), [4, 4, 4]);
        let plan = plan_of(SWEEP);
        let compared = plan.compare(&results([&base[..4], &BETTER[..4], &SAME[..4]]));
        let seeds: Vec<u64> = compared[1]
            .differences
            .iter()
            .map(|(seed, _)| *seed)
            .collect();
        assert_eq!(seeds, [1, 3, 4]);
    }

    #[test]
    fn equal_results_and_unreached_losses_get_no_more_seeds() {
        assert_eq!(needed([&BASE[..3], &BASE[..3], &BETTER[..3]]), [3, 3, 3]);
        let unreached = [1.0, f64::INFINITY, 1.0];
        assert_eq!(needed([&BASE[..3], &unreached, &BETTER[..3]]), [3, 3, 3]);
    }

    #[test]
    fn a_margin_in_percent_is_that_of_the_first_seeds() {
        let sweep = SWEEP.replace("{name: x,", "{name: x, compare: {margin: '2%'},");
        let plan = plan_of(&sweep);
        let near = [1.0001, 1.1, 1.0502];
        let results = |base: &[f64]| results([base, &near, &SAME[..3]]);
        let early = plan.compare(&results(&BASE[..3]));
        assert_eq!(
            early[1].comparison.as_ref().unwrap().verdict,
            Verdict::Equivalent
        );
        let late = [1.0, 1.1, 1.05, 1e-6, 1e-6, 1e-6];
        assert_eq!(plan.compare(&results(&late))[1], early[1]);
    }

    proptest! {
        /// The order in which runs end does not change which runs are trained, nor a verdict.
        #[test]
        fn the_order_of_results_does_not_matter(
            values in prop::collection::vec(prop::option::weighted(0.9, 0.9..1.1), 18),
            orders in prop::collection::vec(any::<u64>(), 200),
        ) {
            let plan = plan_of(SWEEP);
            let finish = |mut pick: Box<dyn FnMut(usize) -> usize>| {
                let mut results = vec![Open; plan.runs.len()];
                let mut trained = Vec::new();
                loop {
                    let needed = plan.needed_runs(&results);
                    let open: Vec<usize> =
                        needed.into_iter().filter(|&run| results[run] == Open).collect();
                    if open.is_empty() {
                        trained.sort_unstable();
                        return (trained, plan.compare(&results));
                    }
                    let run = open[pick(open.len())];
                    results[run] = Ended(values[run]);
                    trained.push(run);
                }
            };
            let mut orders = orders.into_iter();
            let in_order = finish(Box::new(|_| 0));
            let shuffled =
                finish(Box::new(move |n| orders.next().unwrap_or(0) as usize % n));
            prop_assert_eq!(in_order, shuffled);
        }
    }
}
