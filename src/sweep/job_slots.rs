//! How many runs are trained at the same time, and with how many threads each. Neither changes a
//! result.

use super::eta::makespan;
use super::machine::Machine;
use crate::train::{Device, Estimate};
use std::str::FromStr;

/// Share of the free memory that `auto` uses.
const MEMORY_SHARE: f64 = 0.8;

/// The value of `--jobs`.
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
            _ => Err("expected a number from 1, or `auto`".to_owned()),
        }
    }
}

/// What the runs of a sweep are trained on.
#[derive(Debug, Clone, Copy)]
pub struct Capacity {
    pub jobs: Jobs,
    pub device: Device,
    pub machine: Machine,
}

/// Number of runs that are trained at the same time, and threads of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slots {
    pub jobs: usize,
    pub threads: usize,
}

/// Divides the machine among runs. An exact number of jobs is kept. `auto` chooses the division with
/// the earliest estimated end, among those in which the runs fit in memory. If none fits, it trains one run on
/// one thread.
///
/// `are_equal` gives every run the same number of threads, whichever runs are left: one with `auto`.
pub(super) fn slots(capacity: Capacity, runs: &[Estimate], are_equal: bool) -> Slots {
    let Capacity {
        jobs,
        device,
        machine,
    } = capacity;
    let with_jobs = |jobs: usize| {
        let jobs = jobs.clamp(1, runs.len().max(1));
        Slots {
            jobs,
            threads: (machine.cores / jobs).max(1),
        }
    };
    match (jobs, device) {
        (Jobs::Exactly(jobs), _) if are_equal => Slots {
            threads: (machine.cores / jobs).max(1),
            ..with_jobs(jobs)
        },
        (Jobs::Auto, Device::Cpu) if are_equal => {
            let on_one_thread = |jobs| Slots {
                threads: 1,
                ..with_jobs(jobs)
            };
            let mut divisions = (1..=machine.cores).rev().map(on_one_thread);
            divisions
                .find(|slots| fit_in_memory(runs, machine, *slots))
                .unwrap_or_else(|| on_one_thread(1))
        }
        (Jobs::Exactly(jobs), _) => with_jobs(jobs),
        (Jobs::Auto, Device::Cuda(_)) => with_jobs(1),
        (Jobs::Auto, Device::Cpu) => {
            // From many runs with one thread each to one run with all threads, or as many as fit in
            // memory. Of two divisions that take equally long the first is better, because separate runs
            // never wait for each other.
            let fitting = |jobs| {
                let all = with_jobs(jobs);
                let mut fewer = (1..=all.threads)
                    .rev()
                    .map(|threads| Slots { threads, ..all });
                fewer.find(|slots| fit_in_memory(runs, machine, *slots))
            };
            let divisions = (1..=machine.cores).rev().filter_map(fitting);
            let seconds = |slots: &Slots| {
                let each: Vec<f64> = runs
                    .iter()
                    .map(|run| run.seconds_on(slots.threads))
                    .collect();
                makespan(&[], &each, slots.jobs)
            };
            divisions
                .min_by(|a, b| seconds(a).total_cmp(&seconds(b)))
                .unwrap_or(Slots {
                    jobs: 1,
                    threads: 1,
                })
        }
    }
}

