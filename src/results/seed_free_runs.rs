//! Runs whose result does not depend on the seed. One of them says what all of them would say.

use super::{PlannedRun, SweepPlan};

impl SweepPlan {
    /// Whether a run has the same result with every seed: n-gram models are counted and not trained. Times and
    /// memory are measurements, which vary from run to run.
    pub fn is_seed_free(&self, run: &PlannedRun) -> bool {
        !run.spec.model.kind.is_trained() && !self.experiment.compare.metric.is_measurement()
    }

    /// Whether a run has the result of the run before it, with another seed. Such a run is not needed, and not
    /// counted if there is one.
    pub fn repeats_a_result(&self, run: usize) -> bool {
        let Some(before) = run.checked_sub(1).and_then(|before| self.runs.get(before)) else {
            return false;
        };
        let run = &self.runs[run];
        let part = |run: &PlannedRun| (run.tuned, run.smaller_size);
        let have_same_settings =
            run.spec.variant == before.spec.variant && part(run) == part(before);
        have_same_settings && self.is_seed_free(run)
    }

    /// Removes the runs that would repeat a result.
    pub fn remove_repetitions(&mut self) {
        let is_kept: Vec<bool> = (0..self.runs.len())
            .map(|run| !self.repeats_a_result(run))
            .collect();
        let mut is_kept = is_kept.into_iter();
        self.runs.retain(|_| is_kept.next() == Some(true));
    }
}

#[cfg(test)]
mod tests {
    use crate::results::testing::plan_of;
    use crate::results::{RunResult, SweepPlan, VariantComparison};
    use RunResult::{Ended, Open};

    /// Three seeds of a trained variant, of counts of pairs and of counts of triples, with `a` as the baseline.
    fn plan(variants: &str, settings: &str) -> SweepPlan {
        plan_of(&format!(
            "{{name: x, {settings} sweep: {{seeds: 3, variants: {{{variants}}}}}}}"
        ))
    }

    const PAIRS: &str = "{model: {kind: ngram, order: 2}}";
    const TRIPLES: &str = "{model: {kind: ngram, order: 3}}";

    fn ended(values: &[f64]) -> Vec<RunResult> {
        values.iter().map(|value| Ended(Some(*value))).collect()
    }

    fn difference(compared: &VariantComparison) -> (usize, f64, bool, Option<f64>) {
        let comparison = compared.comparison.as_ref().unwrap();
        let interval = comparison
            .corrected
            .map(|interval| interval.high - interval.low);
        (
            comparison.pairs,
            comparison.mean,
            comparison.is_exact,
            interval,
        )
    }

    #[test]
    fn further_seeds_of_counts_are_neither_planned_nor_needed() {
        let mut plan = plan(&format!("a: {{}}, b: {PAIRS}"), "");
        let needed = [0, 1, 2, 3];
        assert_eq!(plan.needed_runs(&[Open; 6]), needed);
        assert_eq!(plan.possible_runs(&[Open; 6]), needed);
        plan.remove_repetitions();
        let seeds: Vec<u64> = plan.runs.iter().map(|run| run.spec.seed).collect();
        assert_eq!(seeds, [1, 2, 3, 1]);
        assert_eq!(plan.needed_runs(&[Open; 4]), needed);
    }

    #[test]
    fn every_seed_of_a_measured_time_is_needed() {
        let plan = plan(
            &format!("a: {{}}, b: {PAIRS}"),
            "compare: {metric: tokens_per_second},",
        );
        assert_eq!(plan.needed_runs(&[Open; 6]), [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn each_combination_of_a_search_is_counted_once() {
        let plan = plan_of(
            "{name: x, sweep: {seeds: 2, tune: {grid: {model.order: [2, 3]}, seeds: 2}, \
             variants: {a: {model: {kind: ngram}}, b: {}}}}",
        );
        let of_a = |runs: Vec<usize>| -> Vec<(usize, bool, u64)> {
            let runs = runs.into_iter().map(|run| &plan.runs[run]);
            let of_a = runs.filter(|run| run.spec.variant == "a");
            of_a.map(|run| {
                let tuned = run.tuned.unwrap();
                (tuned.combination, tuned.is_search, run.spec.seed)
            })
            .collect()
        };
        let open = vec![Open; plan.runs.len()];
        let searched = of_a(plan.needed_runs(&open));
        assert_eq!(searched.len(), 2, "{searched:?}");
        assert!(searched.iter().all(|(_, is_search, _)| *is_search));
        let all = vec![Ended(Some(1.0)); plan.runs.len()];
        let compared = of_a(plan.needed_runs(&all));
        assert_eq!(compared.len(), 3, "{compared:?}");
    }

    #[test]
    fn the_spread_against_a_trained_model_is_that_of_its_seeds() {
        let plan = plan(&format!("a: {{}}, b: {PAIRS}"), "");
        // The records of further seeds are not counted, whatever they say.
        let results = ended(&[1.0, 1.1, 1.2, 3.0, 9.0, 9.0]);
        let compared = plan.compare(&results);
        assert_eq!(compared[1].values, [(1, 3.0)]);
        // Student's t with 2 degrees of freedom: 2 * 4.3027 * 0.1 / sqrt(3).
        let width = 0.496_83;
        let is_close = |a: f64, b: f64| (a - b).abs() < 1e-4;
        let (pairs, mean, is_exact, interval) = difference(&compared[1]);
        assert_eq!((pairs, is_exact), (3, false));
        assert!(is_close(mean, 1.9) && is_close(interval.unwrap(), width));

        let mut reversed = plan.clone();
        reversed.baseline = "b".to_owned();
        let (pairs, mean, is_exact, interval) = difference(&reversed.compare(&results)[0]);
        assert_eq!((pairs, is_exact), (3, false));
        assert!(is_close(mean, -1.9) && is_close(interval.unwrap(), width));
    }

    #[test]
    fn two_counts_differ_exactly_and_without_an_interval() {
        let plan = plan(&format!("a: {PAIRS}, b: {TRIPLES}"), "");
        let results = ended(&[3.0, 3.0, 3.0, 2.5, 2.5, 2.5]);
        let compared = plan.compare(&results);
        assert_eq!(difference(&compared[1]), (1, -0.5, true, None));
        assert_eq!(compared[1].seeds_to_decide, None);
    }

    #[test]
    fn a_sequential_design_adds_seeds_to_the_trained_side_only() {
        let plan = plan_of(&format!(
            "{{name: x, sweep: {{seeds: {{min: 3, max: 6, until: decided}}, \
             variants: {{a: {{}}, b: {PAIRS}}}}}}}"
        ));
        let mut results = ended(&[1.0, 1.1, 1.2]);
        results.extend([Open; 3]);
        results.push(Ended(Some(1.1)));
        results.extend([Open; 5]);
        assert_eq!(plan.needed_runs(&results), [0, 1, 2, 3, 6]);
        assert_eq!(plan.possible_runs(&results), [0, 1, 2, 3, 4, 5, 6]);
        results[6] = Ended(Some(9.0));
        assert_eq!(plan.needed_runs(&results), [0, 1, 2, 6]);
    }
}
