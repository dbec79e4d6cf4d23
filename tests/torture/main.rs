//! Campaigns that attack the program at random, against the promises of the README. tests/README.md lists them.
//!
//! `cargo test` runs a few cases of each. `tests/torture.sh MINUTES` runs many, and prints their figures.

mod contention;
mod damage;
mod disk_full;
mod interruptions;
mod power_loss;
#[path = "../command_line/support.rs"]
#[expect(dead_code, reason = "the tests of the command line use the rest")]
mod support;

use rand_chacha::ChaCha8Rng;
use runner::random::{Stream, below};
use std::env;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Number of campaigns, which share the time.
const CAMPAIGNS: f64 = 7.0;

/// A checkpoint every few steps, and enough steps that a sweep can be interrupted in between.
const SWEEP: &str = "sweep tiny.yaml --jobs 2 train.steps=150 train.eval_every=50";

/// The cases of a campaign.
struct Cases {
    stream: Stream,
    next: u64,
    least: u64,
    end: Option<Instant>,
}

impl Cases {
    /// At least this many cases, and more until the campaign's share of the time is over.
    fn new(name: &str, least: u64) -> Self {
        let number = |variable: &str| env::var(variable).ok()?.parse::<f64>().ok();
        let minutes = number("RUNNER_TORTURE_MINUTES");
        let seed = number("RUNNER_TORTURE_SEED").unwrap_or(1.0) as u64;
        let time = minutes.map(|minutes| Duration::from_secs_f64(minutes * 60.0 / CAMPAIGNS));
        Self {
            stream: Stream::new(seed, name),
            next: 0,
            least,
            end: time.map(|time| Instant::now() + time),
        }
    }
}

impl Iterator for Cases {
    /// The random numbers of a case.
    type Item = ChaCha8Rng;

    fn next(&mut self) -> Option<ChaCha8Rng> {
        let is_over = self.end.is_none_or(|end| Instant::now() > end);
        if self.next >= self.least && is_over {
            return None;
        }
        self.next += 1;
        Some(self.stream.at(self.next))
    }
}

/// One of some items.
fn choose<'a, T>(rng: &mut ChaCha8Rng, items: &'a [T]) -> &'a T {
    &items[below(rng, items.len() as u64) as usize]
}

/// All files in a folder and its subfolders, sorted.
fn files_in(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files.extend(files_in(&path)),
            false => files.push(path),
        }
    }
    files.sort();
    files
}

/// The files that a killed process has left and no later one has removed.
fn left_over(folder: &Path) -> Vec<PathBuf> {
    let mut files = files_in(folder);
    files.retain(|path| {
        let inside = path.strip_prefix(folder).unwrap();
        let mut parts = inside.iter().map(|part| part.to_string_lossy());
        let starts = [".partial", ".removed", ".tmp"];
        parts.any(|part| starts.iter().any(|start| part.starts_with(start)))
    });
    files
}
