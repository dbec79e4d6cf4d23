//! How many runs at a time, with how many threads each, and in what order. None of it changes a
//! result.

use super::{Machine, Standing};
use crate::record::SweepPlan;
use crate::train::Device;
use std::collections::HashMap;
use std::str::FromStr;

/// Work in a step, in FLOPs, up to which a second thread is better spent on a second run: a core
/// does it in a fraction of a second, and separate runs never wait for each other.
const FLOPS_PER_THREAD: f64 = 5e10;

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

/// What a run asks of the machine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    pub flops_per_step: f64,
    pub memory_mb: f64,
}

/// How many children at a time, and how many threads each has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slots {
    pub jobs: usize,
    pub threads: usize,
}

/// Divides the machine among runs. A number that was asked for is kept; `auto` gives each run as
/// many threads as its steps can feed, and no more runs at a time than fit in memory.
pub fn slots(wish: Jobs, device: Device, loads: &[Load], machine: Machine) -> Slots {
    let wanted = match (wish, device) {
        (Jobs::Exactly(jobs), _) => jobs,
        (Jobs::Auto, Device::Cuda(_)) => 1,
        (Jobs::Auto, Device::Cpu) => {
            let largest = |of: fn(&Load) -> f64| loads.iter().map(of).fold(0.0, f64::max);
            let threads = (largest(|load| load.flops_per_step) / FLOPS_PER_THREAD).ceil();
            let by_cores = machine.cores / (threads as usize).clamp(1, machine.cores);
            let by_memory = machine.free_memory_mb.map_or(usize::MAX, |free| {
                (MEMORY_SHARE * free / largest(|load| load.memory_mb).max(1.0)) as usize
            });
            by_cores.min(by_memory)
        }
    };
    let jobs = wanted.clamp(1, loads.len().max(1));
    Slots {
        jobs,
        threads: (machine.cores / jobs).max(1),
    }
}

/// The order of work: what was stopped first, then the first seed of every variant, then the
/// second, so that a sweep that is stopped early has compared as much as it could.
pub fn order(plan: &SweepPlan, mut todo: Vec<(usize, Standing)>) -> Vec<usize> {
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
    todo.sort_by_key(|&(run, standing)| (standing != Standing::Stopped, rank[run], run));
    todo.into_iter().map(|(run, _)| run).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: Machine = Machine {
        cores: 8,
        free_memory_mb: Some(10_000.0),
    };

    fn auto(runs: usize, flops_per_step: f64, memory_mb: f64) -> (usize, usize) {
        let load = Load {
            flops_per_step,
            memory_mb,
        };
        let slots = slots(Jobs::Auto, Device::Cpu, &vec![load; runs], MACHINE);
        (slots.jobs, slots.threads)
    }

    #[test]
    fn small_models_get_a_thread_each_and_big_ones_several() {
        assert_eq!(auto(20, 1e9, 100.0), (8, 1));
        assert_eq!(auto(20, 1.6e11, 100.0), (2, 4));
        assert_eq!(auto(20, 1e13, 100.0), (1, 8));
    }

    #[test]
    fn cores_left_over_by_few_runs_become_threads() {
        assert_eq!(auto(3, 1e9, 100.0), (3, 2));
        assert_eq!(auto(1, 1e9, 100.0), (1, 8));
        assert_eq!(auto(0, 1e9, 100.0), (1, 8));
    }

    #[test]
    fn memory_limits_what_runs_at_a_time() {
        assert_eq!(auto(20, 1e9, 3_900.0), (2, 4));
        assert_eq!(auto(20, 1e9, 100_000.0), (1, 8));
    }

    #[test]
    fn a_stopped_run_comes_first_and_then_a_seed_of_every_variant() {
        let text = "{name: x, sweep: {seeds: [7, 3], variants: {a: {}, b: {model: {n_layer: 2}}}}}";
        let document = crate::config::from_text("x.yaml", text, &[]).unwrap();
        let runs = document.expand().unwrap().runs.into_iter();
        let planned = |spec: crate::spec::RunSpec| crate::record::PlannedRun {
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
        let todo = |run| (run, Standing::NotStarted);
        assert_eq!(order(&plan, (0..4).map(todo).collect()), [0, 2, 1, 3]);
        let stopped = (3, Standing::Stopped);
        assert_eq!(order(&plan, vec![todo(0), todo(1), stopped]), [3, 0, 1]);
    }

    #[test]
    fn a_number_is_kept_and_a_gpu_has_one_job() {
        let loads = [Load {
            flops_per_step: 1e13,
            memory_mb: 1e6,
        }; 20];
        let given = slots(Jobs::Exactly(16), Device::Cpu, &loads, MACHINE);
        assert_eq!((given.jobs, given.threads), (16, 1));
        let gpu = slots(Jobs::Auto, Device::Cuda(0), &loads, MACHINE);
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
