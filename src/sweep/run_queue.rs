use super::Store;
use super::eta::makespan;
use super::job_slots::{Capacity, Slots, slots};
use crate::results::{PlannedRun, RunState, SweepPlan};
use crate::train::{self, Device, Estimate};
use std::collections::HashMap;

/// A run that has not ended.
#[derive(Debug, Clone, Copy)]
pub struct OpenRun {
    /// Index into the runs of the plan.
    pub run: usize,
    pub state: RunState,
    /// The share of it that has been trained, from 0 to 1.
    pub trained: f64,
}

impl OpenRun {
    #[cfg(test)]
    pub(super) fn not_started(run: usize) -> Self {
        Self {
            run,
            state: RunState::NotStarted,
            trained: 0.0,
        }
    }

    /// The run of a plan with this index and state, which would be trained on `device`.
    pub fn new(
        store: &Store,
        plan: &SweepPlan,
        (run, state): (usize, RunState),
        device: Device,
    ) -> Self {
        Self {
            run,
            state,
            trained: store.trained(&plan.runs[run], state, device).share,
        }
    }
}

/// The runs to train, in order, and how the machine is divided among them. Neither changes a result.
#[derive(Debug)]
pub struct RunQueue {
    /// In the order of work, each with the estimate of the whole run.
    pub(super) open: Vec<(OpenRun, Estimate)>,
    pub slots: Slots,
    pub capacity: Capacity,
}

impl RunQueue {
    /// Puts the runs to train in order, and chooses how many are trained at the same time.
    pub fn new(plan: &SweepPlan, runs: Vec<OpenRun>, capacity: Capacity) -> Self {
        let runs = in_order(plan, runs);
        let open: Vec<_> = runs
            .into_iter()
            .map(|open| (open, estimate(plan, open.run)))
            .collect();
        let left: Vec<Estimate> = open.iter().map(left).collect();
        Self {
            slots: divided(plan, capacity, &left),
            open,
            capacity,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Indices into the runs of the plan, in the order of work.
    pub fn runs(&self) -> impl ExactSizeIterator<Item = usize> {
        self.open.iter().map(|(open, _)| open.run)
    }

    /// Estimated seconds that are left of each run, with the threads that it gets.
    fn seconds(&self) -> impl Iterator<Item = f64> {
        let threads = self.slots.threads;
        let left = self.open.iter().map(left);
        left.map(move |estimate| estimate.seconds_on(threads))
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

/// The estimate of what is left of a run.
fn left((open, estimate): &(OpenRun, Estimate)) -> Estimate {
    estimate.left(open.trained)
}

/// The estimate of a run of the plan.
pub(super) fn estimate(plan: &SweepPlan, run: usize) -> Estimate {
    let run = &plan.runs[run];
    train::estimate(&run.spec, &plan.corpora[run.corpus])
}

/// The order of work: stopped runs first, then the first seed of every variant at every size, the smallest first, then
/// the second. A sweep that ends early has then compared as many variants as possible.
fn in_order(plan: &SweepPlan, mut runs: Vec<OpenRun>) -> Vec<OpenRun> {
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
    runs.sort_by_key(|&OpenRun { run, state, .. }| (state != RunState::Stopped, rank[run], run));
    runs
}

#[cfg(test)]
mod tests {
    use super::super::job_slots::Jobs;
    use super::super::machine::Machine;
    use super::*;
    use crate::results::testing::plan_of;
    use crate::train::Device;

    fn stopped(run: usize, trained: f64) -> OpenRun {
        OpenRun {
            run,
            state: RunState::Stopped,
            trained,
        }
    }

    #[test]
    fn trained_steps_cost_no_time() {
        let capacity = Capacity {
            jobs: Jobs::Exactly(1),
            device: Device::Cpu,
            machine: Machine {
                cores: 1,
                free_memory_mb: None,
            },
        };
        for text in ["{name: x}", "{name: x, train: {seconds: 5}}"] {
            let plan = plan_of(text);
            let seconds = |trained| {
                let run = stopped(0, trained);
                RunQueue::new(&plan, vec![run], capacity).total_seconds()
            };
            let whole = seconds(0.0);
            assert!((seconds(0.75) / whole - 0.25).abs() < 1e-9, "{text}");
        }
    }

    #[test]
    fn stopped_run_comes_first_and_then_a_seed_of_every_variant() {
        let text = "{name: x, sweep: {seeds: [7, 3], variants: {a: {}, b: {model: {n_layer: 2}}}}}";
        let plan = plan_of(text); // a7 a3 b7 b3
        let order = |runs| in_order(&plan, runs).into_iter().map(|open| open.run);
        let all: Vec<usize> = order((0..4).map(OpenRun::not_started).collect()).collect();
        assert_eq!(all, [0, 2, 1, 3]);
        let some: Vec<usize> = order(vec![
            OpenRun::not_started(0),
            OpenRun::not_started(1),
            stopped(3, 0.5),
        ])
        .collect();
        assert_eq!(some, [3, 0, 1]);
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
            let last = OpenRun::not_started(plan.runs.len() - 1);
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
