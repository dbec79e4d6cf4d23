//! Verification of recorded results: by their digests, and by training runs again.

use super::executor::{RunEnd, WorkerRequest};
use super::machine::Machine;
use super::store::Store;
use crate::config::check_run;
use crate::data;
use crate::model::{WeightsError, have_same_weights};
use crate::random::{self, Stream};
use crate::regular_file::is_present;
use crate::results::{
    Metric, Outcome, PlannedRun, RecordError, RunDir, RunState, SweepPlan, Thoroughness,
};
use crate::train;
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// What the files of a run say about themselves.
#[derive(Debug)]
pub enum RunCheck {
    /// Every file is as the run wrote it.
    Verified {
        /// Whether the weights were deleted, such as to save space.
        lacks_weights: bool,
    },
    /// The run was trained by an earlier version, which wrote no digests.
    NotVerified,
    /// A file is damaged or unreadable.
    Damaged(RecordError),
    /// The run has not ended.
    NotEnded,
}

impl Store {
    /// Compares all files of a run with its record.
    pub fn verify(&self, run: &PlannedRun) -> RunCheck {
        let dir = self.run_dir(run);
        match dir.checked_record(run, Thoroughness::Everything) {
            Ok(Some(record)) if record.is_verified => RunCheck::Verified {
                lacks_weights: record.lists(&dir.weights()) && !is_present(&dir.weights()),
            },
            Ok(Some(_)) => RunCheck::NotVerified,
            Ok(None) => match train::check_open_run(&dir) {
                Ok(()) => RunCheck::NotEnded,
                Err(error) => RunCheck::Damaged(error),
            },
            Err(error) => RunCheck::Damaged(error),
        }
    }
}

/// Chooses up to `count` of some runs at random, in a random order.
pub fn choose_runs(mut runs: Vec<usize>, count: usize, seed: u64) -> Vec<usize> {
    let mut rng = Stream::new(seed, "verify").at(0);
    random::shuffle(&mut rng, &mut runs);
    runs.truncate(count);
    runs
}

/// Why a run cannot be compared with one that is trained again. `None` if it can.
pub fn why_not_comparable(run: &PlannedRun, device: &str) -> Option<&'static str> {
    if run.spec.train.planned_steps().is_none() {
        return Some("its length is a time, so its number of steps depends on the machine");
    }
    (device != "cpu").then_some("it was trained on a GPU, whose results are not reproducible")
}

/// A run that was trained again.
#[derive(Debug)]
pub struct Retrained {
    pub dir: RunDir,
    pub outcome: Outcome,
}

/// Trains a run of a plan again, in `folder`, with all cores of this machine.
///
/// # Errors
/// Why it was not trained to its end.
pub fn train_again(plan: &SweepPlan, run: &PlannedRun, folder: &Path) -> Result<Retrained, String> {
    let cache = folder.join("cache");
    let spec = &run.spec;
    check_run(spec)?;
    let info = data::prepare(&spec.data, &spec.tokenizer, &cache);
    let info = info.map_err(|error| error.to_string())?;
    if info.content_sha256() != plan.corpora[run.corpus].content_sha256() {
        return Err("the text or the tokenizer is not that of the recorded run".to_owned());
    }
    let dir = RunDir::new(folder.join("runs").join(&run.name));
    let created = dir.create(spec);
    created.map_err(|error| format!("cannot write in {}: {error}", dir.path().display()))?;
    let request = WorkerRequest {
        run_dir: dir.path().to_owned(),
        cache,
        corpus: info.key,
        gpu: None,
        threads: Machine::of_this_process().cores,
        extends: None,
    };
    let status = match request.train(&AtomicBool::new(false), &mut |_| {}) {
        RunEnd::Recorded(status) => status,
        RunEnd::MachineFailed(failure) | RunEnd::Died(failure) => return Err(failure.reason),
        RunEnd::Stopped => return Err("it was stopped".to_owned()),
    };
    match status.outcome {
        Some(outcome) if status.state == RunState::Done => Ok(Retrained { dir, outcome }),
        _ => Err(status.reason),
    }
}

/// Why two runs could not be compared.
#[derive(Debug, thiserror::Error)]
pub enum DifferenceError {
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Weights(#[from] WeightsError),
}

/// The first difference between the files of a recorded run and those of the same run trained again. `None` if all
/// losses and weights have the same bits.
///
/// # Errors
/// If a file cannot be read.
pub fn first_difference(
    recorded: &RunDir,
    again: &RunDir,
) -> Result<Option<String>, DifferenceError> {
    let record = recorded.record()?;
    let recorded_metrics = without_times(recorded.metrics(record.as_ref())?);
    let metrics = without_times(again.metrics(None)?);
    if recorded_metrics.len() != metrics.len() {
        return Ok(Some(format!(
            "metrics.jsonl has {} lines instead of {}",
            metrics.len(),
            recorded_metrics.len()
        )));
    }
    let mut pairs = recorded_metrics.iter().zip(&metrics);
    if let Some((before, now)) = pairs.find(|(before, now)| before != now) {
        let lines = [before, now].map(|metric| serde_json::to_string(metric).unwrap_or_default());
        return Ok(Some(format!("{} instead of {}", lines[1], lines[0])));
    }
    // The weights may have been deleted to save space.
    let weights = recorded.weights();
    let differ = is_present(&weights) && !have_same_weights(&weights, &again.weights())?;
    Ok(differ.then(|| "the losses agree, but the weights differ".to_owned()))
}

/// Times are not reproducible.
fn without_times(mut metrics: Vec<Metric>) -> Vec<Metric> {
    for metric in &mut metrics {
        if let Metric::Eval(evaluation) = metric {
            evaluation.seconds = 0.0;
        }
    }
    metrics
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choice_of_runs_depends_on_the_seed_only() {
        let all: Vec<usize> = (0..20).collect();
        let chosen = choose_runs(all.clone(), 5, 1);
        assert_eq!(chosen, choose_runs(all.clone(), 5, 1));
        assert_ne!(chosen, choose_runs(all.clone(), 5, 2));
        let mut every = choose_runs(all.clone(), 100, 3);
        every.sort_unstable();
        assert_eq!(every, all);
    }
}
