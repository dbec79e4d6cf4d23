use super::search::{Indexed, Search};
use super::{RunResult, SweepPlan};
use crate::stats::{mean, paired_differences};

impl SweepPlan {
    /// Indices of the runs that the sweep can have in the end, in the order of the plan: those of the search and
    /// of smaller sizes, and those of the comparison with one combination of each variant. Before the best one is known, it is
    /// the first. A variant whose comparison is decided gets no more seeds.
    pub fn possible_runs(&self, results: &[RunResult]) -> Vec<usize> {
        let variants = VariantRuns::all(self, results);
        let seeds = self.possible_seeds(&variants, results);
        let all = counted(self, results);
        let variant = |run: &Indexed| self.runs[run.0].spec.variant.as_str();
        let groups = all.chunk_by(|a, b| variant(a) == variant(b));
        let groups = groups.zip(variants.iter().zip(seeds));
        let possible = groups.flat_map(|(runs, (variant, seeds))| {
            let combination = variant.search.as_ref().and_then(Search::likely_combination);
            let is_compared = move |run: &&Indexed| match self.runs[run.0].tuned {
                Some(run) => !run.is_search && Some(run.combination) == combination,
                None => true,
            };
            let search = variant.search.as_ref();
            let searched = search.map(|search| search.possible_runs(self, runs));
            let compared = runs.iter().filter(is_compared).take(seeds);
            let compared = compared.map(|(index, _)| *index);
            compared.chain(searched.unwrap_or_default())
        });
        let mut possible: Vec<usize> = possible.chain(self.runs_of_smaller_sizes()).collect();
        possible.sort_unstable();
        possible
    }

    /// The number of seeds that each variant can get.
    fn possible_seeds(&self, variants: &[VariantRuns], results: &[RunResult]) -> Vec<usize> {
        let first = self.first_seeds();
        let compared = self.compare(results).into_iter();
        let needed: Vec<usize> = compared.map(|c| c.seeds.max(first)).collect();
        let Some(baseline) = self.baseline_of(variants) else {
            return vec![usize::MAX; variants.len()];
        };
        let possible = |(variant, &needed): (&VariantRuns, &usize)| {
            // If all needed runs have ended and no other is needed, none ever will be.
            let have_ended = |v: &VariantRuns| !v.is_searching() && v.have_ended(needed);
            let has_failed = |v: &VariantRuns| !v.is_searching() && v.runs.is_empty();
            let is_final = (have_ended(variant) && have_ended(baseline))
                || has_failed(variant)
                || has_failed(baseline);
            if is_final { needed } else { usize::MAX }
        };
        let entries = variants.iter().zip(&needed);
        let mut seeds: Vec<usize> = entries.map(possible).collect();
        // The baseline is trained with every seed that another variant can get.
        let others = variants.iter().zip(&seeds);
        let others = others.filter(|(variant, _)| variant.name != baseline.name);
        let most = others.map(|(_, seeds)| *seeds).max();
        for ((variant, seeds), needed) in variants.iter().zip(&mut seeds).zip(needed) {
            if variant.name == baseline.name {
                *seeds = most.unwrap_or(needed).max(needed);
            }
        }
        seeds
    }
}

/// What is known of one variant.
pub(super) struct VariantRuns<'a> {
    pub(super) name: &'a str,
    /// Whether its result does not depend on the seed. It has one run, with the first seed.
    pub(super) is_seed_free: bool,
    /// The search for its best settings, if the variants are tuned.
    pub(super) search: Option<Search>,
    /// Index in the plan, seed, and result of each run that compares it, in the order of its seeds. Empty
    /// while its search has not ended.
    runs: Vec<(usize, u64, RunResult)>,
}

/// The runs of a plan that search or compare, without those that repeat the result of another one.
fn counted(plan: &SweepPlan, results: &[RunResult]) -> Vec<Indexed> {
    let runs = results.iter().copied().enumerate();
    runs.filter(|(run, _)| plan.runs[*run].smaller_size.is_none() && !plan.repeats_a_result(*run))
        .collect()
}

