//! A power failure at any moment: contents that were written and not synced are lost. Names are kept.
//!
//! A library in C logs the writes and syncs of the program and kills it. The test then shortens every file to its
//! synced bytes. Needs a C compiler and a dynamically linked C library, as on Linux.

use crate::support::{Lab, TINY};
use crate::{Cases, SWEEP, files_in};
use runner::random::below;
use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn power_failures_lose_nothing() {
    let uninterrupted = Lab::new(TINY);
    uninterrupted.run(SWEEP).exits(0);
    let expected = uninterrupted.results();
    let library_folder = tempfile::tempdir().unwrap();
    let library = compile(library_folder.path());
    let all = sweep_until(&library, u64::MAX).1;
    assert!(all > 100, "the library sees the writes: {all}");
    let (mut failures, mut bytes) = (0, 0);
    for mut rng in Cases::new("power loss", 3) {
        let (lab, _) = sweep_until(&library, 1 + below(&mut rng, all));
        bytes += drop_unsynced(&lab);
        lab.run(SWEEP).exits(0);
        assert_eq!(lab.results(), expected);
        lab.run("verify results/tiny").exits(0);
        failures += 1;
    }
    println!(
        "power loss: {failures} failures, {bytes} bytes lost before they were synced; no bit changed"
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

/// Starts a sweep that is killed at an event, and returns the number of events.
fn sweep_until(library: &Path, event: u64) -> (Lab, u64) {
    let lab = Lab::new(TINY);
    let counter = lab.path("counter");
    fs::write(&counter, [0; 8]).unwrap();
    let mut sweep = Command::new(env!("CARGO_BIN_EXE_runner"));
    sweep
        .args(SWEEP.split_whitespace())
        .current_dir(lab.path(""));
    sweep.env("LD_PRELOAD", library);
    sweep.env("POWER_LOSS_AT", event.min(i64::MAX as u64).to_string());
    sweep.env("POWER_LOSS_LOG", lab.path("log"));
    sweep.env("POWER_LOSS_COUNTER", &counter);
    // The library kills the group of the sweep.
    sweep.process_group(0).output().unwrap();
    let events = u64::from_le_bytes(fs::read(&counter).unwrap().try_into().unwrap());
    (lab, events)
}

/// Removes the bytes that were not synced, and returns their number.
fn drop_unsynced(lab: &Lab) -> u64 {
    let mut synced: HashMap<u64, u64> = HashMap::new();
    for line in fs::read_to_string(lab.path("log")).unwrap().lines() {
        let mut fields = line.split(' ');
        let kind = fields.next().unwrap();
        let mut number = || fields.next()?.parse::<u64>().ok();
        let (Some(inode), Some(size)) = (number(), number()) else {
            continue; // the process was killed while it wrote the line
        };
        match kind {
            "S" => drop(synced.insert(inode, size)),
            // A new file can have the number of one that was removed.
            _ if size == 0 => drop(synced.insert(inode, 0)),
            _ => drop(synced.entry(inode).or_insert(size)),
        }
    }
    let files = files_in(&lab.path("results")).into_iter();
    let lost = files.map(|path| {
        let found = fs::metadata(&path).unwrap();
        let kept = synced.get(&found.ino()).copied().unwrap_or(found.len());
        if kept >= found.len() {
            return 0;
        }
        let name = path.file_name().unwrap().to_str().unwrap();
        let is_final = ["status.json", "plan.json", "state"]
            .iter()
            .any(|start| name.starts_with(start));
        assert!(!is_final, "{name} got its name before it was synced");
        File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(kept)
            .unwrap();
        found.len() - kept
    });
    lost.sum()
}
