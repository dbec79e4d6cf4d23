//! What changed in an experiment after results were known, and what follows for its error rates.

use super::SweepPlan;
use crate::spec::{Compare, RunSettings, RunSpec, Seeds, SequentialSeeds};
use crate::stats::{Design, UsedDesign, rate_of_repeated_designs};
use std::collections::HashSet;

impl SweepPlan {
    /// How the variants are compared with the baseline, without the margin. A maximum number of
    /// seeds that was raised continues the earlier design within its error rate.
    pub(super) fn design_without_margin(&self) -> Design {
        let comparisons = self.comparisons();
        let design = match self.sequential_seeds() {
            None => Design::fixed(comparisons),
            Some(range) => {
                let earlier = self.earlier_seeds.iter().filter_map(Seeds::sequential);
                let same_start = earlier.filter(|earlier| earlier.min == range.min);
                let maxima: Vec<usize> = same_start
                    .chain([range])
                    .map(|range| range.max as usize)
                    .collect();
                Design::sequential(comparisons, range.min as usize, &maxima)
            }
        };
        design.with_better_higher(self.experiment.compare.metric.is_better_higher())
    }

    /// An upper bound of the probability that any of several equal variants is called better or worse, if
    /// the seeds were changed after results were known in a way that raises it.
    pub fn rate_after_changed_seeds(&self) -> Option<f64> {
        let comparisons = self.comparisons();
        let seeds = &self.experiment.sweep.as_ref()?.seeds;
        let start = |seeds: &Seeds| seeds.sequential().map(|range| range.min);
        let continues =
            |earlier: &Seeds| start(earlier).is_some() && start(earlier) == start(seeds);
        if self.earlier_seeds.iter().all(continues) {
            return None;
        }
        let earlier = self.earlier_seeds.iter().map(|seeds| {
            let design = match seeds.sequential() {
                None => Design::fixed(comparisons),
                Some(SequentialSeeds { min, max, .. }) => {
                    Design::sequential(comparisons, min as usize, &[max as usize])
                }
            };
            UsedDesign {
                design,
                seeds: seeds.all(),
            }
        });
        let current = UsedDesign {
            design: self.design_without_margin(),
            seeds: seeds.all(),
        };
        let designs: Vec<UsedDesign> = earlier.chain([current]).collect();
        Some(rate_of_repeated_designs(comparisons, &designs))
    }

    /// Number of comparisons with the baseline for which the tests are corrected.
    pub fn comparisons(&self) -> usize {
        let variants = self.runs.chunk_by(|a, b| a.spec.variant == b.spec.variant);
        variants
            .count()
            .saturating_sub(1)
            .max(self.earlier_comparisons)
    }

    /// Whether an earlier plan of the same runs, `before`, has other seeds, has more variants, or compares
    /// them in another way.
    pub fn changes_design_of(&self, before: &Self) -> bool {
        self.continues(before)
            && (self.changed_seeds(before).is_some()
                || self.changed_compare(before).is_some()
                || before.comparisons() > self.comparisons())
    }

    /// Takes over how an earlier plan of the same runs compared them. `has_results` says whether any run of
    /// `before` has ended: a change before that has no consequence.
    pub fn continue_from(&mut self, before: &Self, has_results: bool) {
        if !self.continues(before) {
            return; // another experiment of the same name
        }
        let seeds = self.changed_seeds(before).filter(|_| has_results).cloned();
        let compare = self.changed_compare(before).filter(|_| has_results);
        let compare = compare.cloned();
        self.earlier_comparisons = match has_results {
            true => before.comparisons(),
            false => before.earlier_comparisons,
        };
        self.earlier_seeds.clone_from(&before.earlier_seeds);
        self.earlier_seeds.extend(seeds);
        self.earlier_compare.clone_from(&before.earlier_compare);
        self.earlier_compare.extend(compare);
    }

    /// Whether the plans have a variant with the same settings in common, whatever its seeds.
    fn continues(&self, before: &Self) -> bool {
        let settings = |plan: &Self| -> HashSet<RunSettings> {
            let variants = plan.runs.chunk_by(|a, b| a.spec.variant == b.spec.variant);
            let first = variants.map(|runs| RunSpec {
                seed: 0,
                ..runs[0].spec.clone()
            });
            first.map(|spec| spec.result_settings()).collect()
        };
        !settings(self).is_disjoint(&settings(before))
    }