impl<'a> VariantRuns<'a> {
    /// The variants of a plan, in its order.
    pub(super) fn all(plan: &'a SweepPlan, results: &[RunResult]) -> Vec<Self> {
        let runs = counted(plan, results);
        let variant = |run: &Indexed| plan.runs[run.0].spec.variant.as_str();
        // The runs of a variant follow each other.
        let groups = runs.chunk_by(|a, b| variant(a) == variant(b));
        groups
            .map(|runs| {
                let search = Search::of(plan, runs);
                let compares = |index: usize| match (plan.runs[index].tuned, &search) {
                    (Some(run), Some(search)) => {
                        !run.is_search && search.best == Some(run.combination)
                    }
                    _ => true,
                };
                let compared = runs.iter().filter(|(index, _)| compares(*index));
                let with_seed =
                    |&(index, result): &Indexed| (index, plan.runs[index].spec.seed, result);
                Self {
                    name: variant(&runs[0]),
                    is_seed_free: plan.is_seed_free(&plan.runs[runs[0].0]),
                    runs: compared.map(with_seed).collect(),
                    search,
                }
            })
            .collect()
    }

    /// (seed, variant - baseline) for the seeds that both have among their first ones. A result that does not
    /// depend on the seed is compared with every seed of the other variant.
    pub(super) fn differences(&self, baseline: &Self, seeds: usize) -> Vec<(u64, f64)> {
        let mut own = self.values(seeds);
        let mut base = baseline.values(seeds);
        if self.is_seed_free {
            own = with_seeds_of(&base, &own);
        }
        if baseline.is_seed_free {
            base = with_seeds_of(&own, &base);
        }
        paired_differences(&own, &base)
    }

    /// Whether the search for its best settings has not ended.
    fn is_searching(&self) -> bool {
        self.search.as_ref().is_some_and(|search| !search.has_ended)
    }

    pub(super) fn have_ended(&self, seeds: usize) -> bool {
        self.first(seeds)
            .all(|(_, _, result)| result != RunResult::Open)
    }

    /// (seed, value) of the first runs that have a value.
    pub(super) fn values(&self, seeds: usize) -> Vec<(u64, f64)> {
        self.first(seeds)
            .filter_map(|(_, seed, result)| Some((seed, result.value()?)))
            .collect()
    }

    /// Mean over the first runs that have a value.
    pub(super) fn mean(&self, seeds: usize) -> Option<f64> {
        let values = self.values(seeds).into_iter();
        mean(&values.map(|(_, value)| value).collect::<Vec<_>>())
    }

    /// The runs of the first seeds.
    pub(super) fn first(&self, seeds: usize) -> impl Iterator<Item = (usize, u64, RunResult)> {
        self.runs.iter().take(seeds).copied()
    }
}

