//! Whatever ends a sweep at whatever moment, the same command gives the results of an uninterrupted one.

use crate::support::{Lab, Running, TINY, kill};
use crate::{Cases, SWEEP, choose, left_over};
use rand_chacha::ChaCha8Rng;
use runner::random::below;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

#[test]
fn killed_sweeps_lose_nothing() {
    campaign("kills", 3, |sweep, rng, deaths| {
        match below(rng, 3) {
            0 => sweep.signal("KILL"),
            1 => kill_a_worker(sweep, rng, deaths),
            _ => sweep.signal_all("KILL"),
        };
    });
}

#[test]
fn signals_lose_nothing() {
    campaign("signals", 3, |sweep, rng, _| {
        let signal = *choose(rng, &["INT", "TERM", "HUP", "QUIT", "PIPE", "USR1", "ABRT"]);
        match below(rng, 2) {
            0 => sweep.signal(signal),
            _ => sweep.signal_all(signal),
        }
    });
}

fn kill_a_worker(sweep: &Running, rng: &mut ChaCha8Rng, deaths: &mut Deaths) {
    let workers = sweep.workers();
    if workers.is_empty() {
        return;
    }
    let worker = *choose(rng, &workers);
    match run_of(worker) {
        Some(run) => *deaths.of_runs.entry(run).or_default() += 1,
        None => deaths.of_unknown_runs += 1,
    }
    kill("KILL", &worker.to_string());
}

/// Name of the run that a worker trains: it has opened the lock file in the folder of the run. `None` if it has not
/// come so far.
fn run_of(worker: u32) -> Option<String> {
    let files = fs::read_dir(format!("/proc/{worker}/fd")).ok()?;
    let targets = files
        .flatten()
        .filter_map(|file| fs::read_link(file.path()).ok());
    let folder = |target: PathBuf| {
        let folder = target.parent()?;
        let is_of_run = target.ends_with(".lock") && folder.parent()?.ends_with("runs");
        is_of_run.then(|| name_of(folder))
    };
    targets.filter_map(folder).next()
}

fn name_of(folder: &Path) -> String {
    folder.file_name().unwrap().to_str().unwrap().to_owned()
}

/// The workers that were killed while their sweep went on. Only by such kills may a run fail.
#[derive(Default)]
struct Deaths {
    of_runs: BTreeMap<String, u32>,
    of_unknown_runs: u32,
}

impl Deaths {
    fn of(&self, run: &str) -> u32 {
        self.of_runs.get(run).copied().unwrap_or(0) + self.of_unknown_runs
    }
}

/// The runs that have failed, with their reasons, and the runs whose worker has died, with the step of the checkpoint
/// from which they continue.
#[derive(Default)]
struct Records {
    failed: BTreeMap<String, String>,
    died_at: BTreeMap<String, u64>,
}

impl Records {
    fn read(lab: &Lab) -> Self {
        let mut records = Self::default();
        let folders = fs::read_dir(lab.path("results/tiny/runs"));
        for folder in folders.into_iter().flatten().flatten() {
            let json = |name: &str| -> Option<Value> {
                serde_json::from_slice(&fs::read(folder.path().join(name)).ok()?).ok()
            };
            let run = name_of(&folder.path());
            if let Some(step) = json("death.json").and_then(|death| death["step"].as_u64()) {
                records.died_at.insert(run.clone(), step);
            }
            if let Some(status) = json("status.json")
                && status["state"] == "failed"
            {
                let reason = status["reason"].as_str().unwrap().to_owned();
                records.failed.insert(run, reason);
            }
        }
        records
    }

    /// A run fails only if its worker has died twice after the same checkpoint. `before` are the records before the
    /// last sweep. Returns the number of runs that have failed in it.
    fn check_failures(&self, before: &Self, deaths: &Deaths) -> usize {
        let mut new = 0;
        for (run, reason) in &self.failed {
            if before.failed.get(run) == Some(reason) {
                continue; // the sweep was interrupted before it trained the run again
            }
            let is_of_step = |step: &u64| {
                reason.starts_with(&format!("its process ended twice after step {step}: "))
            };
            assert!(
                before.died_at.get(run).is_some_and(is_of_step) && deaths.of(run) >= 2,
                "{run}, of which {} workers were killed, is recorded as failed: {reason}",
                deaths.of(run)
            );
            new += 1;
        }
        new
    }
}

/// Interrupts sweeps at random moments until they end, and compares their results with those of an uninterrupted
/// one.
fn campaign(name: &str, least: u64, interrupt: impl Fn(&Running, &mut ChaCha8Rng, &mut Deaths)) {
    let uninterrupted = Lab::new(TINY);
    let start = Instant::now();
    uninterrupted.run(SWEEP).exits(0);
    let longest = start.elapsed().as_millis() as u64;
    let expected = uninterrupted.results();
    let (mut sweeps, mut interruptions, mut failures) = (0, 0, 0);
    for mut rng in Cases::new(name, least) {
        let lab = Lab::new(TINY);
        let (mut deaths, mut records) = (Deaths::default(), Records::default());
        for _ in 0..1 + below(&mut rng, 4) {
            let mut sweep = lab.start(&command(&records));
            std::thread::sleep(Duration::from_millis(below(&mut rng, longest)));
            if sweep.is_running() {
                interrupt(&sweep, &mut rng, &mut deaths);
                interruptions += 1;
            }
            sweep.wait();
            let before = std::mem::replace(&mut records, Records::read(&lab));
            failures += records.check_failures(&before, &deaths);
        }
        // The workers of a sweep that was killed end by themselves.
        let last = lab.run(&command(&records)).exits(0);
        assert_eq!(lab.results(), expected, "{}", last.stderr);
        assert_eq!(left_over(&lab.path("results")), [] as [PathBuf; 0]);
        lab.run("verify results/tiny").exits(0);
        sweeps += 1;
    }
    println!(
        "{name}: {interruptions} in {sweeps} sweeps; {failures} runs failed, all of them because their worker died \
         twice after the same step; no result lost, no bit changed, no file left over"
    );
}

/// The command that continues a sweep. Without `--retry-failed`, the last sweep does not train a run that is wrongly
/// recorded as failed.
fn command(records: &Records) -> String {
    match records.failed.is_empty() {
        true => SWEEP.to_owned(),
        false => format!("{SWEEP} --retry-failed"),
    }
}
