//! What changed in an experiment after results were known, and what follows for its error rates.

use super::{EarlierDesign, PlannedRun, SweepPlan};
use crate::spec::{RunSpec, Seeds, SequentialSeeds};
use crate::stats::{Design, UsedDesign, rate_of_repeated_designs};
use std::collections::BTreeSet;

/// Most earlier designs that are remembered.
const MAX_EARLIER: usize = 200;

impl SweepPlan {
    /// How the variants are compared with the baseline, without the margin. A maximum number of
    /// seeds that was raised continues the earlier design within its error rate.
    pub(super) fn design_without_margin(&self) -> Design {
        let comparisons = self.comparisons();
        let design = match self.sequential_seeds() {
            None => Design::fixed(comparisons),
            Some(range) => {
                let earlier = self.earlier_designs();
                let earlier = earlier.filter_map(|design| design.seeds.sequential());
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
        let mut earlier: Vec<Seeds> = Vec::new();
        for design in self.earlier_designs() {
            if !same_seeds(&design.seeds, seeds) {
                earlier.push(design.seeds.clone());
            }
        }
        if earlier.iter().all(continues) {
            return None;
        }
        let earlier = earlier.iter().map(|seeds| {
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

    /// Number of comparisons with the baseline for which the tests are corrected. Variants that are removed
    /// after results are known do not make the other tests less strict.
    pub fn comparisons(&self) -> usize {
        let earlier = self.earlier_designs().map(|design| design.comparisons);
        earlier.fold(self.own_comparisons(), usize::max)
    }

    fn own_comparisons(&self) -> usize {
        let variants = self.runs.chunk_by(|a, b| a.spec.variant == b.spec.variant);
        variants.count().saturating_sub(1)
    }

    /// How earlier plans compared variants that this plan has too, oldest first.
    pub fn earlier_designs(&self) -> impl Iterator<Item = &EarlierDesign> {
        let variants = match self.earlier.is_empty() {
            true => BTreeSet::new(),
            false => self.variant_identities(),
        };
        let is_shared = move |design: &&EarlierDesign| !design.variants.is_disjoint(&variants);
        self.earlier.iter().filter(is_shared)
    }

    /// Whether a size was added, removed or changed after results were known. Without its largest size, an experiment
    /// compares its variants by other runs, some of which were those of a smaller size.
    pub fn has_changed_sizes(&self) -> bool {
        if self.earlier.is_empty() {
            return false;
        }
        let own = self.own_design();
        let mut earlier = self.earlier.iter();
        earlier.any(|design| design.had_other_sizes(&own))
    }

    /// Whether an earlier plan, `before`, compares its variants in another way.
    pub fn changes_design_of(&self, before: &Self) -> bool {
        self.own_design() != before.own_design()
    }

    /// Takes over how an earlier plan compared its variants. `has_results` says whether any run of `before`
    /// has ended: a change before that has no consequence.
    pub fn continue_from(&mut self, before: &Self, has_results: bool) {
        self.earlier.clone_from(&before.earlier);
        let own = before.own_design();
        if has_results && own != self.own_design() && !self.earlier.contains(&own) {
            self.earlier.push(own);
        }
        let most = self.earlier.len().saturating_sub(MAX_EARLIER);
        self.earlier.drain(..most);
    }

    fn own_design(&self) -> EarlierDesign {
        let sweep = self.experiment.sweep.clone().unwrap_or_default();
        EarlierDesign {
            variants: self.variant_identities(),
            smaller_sizes: self.identities(|run| run.smaller_size.is_some()),
            sizes: Some(sweep.scale.map_or(Vec::new(), |scale| scale.sizes)),
            // The same seeds can be written as a list and as a number.
            seeds: match sweep.seeds.sequential() {
                Some(_) => sweep.seeds,
                None => Seeds::List(sweep.seeds.all()),
            },
            compare: self.experiment.compare.clone(),
            baseline: self.baseline.clone(),
            tune: sweep.tune,
            claims: self.experiment.claims.clone(),
            comparisons: self.own_comparisons(),
        }
    }

    /// The start of the identity of each variant and combination, without its seed.
    fn variant_identities(&self) -> BTreeSet<String> {
        self.identities(PlannedRun::is_compared)
    }

    /// The start of the identities, without their seeds, of the runs for which `is_meant` holds.
    fn identities(&self, is_meant: impl Fn(&PlannedRun) -> bool) -> BTreeSet<String> {
        let same = |a: &PlannedRun, b: &PlannedRun| {
            let part = |run: &PlannedRun| {
                let combination = run.tuned.map(|tuned| tuned.combination);
                (combination, run.smaller_size)
            };
            a.spec.variant == b.spec.variant && part(a) == part(b)
        };
        let identity = |runs: &[&PlannedRun]| {
            let spec = RunSpec {
                seed: 0,
                ..runs[0].spec.clone()
            };
            let corpus = self.corpora[runs[0].corpus].content_sha256();
            let mut identity = spec.identity(&corpus);
            identity.truncate(16);
            identity
        };
        let meant: Vec<&PlannedRun> = self.runs.iter().filter(|run| is_meant(run)).collect();
        meant.chunk_by(|a, b| same(a, b)).map(identity).collect()
    }
}

fn same_seeds(a: &Seeds, b: &Seeds) -> bool {
    (a.all(), a.sequential()) == (b.all(), b.sequential())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::testing::plan_of;
    use crate::spec::Compare;

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
        assert_eq!(plan.earlier_designs().count(), 1);
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
        let earlier: Vec<&Compare> = plan
            .earlier_designs()
            .map(|design| &design.compare)
            .collect();
        assert_eq!(earlier, [&Compare::default()]);
        assert_eq!(plan.rate_after_changed_seeds(), None);
    }

    #[test]
    fn changed_sizes_are_remembered() {
        let sized = |sizes: &[&str]| {
            let sizes: Vec<String> = sizes
                .iter()
                .map(|width| format!("{{model: {{n_embd: {width}}}}}"))
                .collect();
            format!(
                "{{name: x, sweep: {{seeds: 3, scale: {{sizes: [{}]}}, variants: {{a: {{}}, b: {{model: \
                 {{mlp: swiglu}}}}}}}}}}",
                sizes.join(", ")
            )
        };
        let all = sized(&["32", "64", "96"]);
        assert!(!after(&all, &[&all, &all]).has_changed_sizes());
        for now in [
            sized(&["64", "96"]), // without the smallest
            sized(&["32", "64"]), // without the largest, so that 64 is compared
            sized(&["32", "72", "96"]),
            sized(&["16", "32", "64", "96"]),
            "{name: x, model: {n_embd: 96}, sweep: {seeds: 3, variants: {a: {}, b: {model: {mlp: \
             swiglu}}}}}"
                .to_owned(),
        ] {
            assert!(after(&now, &[&all]).has_changed_sizes(), "{now}");
            assert!(after(&now, &[&all, &now]).has_changed_sizes(), "{now}");
            assert!(after(&all, &[&now]).has_changed_sizes(), "{now}");
        }
        // Other runs say nothing about these.
        let other = sized(&["16", "24"]);
        assert!(!after(&other, &[&all]).has_changed_sizes());
    }

    #[test]
    fn a_design_of_an_earlier_version_has_unknown_sizes() {
        let plan = after(SWEEP, &[&SWEEP.replace("max: 6", "max: 4")]);
        let mut json = serde_json::to_value(&plan).unwrap();
        let design = json["earlier"][0].as_object_mut().unwrap();
        assert_eq!(design.remove("sizes"), Some(serde_json::json!([])));
        let mut plan: SweepPlan = serde_json::from_value(json).unwrap();
        assert_eq!(plan.earlier_designs().count(), 1);
        let scale = "sizes: [{model: {n_embd: 32}}, {}]";
        let sweep = plan.experiment.sweep.as_mut().unwrap();
        sweep.scale = Some(serde_yaml::from_str(scale).unwrap());
        assert!(!plan.has_changed_sizes());
    }

    #[test]
    fn a_change_before_the_first_result_has_no_consequence() {
        let mut plan = plan_of(SWEEP);
        let before = plan_of(&SWEEP.replace("max: 6", "max: 4"));
        assert!(plan.changes_design_of(&before));
        plan.continue_from(&before, false);
        assert_eq!(plan.earlier, []);
    }

    #[test]
    fn a_plan_of_other_runs_erases_nothing_and_counts_for_nothing() {
        let fixed = SWEEP.replace("{min: 3, max: 6, until: decided}", "3");
        let other = fixed.replace("{name: x,", "{name: x, train: {steps: 7},");
        let rate = after(SWEEP, &[&fixed]).rate_after_changed_seeds();
        assert!(rate.is_some());
        assert_eq!(
            after(SWEEP, &[&fixed, &other]).rate_after_changed_seeds(),
            rate
        );
        assert_eq!(after(SWEEP, &[&other]).rate_after_changed_seeds(), None);
    }
}