/// Whether the runs fit in memory with this division, whichever of them are trained at the same time.
fn fit_in_memory(runs: &[Estimate], machine: Machine, slots: Slots) -> bool {
    let memory = runs.iter().map(|run| run.memory.on(slots.threads));
    let largest = memory.fold(0.0, f64::max);
    machine
        .free_memory_mb
        .is_none_or(|free| slots.jobs as f64 * largest <= MEMORY_SHARE * free)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::MemoryEstimate;

    const MACHINE: Machine = Machine {
        cores: 8,
        free_memory_mb: Some(10_000.0),
    };

    const fn memory(fixed: f64) -> MemoryEstimate {
        MemoryEstimate {
            fixed,
            thread: 0.0,
            gradients: 0.0,
            saved_by_sharing: 0.0,
            shard: 0.0,
            shards: 1,
            chunk: 0.0,
            chunks: 1,
            saving: 0.0,
        }
    }

    const SMALL: Estimate = Estimate {
        fixed_seconds: 0.0,
        seconds: 2.0,
        memory: memory(40.0),
        steps: 1000,
        shards: 2,
    };
    const LARGE: Estimate = Estimate {
        fixed_seconds: 0.0,
        seconds: 1000.0,
        memory: memory(900.0),
        steps: 1000,
        shards: 4,
    };

    fn auto(runs: usize, run: Estimate, free_memory_mb: f64) -> (usize, usize) {
        let machine = Machine {
            free_memory_mb: Some(free_memory_mb),
            ..MACHINE
        };
        let capacity = Capacity {
            jobs: Jobs::Auto,
            device: Device::Cpu,
            machine,
        };
        let slots = slots(capacity, &vec![run; runs], false);
        (slots.jobs, slots.threads)
    }

    #[test]
    fn many_runs_get_one_thread_each() {
        assert_eq!(auto(16, SMALL, 1e5), (8, 1));
        assert_eq!(auto(16, LARGE, 1e5), (8, 1));
    }

    #[test]
    fn few_runs_share_all_cores() {
        assert_eq!(auto(3, SMALL, 1e5), (3, 2));
        assert_eq!(auto(1, SMALL, 1e5), (1, 8));
        assert_eq!(auto(0, SMALL, 1e5), (1, 8));
    }

    #[test]
    fn nine_large_runs_get_more_than_one_thread_each_on_eight_cores() {
        let (jobs, threads) = auto(9, LARGE, 1e5);
        assert!(jobs < 8 && threads > 1, "{jobs} at a time, {threads} each");
    }

    #[test]
    fn memory_limits_the_number_of_jobs() {
        assert_eq!(auto(20, SMALL, 110.0), (2, 4));
        // Not even one fits.
        assert_eq!(auto(20, LARGE, 110.0), (1, 1));
    }

    #[test]
    fn threads_of_a_run_need_memory_too() {
        let run = Estimate {
            memory: MemoryEstimate {
                thread: 50.0,
                shards: 8,
                ..memory(100.0)
            },
            ..LARGE
        };
        // Four runs on two threads each would take 800 MiB.
        assert_eq!(auto(4, run, 1e5), (4, 2));
        assert_eq!(auto(4, run, 900.0), (2, 4));
        // One run on eight threads would take 500 MiB, and 320 MiB may be used.
        assert_eq!(auto(1, run, 400.0), (1, 4));
        // Two runs on two threads each take 400 MiB. Without them, two runs on one thread each would fit, but
        // they would end later than one run after the other on four.
        assert_eq!(auto(2, run, 500.0), (2, 2));
        assert_eq!(auto(2, run, 400.0), (1, 4));
        assert_eq!(auto(2, run, 200.0), (1, 1));
    }

    #[test]
    fn exact_number_is_kept_and_a_gpu_has_one_job() {
        let capacity = |jobs, device| Capacity {
            jobs,
            device,
            machine: MACHINE,
        };
        let given = slots(
            capacity(Jobs::Exactly(16), Device::Cpu),
            &[LARGE; 20],
            false,
        );
        assert_eq!((given.jobs, given.threads), (16, 1));
        let gpu = slots(capacity(Jobs::Auto, Device::Cuda(0)), &[LARGE; 20], false);
        assert_eq!((gpu.jobs, gpu.threads), (1, 8));
    }

    #[test]
    fn equal_runs_get_the_same_threads_whichever_are_left() {
        let equal = |jobs, device, runs, free_memory_mb| {
            let machine = Machine {
                free_memory_mb: Some(free_memory_mb),
                ..MACHINE
            };
            let capacity = Capacity {
                jobs,
                device,
                machine,
            };
            let slots = slots(capacity, &vec![LARGE; runs], true);
            (slots.jobs, slots.threads)
        };
        for left in [1, 3, 9, 20] {
            let auto = equal(Jobs::Auto, Device::Cpu, left, 1e5);
            assert_eq!(auto, (left.min(8), 1));
            let exactly = equal(Jobs::Exactly(2), Device::Cpu, left, 1e5);
            assert_eq!(exactly, (left.min(2), 4));
            let gpu = equal(Jobs::Auto, Device::Cuda(0), left, 1e5);
            assert_eq!(gpu, (1, 8));
        }
        assert_eq!(equal(Jobs::Auto, Device::Cpu, 20, 2400.0), (2, 1));
        assert_eq!(equal(Jobs::Exactly(16), Device::Cpu, 20, 1e5), (16, 1));
    }

    #[test]
    fn accepts_numbers_from_one_and_auto() {
        assert_eq!("3".parse(), Ok(Jobs::Exactly(3)));
        assert_eq!("auto".parse(), Ok(Jobs::Auto));
        for text in ["0", "-1", "two", ""] {
            assert!(text.parse::<Jobs>().is_err(), "{text}");
        }
    }
}
