//! Measures the cost of NaN checks and of other busy processes:
//! `cargo bench --bench overheads -- [THREADS] [SECONDS]`. Prints a table of ratios to a plain step: with
//! `train.detect_anomaly`, and beside as many busy processes as there are threads.

mod setup;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getppid};
use runner::kernels::{CpuBackend, NanCheckBackend};
use setup::{SIZES, Training};
use std::env;
use std::hint::black_box;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The measuring time is divided into this many rounds. Each measures all kinds of steps in turn.
const ROUNDS: u32 = 9;

/// The argument with which this program only keeps a core busy.
const BUSY: &str = "busy";

fn main() {
    let arguments: Vec<String> = env::args().skip(1).filter(|a| a != "--bench").collect();
    if arguments.first().is_some_and(|argument| argument == BUSY) {
        let parent = getppid();
        while getppid() == parent {
            (0..1_000_000).for_each(|i| {
                black_box(i);
            });
        }
        return;
    }
    setup::in_the_environment_of_a_worker();
    let argument =
        |i: usize, default: &str| arguments.get(i).map_or(default.to_owned(), Clone::clone);
    let threads: usize = argument(0, "2").parse().expect("a number of threads");
    let seconds: f64 = argument(1, "9").parse().expect("a number of seconds");
    let slice = Duration::from_secs_f64(seconds / f64::from(ROUNDS) / 3.0);
    let busy_processes = BusyProcesses::new(threads);
    println!(
        "| Size | Tokens/s | Time with `detect_anomaly` / without | Time beside {threads} busy processes / alone |"
    );
    println!("|:--|--:|--:|--:|");
    for size in &SIZES {
        let [plain, checked, beside] = setup::on_threads(threads, || {
            let mut plain = Training::<CpuBackend>::new(size);
            let mut checked = Training::<NanCheckBackend<CpuBackend>>::new(size);
            let mut figures = [const { Vec::new() }; 3];
            for _ in 0..=ROUNDS {
                let alone = seconds_of(slice, || plain.step());
                figures[0].push(size.tokens() as f64 / alone);
                figures[1].push(seconds_of(slice, || checked.step()) / alone);
                let busy = busy_processes.run(|| seconds_of(slice, || plain.step()));
                figures[2].push(busy / alone);
            }
            figures.map(|figures| median(figures[1..].to_vec())) // the first round warms up
        });
        println!(
            "| {} | {plain:.0} | {checked:.3} | {beside:.2} |",
            size.name
        );
    }
}

/// Mean seconds of a call, of as many as there is time for, but at least one.
fn seconds_of(time: Duration, mut work: impl FnMut()) -> f64 {
    let started = Instant::now();
    for calls in 1.. {
        work();
        let elapsed = started.elapsed();
        if elapsed >= time {
            return elapsed.as_secs_f64() / f64::from(calls);
        }
    }
    unreachable!("the time ends before the numbers do")
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Processes that keep a core busy each. They are stopped most of the time.
struct BusyProcesses(Vec<Child>);

impl BusyProcesses {
    fn new(count: usize) -> Self {
        let start = || {
            let program = env::current_exe().expect("this program's path");
            let child = Command::new(program).arg(BUSY).stdin(Stdio::null()).spawn();
            child.expect("a process")
        };
        let processes = Self((0..count).map(|_| start()).collect());
        processes.signal(Signal::SIGSTOP);
        processes
    }

    /// Runs `work` beside them.
    fn run<R>(&self, work: impl FnOnce() -> R) -> R {
        self.signal(Signal::SIGCONT);
        let result = work();
        self.signal(Signal::SIGSTOP);
        result
    }

    fn signal(&self, signal: Signal) {
        for child in &self.0 {
            let pid = Pid::from_raw(child.id().try_into().expect("a process id"));
            kill(pid, signal).expect("the process is there");
        }
    }
}

impl Drop for BusyProcesses {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
