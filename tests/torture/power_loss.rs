//! A power failure at any moment, also of a sweep that continues after one: contents that were written and not synced
//! are lost, and so are changes of names in folders that were not synced.
//!
//! A library in C logs the writes, syncs and changes of names of the program, and kills it. The test then undoes what
//! was not synced. Needs a C compiler and a dynamically linked C library, as on Linux.

mod log;

use crate::support::{Lab, TINY};
use crate::{Cases, SWEEP};
use log::Log;
use runner::random::below;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Steps between two checkpoints of the experiment.
const CHECKPOINT_EVERY: u64 = 5;

#[test]
fn power_failures_lose_nothing() {
    let uninterrupted = Lab::new(TINY);
    uninterrupted.run(SWEEP).exits(0);
    let expected = uninterrupted.results();
    let library_folder = tempfile::tempdir().unwrap();
    let library = compile(library_folder.path());
    let all = sweep_until(&library, &Lab::new(TINY), u64::MAX).events;
    assert!(all > 100, "the library sees the writes: {all}");
    let (mut failures, mut bytes, mut names, mut resumed) = (0, 0, 0, 0);
    for mut rng in Cases::new("power loss", 3) {
        let lab = Lab::new(TINY);
        let first = 1 + below(&mut rng, all);
        // Shortly after the sweep has continued, or at any time. It has fewer events, and may end before.
        let second = match below(&mut rng, 2) {
            0 => 1 + below(&mut rng, all / 10),
            _ => 1 + below(&mut rng, all - first / 2),
        };
        let failures_of_case = 1 + below(&mut rng, 2) as usize;
        let mut continued = BTreeMap::new();
        for &event in &[first, second][..failures_of_case] {
            let sweep = sweep_until(&library, &lab, event);
            assert_continued(&sweep.said, &continued, sweep.has_ended);
            continued.retain(|run, _| !has_ended(&lab, run));
            if sweep.has_ended {
                break;
            }
            for (run, step) in runs_with_checkpoints(&lab) {
                let before = continued.entry(run).or_insert(step);
                *before = step.max(*before);
            }
            let share = match below(&mut rng, 3) {
                0 => 0.0,
                1 => 1.0,
                _ => below(&mut rng, 100) as f64 / 100.0,
            };
            let log = Log::read(&lab.path("log"));
            names += log.undo_names(&lab.path("results"), &lab.path("kept"), share);
            bytes += log.drop_unsynced(&lab.path("results"));
            failures += 1;
        }
        let last = lab.run(SWEEP).exits(0);
        assert_continued(&last.stderr, &continued, true);
        resumed += continued.len();
        assert_eq!(lab.results(), expected);
        lab.run("verify results/tiny").exits(0);
    }
    println!(
        "power loss: {failures} failures, {bytes} bytes and {names} changes of names lost before they were synced; \
         {resumed} runs continued from a checkpoint; no bit changed"
    );
}

fn compile(folder: &Path) -> PathBuf {
    let library = folder.join("power_loss.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/torture/power_loss.c");
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let mut command = Command::new(compiler);
    command
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .arg(&library)
        .arg(source)
        .arg("-ldl");
    assert!(command.status().unwrap().success());
    library
}

/// A sweep that was killed at an event, or has ended before it.
struct Sweep {
    events: u64,
    has_ended: bool,
    /// Its standard error.
    said: String,
}

fn sweep_until(library: &Path, lab: &Lab, event: u64) -> Sweep {
    let (counter, log, kept) = (lab.path("counter"), lab.path("log"), lab.path("kept"));
    fs::write(&counter, [0; 16]).unwrap();
    fs::write(&log, "").unwrap();
    // What the failure before has lost stays lost.
    let _ = fs::remove_dir_all(&kept);
    fs::create_dir(&kept).unwrap();
    let mut sweep = Command::new(env!("CARGO_BIN_EXE_runner"));
    sweep
        .args(SWEEP.split_whitespace())
        .current_dir(lab.path(""));
    sweep.env("LD_PRELOAD", library);
    sweep.env("POWER_LOSS_AT", event.min(i64::MAX as u64).to_string());
    sweep.env("POWER_LOSS_LOG", &log);
    sweep.env("POWER_LOSS_COUNTER", &counter);
    sweep.env("POWER_LOSS_KEPT", &kept);
    // The library kills the group of the sweep.
    let output = sweep.process_group(0).output().unwrap();
    let counts = fs::read(&counter).unwrap();
    let events = u64::from_le_bytes(counts[..8].try_into().unwrap());
    Sweep {
        events,
        has_ended: events < event,
        said: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn has_ended(lab: &Lab, run: &str) -> bool {
    let folder = lab.path("results/tiny/runs").join(run);
    folder.join("status.json").exists()
}

/// The runs that have not ended and have written a checkpoint that cannot be lost, with its step. It follows from the
/// metrics: the first step after a checkpoint is taken when the checkpoint is complete.
fn runs_with_checkpoints(lab: &Lab) -> BTreeMap<String, u64> {
    let folders = fs::read_dir(lab.path("results/tiny/runs"));
    let mut runs = BTreeMap::new();
    for folder in folders.into_iter().flatten().flatten() {
        let run = folder.file_name().into_string().unwrap();
        if has_ended(lab, &run) {
            continue;
        }
        let metrics = fs::read_to_string(folder.path().join("metrics.jsonl")).unwrap_or_default();
        let steps = metrics.lines().filter_map(|line| {
            let metric: Value = serde_json::from_str(line).ok()?;
            metric["step"].as_u64()
        });
        let last = steps.max().unwrap_or(0);
        let step = last.saturating_sub(1) / CHECKPOINT_EVERY * CHECKPOINT_EVERY;
        if step > 0 {
            runs.insert(run, step);
        }
    }
    runs
}

/// A sweep says that each of these runs continues from this step or a later one, and takes it back for none. A sweep
/// that was killed may not have come to a run.
fn assert_continued(said: &str, runs: &BTreeMap<String, u64>, is_complete: bool) {
    for (run, step) in runs {
        let start = format!("{run}: ");
        let begun = said.lines().find_map(|line| line.strip_prefix(&start));
        let from = begun.and_then(|begun| begun.strip_prefix("continues from step "));
        let from = from.and_then(|step| step.parse::<u64>().ok());
        let is_open = begun.is_none() && !is_complete;
        assert!(
            is_open || from.is_some_and(|from| from >= *step),
            "{run} had a checkpoint of step {step}: {said}"
        );
    }
    assert!(!said.contains("cannot continue from"), "{said}");
    assert!(!said.contains("is trained again"), "{said}");
}
