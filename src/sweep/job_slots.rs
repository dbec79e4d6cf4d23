//! How many runs at a time, with how many threads each, and in what order. None of it changes a
//! result.

use super::{Machine, makespan};
use crate::results::RunState;
use crate::results::SweepPlan;
use crate::train::{Device, Estimate};
use std::collections::HashMap;
use std::str::FromStr;

/// Share of the free memory that `auto` plans with.
const MEMORY_SHARE: f64 = 0.8;

/// What `--jobs` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Jobs {
    Auto,
    Exactly(usize),
}

impl FromStr for Jobs {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.parse()) {
            ("auto", _) => Ok(Self::Auto),
            (_, Ok(n @ 1..)) => Ok(Self::Exactly(n)),
            _ => Err("jobs are a number from 1, or auto".to_owned()),
        }
    }
}

/// How many children at a time, and how many threads each has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slots {
    pub jobs: usize,
    pub threads: usize,
}

/// Divides the machine among runs. A number that was asked for is kept; `auto` takes what ends
/// soonest by the estimates, and no more runs at a time than fit in memory.
pub fn slots(wish: Jobs, device: Device, runs: &[Estimate], machine: Machine) -> Slots {
    let at_a_time = |jobs: usize| {
        let jobs = jobs.clamp(1, runs.len().max(1));
        Slots {
            jobs,
            threads: (machine.cores / jobs).max(1),
        }
    };
    match (wish, device) {
        (Jobs::Exactly(jobs), _) => at_a_time(jobs),
        (Jobs::Auto, Device::Cuda(_)) => at_a_time(1),
        (Jobs::Auto, Device::Cpu) => {
            let most = fitting(runs, machine);
            // From many runs with a thread each to one with all of them: where two take as long, the
            // first is better, as separate runs never wait for each other.
            let ways =
                (1..=machine.cores).map(|threads| at_a_time((machine.cores / threads).min(most)));
            let seconds = |slots: &Slots| {
                let each: Vec<f64> = runs
                    .iter()
                    .map(|run| run.seconds_on(slots.threads))
                    .collect();
                makespan(&[], &each, slots.jobs)
            };
            ways.min_by(|a, b| seconds(a).total_cmp(&seconds(b)))
                .unwrap_or_else(|| at_a_time(1))
        }
    }
}

/// Runs that fit in memory at a time.
fn fitting(runs: &[Estimate], machine: Machine) -> usize {
    let largest = runs.iter().map(|run| run.memory_mb).fold(1.0, f64::max);
    machine
        .free_memory_mb
        .map_or(usize::MAX, |free| (MEMORY_SHARE * free / largest) as usize)
}

/// The order of work: what was stopped first, then the first seed of every variant, then the
/// second, so that a sweep that is stopped early has compared as much as it could.
pub fn order(plan: &SweepPlan, mut todo: Vec<(usize, RunState)>) -> Vec<usize> {
    let mut seeds_before = HashMap::new();
    let rank: Vec<usize> = plan
        .runs
        .iter()
        .map(|run| {
            let before = seeds_before.entry(&run.spec.variant).or_insert(0);
            *before += 1;
            *before
        })
        .collect();
    todo.sort_by_key(|&(run, state)| (state != RunState::Stopped, rank[run], run));
    todo.into_iter().map(|(run, _)| run).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: Machine = Machine {
        cores: 8,
        free_memory_mb: Some(10_000.0),
    };

    const SMALL: Estimate = Estimate {
        seconds: 2.0,
        memory_mb: 40.0,
        steps: 1000,
        shards: 2,
    };
    const LARGE: Estimate = Estimate {
        seconds: 1000.0,
        memory_mb: 900.0,
        steps: 1000,
        shards: 4,
    };

    fn auto(runs: usize, run: Estimate, free_memory_mb: f64) -> (usize, usize) {
        let machine = Machine {
            free_memory_mb: Some(free_memory_mb),
            ..MACHINE
        };
        let slots = slots(Jobs::Auto, Device::Cpu, &vec![run; runs], machine);
        (slots.jobs, slots.threads)
    }

    #[test]
    fn many_runs_go_side_by_side_whatever_their_size() {
        assert_eq!(auto(16, SMALL, 1e5), (8, 1));
        assert_eq!(auto(16, LARGE, 1e5), (8, 1));
    }

    #[test]
    fn cores_left_over_by_few_runs_become_threads() {
        assert_eq!(auto(3, SMALL, 1e5), (3, 2));
        assert_eq!(auto(1, SMALL, 1e5), (1, 8));
        assert_eq!(auto(0, SMALL, 1e5), (1, 8));
    }

    #[test]
    fn the_last_of_nine_large_runs_is_not_left_alone_with_one_of_eight_cores() {
        let (jobs, threads) = auto(9, LARGE, 1e5);
        assert!(jobs < 8 && threads > 1, "{jobs} at a time, {threads} each");
    }

    #[test]
    fn memory_limits_what_runs_at_a_time() {
        assert_eq!(auto(20, SMALL, 110.0), (2, 4));
        assert_eq!(auto(20, LARGE, 110.0), (1, 8));
    }

    #[test]
    fn a_stopped_run_comes_first_and_then_a_seed_of_every_variant() {
        let text = "{name: x, sweep: {seeds: [7, 3], variants: {a: {}, b: {model: {n_layer: 2}}}}}";
        let document = crate::config::from_text("x.yaml", text, &[]).unwrap();
        let runs = document.expand().unwrap().runs.into_iter();
        let planned = |spec: crate::spec::RunSpec| crate::results::PlannedRun {
            name: spec.variant.clone(),
            identity: String::new(),
            corpus: 0,
            params: 0,
            params_non_embedding: 0,
            flops_per_token: 0.0,
            spec,
        };
        let plan = SweepPlan {
            experiment: document.experiment().clone(),
            baseline: "a".to_owned(),
            command: String::new(),
            version: String::new(),
            config_hash: String::new(),
            machine: String::new(),
            corpora: Vec::new(),
            runs: runs.map(planned).collect(), // a7 a3 b7 b3
        };
        let todo = |run| (run, RunState::NotStarted);
        assert_eq!(order(&plan, (0..4).map(todo).collect()), [0, 2, 1, 3]);
        let stopped = (3, RunState::Stopped);
        assert_eq!(order(&plan, vec![todo(0), todo(1), stopped]), [3, 0, 1]);
    }

    #[test]
    fn a_number_is_kept_and_a_gpu_has_one_job() {
        let given = slots(Jobs::Exactly(16), Device::Cpu, &[LARGE; 20], MACHINE);
        assert_eq!((given.jobs, given.threads), (16, 1));
        let gpu = slots(Jobs::Auto, Device::Cuda(0), &[LARGE; 20], MACHINE);
        assert_eq!((gpu.jobs, gpu.threads), (1, 8));
    }

    #[test]
    fn reads_numbers_from_one() {
        assert_eq!("3".parse(), Ok(Jobs::Exactly(3)));
        assert_eq!("auto".parse(), Ok(Jobs::Auto));
        for text in ["0", "-1", "two", ""] {
            assert!(text.parse::<Jobs>().is_err(), "{text}");
        }
    }
}