    /// The seeds of `before`, if they are others.
    fn changed_seeds<'a>(&self, before: &'a Self) -> Option<&'a Seeds> {
        // The same seeds can be written as a list and as a number.
        let meaning = |seeds: &Seeds| (seeds.all(), seeds.sequential());
        let now = self
            .experiment
            .sweep
            .as_ref()
            .map(|sweep| meaning(&sweep.seeds));
        let last = before.experiment.sweep.as_ref().map(|sweep| &sweep.seeds);
        last.filter(|before| now != Some(meaning(before)))
    }

    /// The settings of the comparison of `before`, if they are others.
    fn changed_compare<'a>(&self, before: &'a Self) -> Option<&'a Compare> {
        Some(&before.experiment.compare).filter(|before| **before != self.experiment.compare)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::testing::plan_of;

    const SWEEP: &str = "{name: x, sweep: {seeds: {min: 3, max: 6, until: decided}, \
                         variants: {a: {}, b: {model: {n_layer: 2}}, c: {model: {n_layer: 3}}}}}";

    fn after(now: &str, before: &[&str]) -> SweepPlan {
        let mut last = plan_of(before[0]);
        for text in before[1..].iter().chain([&now]) {
            let mut plan = plan_of(text);
            plan.continue_from(&last, true);
            last = plan;
        }
        last
    }

    #[test]
    fn a_raised_maximum_stays_within_the_error_rate() {
        let shorter = SWEEP.replace("max: 6", "max: 4");
        let plan = after(SWEEP, &[&shorter, &shorter]);
        assert_eq!(plan.rate_after_changed_seeds(), None);
        assert_eq!(plan.earlier_seeds.len(), 1);
        let (first, continued) = (plan_of(&shorter), plan);
        let level = |plan: &SweepPlan, pairs| plan.design_without_margin().level(pairs);
        assert_eq!(level(&first, 4), level(&continued, 4));
        assert!(level(&continued, 6).is_some_and(|level| level > 0.0));
        // A design that was planned so from the start has more left for its last tests.
        assert!(level(&continued, 6) < level(&plan_of(SWEEP), 6));
    }

    #[test]
    fn other_changes_of_the_seeds_raise_the_rate() {
        let fixed = SWEEP.replace("{min: 3, max: 6, until: decided}", "3");
        let longer = SWEEP.replace("{min: 3, max: 6, until: decided}", "5");
        for (now, before) in [(SWEEP, fixed.as_str()), (longer.as_str(), fixed.as_str())] {
            let rate = after(now, &[before]).rate_after_changed_seeds().unwrap();
            assert!((0.055..0.1).contains(&rate), "{rate}");
        }
        // Seeds without one in common are another sample.
        let other = SWEEP.replace("{min: 3, max: 6, until: decided}", "[4, 5, 6]");
        let rate = after(&other, &[&fixed]).rate_after_changed_seeds().unwrap();
        assert!((rate - 0.1).abs() < 1e-6, "{rate}");
        // It is kept when nothing else changes.
        let rate = after(SWEEP, &[&fixed]).rate_after_changed_seeds();
        assert_eq!(
            after(SWEEP, &[&fixed, SWEEP]).rate_after_changed_seeds(),
            rate
        );
    }

    #[test]
    fn removed_variants_make_no_test_less_strict() {
        let fewer = SWEEP.replace(", c: {model: {n_layer: 3}}", "");
        let plan = after(&fewer, &[SWEEP, &fewer]);
        let level = |plan: &SweepPlan| plan.design_without_margin().level(3);
        assert_eq!(level(&plan), level(&plan_of(SWEEP)));
        assert!(level(&plan) < level(&plan_of(&fewer)));
    }

    #[test]
    fn a_changed_margin_is_remembered() {
        let margin = SWEEP.replace("{name: x,", "{name: x, compare: {margin: 0.01},");
        let plan = after(&margin, &[SWEEP, SWEEP]);
        assert_eq!(plan.earlier_compare, [Compare::default()]);
        assert_eq!(plan.rate_after_changed_seeds(), None);
    }

    #[test]
    fn a_change_before_the_first_result_has_no_consequence() {
        let mut plan = plan_of(SWEEP);
        let before = plan_of(&SWEEP.replace("max: 6", "max: 4"));
        assert!(plan.changes_design_of(&before));
        plan.continue_from(&before, false);
        assert_eq!(plan.earlier_seeds, []);
    }
}
