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
            let is_search = |run: &&Indexed| self.runs[run.0].is_search();
            let is_compared = move |run: &&Indexed| match self.runs[run.0].tuned {
                Some(run) => !run.is_search && Some(run.combination) == combination,
                None => true,
            };
            let searched = runs.iter().filter(is_search);
            let compared = runs.iter().filter(is_compared).take(seeds);
            searched.chain(compared).map(|(index, _)| *index)
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

/// The search for the best settings of a variant.
#[derive(Debug, Clone, PartialEq)]
pub struct Search {
    /// Indices in the plan of its runs.
    pub runs: Vec<usize>,
    /// (number of the combination, mean of the metric over the seeds of the search). The mean is `None` if
    /// a run has not ended, or has no finite value.
    pub combinations: Vec<(usize, Option<f64>)>,
    /// Number of the best combination. `None` if a run has not ended, and if no combination has a mean.
    pub best: Option<usize>,
    /// Whether all of its runs have ended.
    pub has_ended: bool,
}

/// A run of a variant: its index in the plan, and what is known of it.
type Indexed = (usize, RunResult);

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

impl Search {
    /// Number of the best combination, or of the first one while the search has not ended.
    fn likely_combination(&self) -> Option<usize> {
        match self.has_ended {
            true => self.best,
            false => self.combinations.first().map(|(number, _)| *number),
        }
    }

    /// The search among the runs of a variant. `None` without one.
    fn of(plan: &SweepPlan, runs: &[Indexed]) -> Option<Self> {
        let searched = |run: &Indexed| {
            let tuned = plan.runs[run.0].tuned.filter(|run| run.is_search)?;
            Some((tuned.combination, *run))
        };
        let runs: Vec<(usize, Indexed)> = runs.iter().filter_map(searched).collect();
        if runs.is_empty() {
            return None;
        }
        // The runs of a combination follow each other.
        let groups = runs.chunk_by(|(a, _), (b, _)| a == b);
        let combinations: Vec<(usize, Option<f64>)> = groups
            .map(|group| {
                let value = |(_, (_, result)): &(usize, Indexed)| {
                    result.value().filter(|value| value.is_finite())
                };
                let values: Option<Vec<f64>> = group.iter().map(value).collect();
                (group[0].0, values.and_then(|values| mean(&values)))
            })
            .collect();
        let has_ended = runs
            .iter()
            .all(|(_, (_, result))| *result != RunResult::Open);
        let sign = match plan.experiment.compare.metric.is_better_higher() {
            true => -1.0,
            false => 1.0,
        };
        let known = combinations
            .iter()
            .filter_map(|&(index, mean)| Some((index, mean?)));
        let best = known.min_by(|(_, a), (_, b)| (sign * a).total_cmp(&(sign * b)));
        Some(Self {
            runs: runs.iter().map(|(_, (index, _))| *index).collect(),
            combinations,
            best: best.map(|(index, _)| index).filter(|_| has_ended),
            has_ended,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::testing::plan_of;
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
