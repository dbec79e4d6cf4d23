use super::{RunResult, SweepPlan};
use crate::stats::mean;

impl SweepPlan {
    /// Indices of the runs that the sweep can have in the end, in the order of the plan: those of the search,
    /// and those of the comparison with one combination of each variant. Before the best one is known, it is
    /// the first.
    pub fn possible_runs(&self, results: &[RunResult]) -> Vec<usize> {
        let all: Vec<Indexed> = results.iter().copied().enumerate().collect();
        let variant = |run: &Indexed| self.runs[run.0].spec.variant.as_str();
        let possible = all
            .chunk_by(|a, b| variant(a) == variant(b))
            .flat_map(|runs| {
                let search = Search::of(self, runs);
                let first = search
                    .as_ref()
                    .and_then(|search| Some(search.combinations.first()?.0));
                let combination = search.and_then(|search| search.best).or(first);
                let is_possible = move |&(index, _): &Indexed| match self.runs[index].tuned {
                    Some(run) => run.is_search || Some(run.combination) == combination,
                    None => true,
                };
                let indices = runs.iter().copied().filter(is_possible);
                indices.map(|(index, _)| index)
            });
        possible.collect()
    }
}

/// What is known of one variant.
pub(super) struct VariantRuns<'a> {
    pub(super) name: &'a str,
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

impl<'a> VariantRuns<'a> {
    /// The variants of a plan, in its order.
    pub(super) fn all(plan: &'a SweepPlan, results: &[RunResult]) -> Vec<Self> {
        let runs: Vec<Indexed> = results.iter().copied().enumerate().collect();
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
                    runs: compared.map(with_seed).collect(),
                    search,
                }
            })
            .collect()
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

impl Search {
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

    /// For each variant: one run of the search and two of the comparison, with each of three rates.
    const SWEEP: &str = "{name: x, sweep: {seeds: 2, tune: {grid: {optimizer.lr: [1, 2, 3]}}, \
                         variants: {a: {}, b: {model: {n_layer: 2}}}}}";

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
}