/// The first of `values` with each seed of `others`.
fn with_seeds_of(others: &[(u64, f64)], values: &[(u64, f64)]) -> Vec<(u64, f64)> {
    let first = values.first();
    let seeds = others.iter().map(|(seed, _)| *seed);
    seeds.filter_map(|seed| Some((seed, first?.1))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::testing::plan_of;
    use crate::spec::Tpe;
    use RunResult::{Ended, Open};
    use proptest::prelude::*;

    /// For each variant: one run of the search and two of the comparison, with each of three rates.
    const SWEEP: &str = "{name: x, sweep: {seeds: 2, tune: {grid: {optimizer.lr: [1, 2, 3]}}, \
                         variants: {a: {}, b: {model: {n_layer: 2}}}}}";

    /// Three variants with up to six seeds: the runs 0 to 5, 6 to 11, and 12 to 17.
    const SEQUENTIAL: &str = "{name: x, sweep: {seeds: {min: 3, max: 6, until: decided}, \
                              variants: {a: {}, b: {model: {n_layer: 2}}, c: {model: {n_layer: 3}}}}}";

    fn with_search(a: [Option<f64>; 3], b: [Option<f64>; 3]) -> Vec<RunResult> {
        let mut results = vec![Open; 18];
        for (index, value) in a.into_iter().chain(b).enumerate() {
            results[index * 3] = Ended(value);
        }
        results
    }

    #[test]
    fn all_runs_of_the_search_come_first() {
        let plan = plan_of(SWEEP);
        assert_eq!(plan.needed_runs(&[Open; 18]), [0, 3, 6, 9, 12, 15]);
    }

    #[test]
    fn one_combination_of_each_variant_is_compared() {
        let plan = plan_of(SWEEP);
        let before = plan.possible_runs(&[Open; 18]);
        assert_eq!(before, [0, 1, 2, 3, 6, 9, 10, 11, 12, 15]);
        let results = with_search(
            [Some(2.0), Some(1.0), Some(3.0)],
            [Some(1.0), None, Some(0.5)],
        );
        assert_eq!(plan.possible_runs(&results), plan.needed_runs(&results));
    }

    #[test]
    fn a_variant_is_compared_with_its_best_combination() {
        let plan = plan_of(SWEEP);
        let results = with_search(
            [Some(2.0), Some(1.0), Some(3.0)],
            [Some(1.0), None, Some(0.5)],
        );
        assert_eq!(
            plan.needed_runs(&results),
            [0, 3, 4, 5, 6, 9, 12, 15, 16, 17]
        );
        let compared = plan.compare(&results);
        let search = compared[1].search.as_ref().unwrap();
        assert_eq!(search.best, Some(2));
        assert_eq!(
            search.combinations,
            [(0, Some(1.0)), (1, None), (2, Some(0.5))]
        );
        assert_eq!(compared[1].runs, [16, 17]);
    }

    #[test]
    fn a_decided_variant_gets_no_more_seeds() {
        let plan = plan_of(SEQUENTIAL);
        let mut results = vec![Open; 18];
        let mut end = |first: usize, values: [f64; 3]| {
            for (index, value) in values.into_iter().enumerate() {
                results[first + index] = Ended(Some(value));
            }
            plan.possible_runs(&results)
        };
        assert_eq!(end(0, [1.0, 1.1, 1.05]), (0..18).collect::<Vec<_>>());
        // The variant b is better. The baseline can be needed for c.
        let all_but_b: Vec<usize> = (0..9).chain(12..18).collect();
        assert_eq!(end(6, [0.5, 0.6001, 0.55]), all_but_b);
        assert_eq!(end(12, [1.2, 1.0, 1.1]), all_but_b);
        // The variant c is better, too.
        let decided: Vec<usize> = (0..3).chain(6..9).chain(12..15).collect();
        assert_eq!(end(12, [0.5, 0.6001, 0.55]), decided);
    }

    #[test]
    fn a_variant_that_fails_in_the_whole_search_can_have_no_more_runs() {
        let plan = plan_of(SWEEP);
        let results = with_search([Some(2.0), Some(1.0), Some(3.0)], [None; 3]);
        assert_eq!(plan.possible_runs(&results), plan.needed_runs(&results));
    }

    /// Six rates, of which two are trained for more steps, and one of these to the end. A variant has 6 * (3 + 1) runs: for
    /// each rate those of the search with 10, 30 and all steps, and one of the comparison.
    const HALVING: &str = "{name: x, sweep: {seeds: 1, variants: {a: {}, b: {model: {n_layer: 2}}}, \
                           tune: {grid: {optimizer.lr: [1, 2, 3, 4, 5, 6]}, halving: {steps: [10, 30]}}}}";

    #[test]
    fn halving_trains_the_best_combinations_further() {
        let plan = plan_of(HALVING);
        let of_a =
            |runs: Vec<usize>| -> Vec<usize> { runs.into_iter().filter(|run| *run < 24).collect() };
        let mut results = vec![Open; 48];
        let first: Vec<usize> = (0..6).map(|rate| rate * 4).collect();
        assert_eq!(of_a(plan.needed_runs(&results)), first);
        // Two of three rungs are not decided: the first combinations stand for the best.
        let possible: Vec<usize> = vec![0, 1, 2, 3, 4, 5, 8, 12, 16, 20];
        assert_eq!(of_a(plan.possible_runs(&results)), possible);
        for (rate, value) in [3.0, 2.0, f64::NAN, 1.0, 2.5, 4.0].into_iter().enumerate() {
            results[rate * 4] = Ended(Some(value).filter(|value| !value.is_nan()));
        }
        // Of the five with a result, two are kept.
        let second: Vec<usize> = vec![0, 4, 5, 8, 12, 13, 16, 20];
        assert_eq!(of_a(plan.needed_runs(&results)), second);
        results[5] = Ended(Some(1.0));
        assert_eq!(of_a(plan.needed_runs(&results)), second);
        results[13] = Ended(Some(2.0));
        let third: Vec<usize> = vec![0, 4, 5, 6, 8, 12, 13, 16, 20];
        assert_eq!(of_a(plan.needed_runs(&results)), third);
        results[6] = Ended(Some(0.5));
        let compared: Vec<usize> = vec![0, 4, 5, 6, 7, 8, 12, 13, 16, 20];
        assert_eq!(of_a(plan.needed_runs(&results)), compared);
        assert_eq!(of_a(plan.possible_runs(&results)), compared);
        let compared = plan.compare(&results);
        let search = compared[0].search.as_ref().unwrap();
        assert_eq!(search.trained, [6, 2, 1]);
        assert_eq!((search.best, search.has_ended), (Some(1), true));
        let means: Vec<Option<f64>> = search.combinations.iter().map(|(_, mean)| *mean).collect();
        assert_eq!(means, [None, Some(0.5), None, None, None, None]);
        let reached: Vec<(usize, Option<f64>)> = search
            .reached
            .iter()
            .map(|one| (one.rung, one.mean))
            .collect();
        let first = |mean: f64| (0, Some(mean));
        let expected = [
            first(3.0),
            (2, Some(0.5)),
            (0, None),
            (1, Some(2.0)),
            first(2.5),
            first(4.0),
        ];
        assert_eq!(reached, expected);
        assert_eq!(compared[1].search.as_ref().unwrap().trained, [6]);
    }

    /// Eight learning rates in the order of the draws, of which three are tried first and then two by results.
    const TPE: &str = "{name: x, sweep: {seeds: 1, variants: {a: {}, b: {model: {n_layer: 2}}}, tune: {random: {n: 8, \
                       settings: {optimizer.lr: {log_uniform: [1.0e-4, 1.0e-1]}}}, tpe: {n_trials: 5, n_startup: 3, batch: 1}}}}";

    #[test]
    fn a_search_by_results_chooses_its_combinations() {
        let plan = plan_of(TPE);
        let of_a =
            |runs: Vec<usize>| -> Vec<usize> { runs.into_iter().filter(|run| *run < 16).collect() };
        // The runs 0, 2, 4 and so on search, and the others compare.
        let mut results = vec![Open; 32];
        assert_eq!(of_a(plan.needed_runs(&results)), [0, 2, 4]);
        assert_eq!(of_a(plan.possible_runs(&results)), [0, 1, 2, 4, 6, 8]);
        // The smaller the distance from 0.01, the better.
        let lr = |run: usize| plan.runs[run].spec.optimizer.lr;
        let distance = |run: usize| (lr(run) / 0.01).ln().abs();
        for number in 3..=5 {
            let search = plan.compare(&results)[0].search.clone().unwrap();
            let open = search.runs.iter().filter(|&&run| results[run] == Open);
            let open: Vec<usize> = open.copied().collect();
            assert_eq!(open.len(), if number == 3 { 3 } else { 1 });
            assert!(!search.has_ended);
            for run in open {
                results[run] = Ended(Some(distance(run)));
            }
        }
        let compared = plan.compare(&results);
        let search = compared[0].search.as_ref().unwrap();
        assert!(search.has_ended);
        assert_eq!((search.runs.len(), search.combinations.len()), (5, 5));
        let tried = |run: &usize| search.runs.contains(run);
        let best = search
            .runs
            .iter()
            .map(|&run| distance(run))
            .fold(9.9, f64::min);
        let runs = (0..16).step_by(2);
        let better = runs.filter(|run| !tried(run) && distance(*run) < best);
        assert_eq!(
            better.count(),
            0,
            "the best of all combinations is among the five"
        );
        let best = search.best.unwrap();
        assert_eq!(of_a(plan.needed_runs(&results)).len(), 6);
        assert_eq!(compared[0].runs, [best * 2 + 1]);
        assert_eq!(of_a(plan.possible_runs(&results)).len(), 6);
    }

    #[test]
    fn any_numbers_of_a_foreign_plan_are_a_search() {
        for (n_trials, n_startup, batch) in
            [(0, 0, 0), (usize::MAX, usize::MAX, usize::MAX), (3, 0, 9)]
        {
            let mut plan = plan_of(TPE);
            let tune = plan
                .experiment
                .sweep
                .as_mut()
                .and_then(|sweep| sweep.tune.as_mut());
            tune.unwrap().tpe = Some(Tpe {
                n_trials,
                n_startup: Some(n_startup),
                batch,
            });
            let mut results = vec![Open; 32];
            for _ in 0..9 {
                plan.possible_runs(&results);
                let search = plan.compare(&results)[0].search.clone().unwrap();
                for run in search.runs {
                    results[run] = Ended(Some(run as f64));
                }
            }
            let search = plan.compare(&results)[0].search.clone().unwrap();
            assert_eq!(search.combinations.len(), n_trials.clamp(1, 8));
            assert!(search.has_ended);
        }
    }

    #[test]
    fn a_search_by_results_goes_on_after_runs_that_diverge() {
        let plan = plan_of(TPE);
        let mut results = vec![Open; 32];
        for _ in 0..8 {
            let search = plan.compare(&results)[0].search.clone().unwrap();
            search
                .runs
                .iter()
                .for_each(|&run| results[run] = Ended(None));
        }
        let search = plan.compare(&results)[0].search.clone().unwrap();
        assert_eq!(
            (search.runs.len(), search.best, search.has_ended),
            (5, None, true)
        );
    }

    #[test]
    fn halving_ends_when_every_combination_has_failed() {
        let plan = plan_of(HALVING);
        let mut results = vec![Open; 48];
        for rate in 0..6 {
            results[rate * 4] = Ended(None);
        }
        let compared = plan.compare(&results);
        let search = compared[0].search.as_ref().unwrap();
        assert_eq!((search.best, search.has_ended), (None, true));
        assert_eq!(search.trained, [6, 0, 0]);
    }

    #[test]
    fn the_search_of_another_variant_is_not_waited_for() {
        let plan = plan_of(SWEEP);
        let mut results = with_search([Some(2.0), Some(1.0), Some(3.0)], [Some(1.0); 3]);
        results[15] = Open;
        assert_eq!(plan.needed_runs(&results), [0, 3, 4, 5, 6, 9, 12, 15]);
    }

    #[test]
    fn a_variant_that_fails_in_the_whole_search_is_not_compared() {
        let plan = plan_of(SWEEP);
        let results = with_search([Some(2.0), Some(1.0), Some(3.0)], [None; 3]);
        assert_eq!(plan.needed_runs(&results), [0, 3, 4, 5, 6, 9, 12, 15]);
        assert_eq!(plan.compare(&results)[1].comparison, None);
    }

    proptest! {
        /// Whatever the other runs end with, no run is needed later that was not possible before.
        #[test]
        fn possible_runs_contain_all_that_are_needed_later(
            values in prop::collection::vec(prop::option::weighted(0.9, 0.9..1.1), 18),
            order in prop::collection::vec(any::<u64>(), 18),
        ) {
            let plan = plan_of(SEQUENTIAL);
            let mut results = vec![Open; 18];
            let mut possible: Vec<usize> = (0..18).collect();
            for pick in order {
                let needed = plan.needed_runs(&results);
                let now = plan.possible_runs(&results);
                prop_assert!(needed.iter().all(|run| now.contains(run)));
                prop_assert!(now.iter().all(|run| possible.contains(run)));
                possible = now;
                let mut open = needed;
                open.retain(|&run| results[run] == Open);
                if open.is_empty() {
                    break;
                }
                let run = open[pick as usize % open.len()];
                results[run] = Ended(values[run]);
            }
            prop_assert_eq!(plan.needed_runs(&results), possible);
        }
    }
}
