//! What the files of a results folder say about a sweep that may be running.

use crate::cli::Error;
use crate::report::{self, Summary};
use crate::results::{Metric, PlannedRun, RunState, Sealed, SweepPlan};
use crate::sweep::Store;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// Time between two computations of the verdicts, if no run has ended.
const SUMMARY_INTERVAL: Duration = Duration::from_secs(20);

/// The speed of a run is measured over at most this time.
const SPEED_WINDOW: Duration = Duration::from_secs(30);

pub(super) struct SweepState {
    folder: PathBuf,
    plan: Sealed<SweepPlan>,
    store: Store,
    /// The runs that are needed according to the results so far.
    pub(super) runs: Vec<RunProgress>,
    pub(super) summary: Option<Summary>,
    summarized: Option<Instant>,
    /// When the plan was written.
    plan_changed: Option<SystemTime>,
    /// The runs that have ended, which need not be read again, by their index in the plan.
    ended: HashMap<usize, RunProgress>,
    /// Steps of the active runs at earlier times, by their index in the plan.
    history: HashMap<usize, Vec<(Instant, u64)>>,
}

/// One run.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RunProgress {
    pub(super) name: String,
    pub(super) variant: String,
    /// Index of its size, the smallest first. 0 without sizes.
    pub(super) size: usize,
    pub(super) state: Activity,
    pub(super) step: u64,
    /// Number of steps, if it is known.
    pub(super) steps: Option<u64>,
    /// Loss of the last recorded step, in nats per token.
    pub(super) loss: Option<f64>,
    /// (step, bits per byte) of its evaluations.
    pub(super) evaluations: Vec<(f64, f64)>,
    pub(super) tokens_per_second: Option<f64>,
    pub(super) seconds_left: Option<f64>,
    /// FLOPs that are left.
    flops_left: f64,
    /// FLOPs in a second.
    flops_per_second: Option<f64>,
}

/// What a run is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Activity {
    /// A process trains it.
    Running,
    Is(RunState),
}

impl Activity {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Is(state) => state.name(),
        }
    }

    pub(super) fn has_ended(self) -> bool {
        matches!(
            self,
            Self::Is(RunState::Done | RunState::Failed | RunState::Diverged)
        )
    }
}

impl SweepState {
    pub(super) fn new(folder: &Path, plan: Sealed<SweepPlan>) -> Self {
        Self {
            store: Store::open_readonly(folder.to_owned()),
            folder: folder.to_owned(),
            plan,
            runs: Vec::new(),
            summary: None,
            summarized: None,
            plan_changed: None,
            ended: HashMap::new(),
            history: HashMap::new(),
        }
    }

    pub(super) fn experiment(&self) -> (&str, &str) {
        let experiment = &self.plan.value.experiment;
        (&experiment.name, experiment.description.trim())
    }

    /// Reads the folder again.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub(super) fn refresh(&mut self) -> Result<(), Error> {
        let changed = fs::metadata(self.folder.join("plan.json")).and_then(|file| file.modified());
        let changed = changed.ok();
        // Another sweep has written its plan, or the folder has gone, which is an error.
        if changed.is_none() || changed != self.plan_changed {
            self.plan = report::read_plan(&self.folder).map_err(Error::Report)?;
            self.plan_changed = changed;
            self.ended.clear();
            self.history.clear();
        }
        let plan = &self.plan.value;
        let is_locked = self.store.is_locked();
        let ended_before = self.ended.len();
        let mut runs = Vec::new();
        for index in self.store.needed_runs(plan)? {
            let run = &plan.runs[index];
            if let Some(ended) = self.ended.get(&index)
                && self.store.has_status(run)
            {
                runs.push(ended.clone());
                continue;
            }
            let mut progress = RunProgress::read(&self.store, run, is_locked)?;
            progress.size = run.smaller_size.unwrap_or(plan.sizes() - 1);
            if progress.state.has_ended() {
                self.ended.insert(index, progress.clone());
            } else if progress.state == Activity::Running {
                let history = self.history.entry(index).or_default();
                if let Some(steps_per_second) = speed(history, progress.step) {
                    progress.set_speed(run, steps_per_second);
                }
            }
            runs.push(progress);
        }
        self.runs = runs;
        let is_old = self
            .summarized
            .is_none_or(|time| time.elapsed() > SUMMARY_INTERVAL);
        if self.ended.len() != ended_before || is_old {
            let summary = report::summarize(&self.folder, self.plan.clone());
            self.summary = Some(summary.map_err(Error::Report)?);
            self.summarized = Some(Instant::now());
        }
        Ok(())
    }

    /// Number of runs that have ended, and of all that are needed.
    pub(super) fn ended(&self) -> (usize, usize) {
        let ended = self.runs.iter().filter(|run| run.state.has_ended());
        (ended.count(), self.runs.len())
    }

    /// Seconds until all runs have ended, at the present speed.
    pub(super) fn seconds_left(&self) -> Option<f64> {
        let left: f64 = self.runs.iter().map(|run| run.flops_left).sum();
        let speed: f64 = self
            .runs
            .iter()
            .filter_map(|run| run.flops_per_second)
            .sum();
        (speed > 0.0).then(|| left / speed)
    }

    /// Number of sizes at which the variants are trained.
    pub(super) fn sizes(&self) -> usize {
        self.plan.value.sizes()
    }

    /// Names of the variants, in the order of the plan.
    pub(super) fn variants(&self) -> Vec<&str> {
        let mut variants: Vec<&str> = self.runs.iter().map(|run| run.variant.as_str()).collect();
        variants.dedup();
        variants
    }
}

