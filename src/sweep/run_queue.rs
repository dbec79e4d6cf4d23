use super::eta::makespan;
use super::job_slots::{Capacity, Slots, slots};
use crate::results::{PlannedRun, RunState, SweepPlan};
use crate::train::{self, Estimate};
use std::collections::HashMap;

/// The runs to train, in order, and how the machine is divided among them. Neither changes a result.
#[derive(Debug)]
pub struct RunQueue {
    /// Indices into the runs of the plan, in the order of work.
    pub runs: Vec<usize>,
    /// One for each of `runs`.
    pub estimates: Vec<Estimate>,
    pub slots: Slots,
    pub capacity: Capacity,
}

impl RunQueue {
    /// Puts the runs to train in order, and chooses how many are trained at the same time.
    pub fn new(plan: &SweepPlan, runs: Vec<(usize, RunState)>, capacity: Capacity) -> Self {
        let runs = in_order(plan, runs);
        let estimates: Vec<Estimate> = runs.iter().map(|&run| estimate(plan, run)).collect();
        Self {
            slots: divided(plan, capacity, &estimates),
            runs,
            estimates,
            capacity,
        }
    }

    /// Estimated seconds of each run, with the threads that it gets.
    pub fn seconds(&self) -> impl Iterator<Item = f64> {
        let threads = self.slots.threads;
        self.estimates
            .iter()
            .map(move |estimate| estimate.seconds_on(threads))
    }

    /// Estimated seconds until all runs have ended.
    pub fn total_seconds(&self) -> f64 {
        makespan(&[], &self.seconds().collect::<Vec<_>>(), self.slots.jobs)
    }
}

/// Divides the machine among runs of the plan. Runs of a sweep that are trained for a fixed time are only
/// comparable with the same number of threads.
pub(super) fn divided(plan: &SweepPlan, capacity: Capacity, runs: &[Estimate]) -> Slots {
    let is_timed = |run: &PlannedRun| run.spec.train.planned_steps().is_none();
    let are_compared = plan.experiment.sweep.is_some();
    slots(
        capacity,
        runs,
        are_compared && plan.runs.iter().any(is_timed),
    )
}

/// The estimate of a run of the plan.
pub(super) fn estimate(plan: &SweepPlan, run: usize) -> Estimate {
    let run = &plan.runs[run];
    train::estimate(&run.spec, &plan.corpora[run.corpus])
}

/// The order of work: stopped runs first, then the first seed of every variant at every size, the smallest first, then
/// the second. A sweep that ends early has then compared as many variants as possible.
fn in_order(plan: &SweepPlan, mut runs: Vec<(usize, RunState)>) -> Vec<usize> {
    let mut seeds_before = HashMap::new();
    let rank: Vec<(usize, usize)> = plan
        .runs
        .iter()
        .map(|run| {
            let size = run.smaller_size.unwrap_or(usize::MAX);
            let before = seeds_before.entry((&run.spec.variant, size)).or_insert(0);
            *before += 1;
            (*before, size)
        })
        .collect();
    runs.sort_by_key(|&(run, state)| (state != RunState::Stopped, rank[run], run));
    runs.into_iter().map(|(run, _)| run).collect()
}

#[cfg(test)]
mod tests {
    use super::super::job_slots::Jobs;
    use super::super::machine::Machine;
    use super::*;
    use crate::results::testing::plan_of;
    use crate::train::Device;

    #[test]
    fn stopped_run_comes_first_and_then_a_seed_of_every_variant() {
        let text = "{name: x, sweep: {seeds: [7, 3], variants: {a: {}, b: {model: {n_layer: 2}}}}}";
        let plan = plan_of(text); // a7 a3 b7 b3
        let new = |run| (run, RunState::NotStarted);
        assert_eq!(in_order(&plan, (0..4).map(new).collect()), [0, 2, 1, 3]);
        let stopped = (3, RunState::Stopped);
        assert_eq!(in_order(&plan, vec![new(0), new(1), stopped]), [3, 0, 1]);
    }

    #[test]
    fn compared_runs_of_a_fixed_time_get_equal_threads() {
        let capacity = Capacity {
            jobs: Jobs::Auto,
            device: Device::Cpu,
            machine: Machine {
                cores: 8,
                free_memory_mb: None,
            },
        };
        let threads_of_last_run = |text: &str| {
            let plan = plan_of(text);
            let last = (plan.runs.len() - 1, RunState::NotStarted);
            RunQueue::new(&plan, vec![last], capacity).slots.threads
        };
        let sweep = "sweep: {seeds: 2, variants: {a: {}, b: {train: {seconds: 5}}}}";
        assert_eq!(threads_of_last_run(&format!("{{name: x, {sweep}}}")), 1);
        let untimed = sweep.replace("seconds", "steps");
        assert_eq!(threads_of_last_run(&format!("{{name: x, {untimed}}}")), 8);
        // A single run is compared with nothing.
        assert_eq!(threads_of_last_run("{name: x, train: {seconds: 5}}"), 8);
    }
}