impl RunProgress {
    fn read(store: &Store, run: &PlannedRun, is_locked: bool) -> Result<Self, Error> {
        let state = store.state(run)?;
        let metrics = store.run_dir(run).readable_metrics();
        let metrics = metrics.map_err(Error::Record)?;
        let step = metrics.last().map_or(0, Metric::step);
        let steps = run.spec.train.planned_steps();
        let is_open = matches!(state, RunState::Stopped | RunState::NotStarted);
        let left = steps.filter(|_| is_open);
        let left = left.map_or(0, |steps| steps.saturating_sub(step));
        Ok(Self {
            name: run.title(),
            variant: run.spec.variant.clone(),
            size: 0,
            state: match is_open && is_locked && store.is_being_trained(run) {
                true => Activity::Running,
                false => Activity::Is(state),
            },
            step,
            steps,
            loss: metrics.iter().rev().find_map(|metric| match metric {
                Metric::Step(step) => Some(step.loss),
                Metric::Eval(_) => None,
            }),
            evaluations: metrics
                .iter()
                .filter_map(Metric::evaluation)
                .map(|evaluation| (evaluation.step as f64, evaluation.bits_per_byte))
                .collect(),
            tokens_per_second: None,
            seconds_left: None,
            flops_left: left as f64 * run.spec.tokens_per_step() as f64 * run.flops_per_token,
            flops_per_second: None,
        })
    }

    fn set_speed(&mut self, run: &PlannedRun, steps_per_second: f64) {
        let tokens_per_second = steps_per_second * run.spec.tokens_per_step() as f64;
        let steps = self.steps.map(|steps| steps.saturating_sub(self.step));
        self.tokens_per_second = Some(tokens_per_second);
        self.seconds_left = steps.map(|steps| steps as f64 / steps_per_second);
        self.flops_per_second = Some(tokens_per_second * run.flops_per_token);
    }
}

/// Steps per second since the first look in the window. Adds this look.
fn speed(history: &mut Vec<(Instant, u64)>, step: u64) -> Option<f64> {
    let now = Instant::now();
    history.retain(|(time, earlier)| time.elapsed() < SPEED_WINDOW && *earlier <= step);
    history.push((now, step));
    let (start, first) = history[0];
    let seconds = now.duration_since(start).as_secs_f64();
    (step > first).then(|| (step - first) as f64 / seconds)
}

#[cfg(test)]
impl SweepState {
    /// A state without a folder.
    pub(super) fn of(plan: SweepPlan, runs: Vec<RunProgress>, summary: Option<Summary>) -> Self {
        Self {
            runs,
            summary,
            ..Self::new(Path::new("absent"), Sealed::verified(plan))
        }
    }
}

#[cfg(test)]
impl RunProgress {
    pub(super) fn example(variant: &str, seed: u64, state: Activity, step: u64) -> Self {
        let loss = |step: u64| 4.0 - 0.02 * step as f64;
        Self {
            name: format!("{variant}-s{seed}-0a1b2c3d"),
            variant: variant.to_owned(),
            size: 0,
            state,
            step,
            steps: Some(100),
            loss: (step > 0).then(|| loss(step)),
            evaluations: (0..=step)
                .step_by(10)
                .map(|step| (step as f64, loss(step)))
                .collect(),
            tokens_per_second: (state == Activity::Running).then_some(12_345.0),
            seconds_left: (state == Activity::Running).then_some(75.0),
            flops_left: 1e9 * (100 - step) as f64,
            flops_per_second: (state == Activity::Running).then_some(1e9),
        }
    }
}
