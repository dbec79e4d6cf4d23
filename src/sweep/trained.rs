//! How much of a run that has not ended need not be trained again.

use super::Store;
use crate::results::{Metric, PlannedRun, RunState};
use crate::train::{self, Device, ShorterRun};

/// The part of a run that has been trained.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Trained {
    pub step: u64,
    /// Share of the whole run, from 0 to 1.
    pub share: f64,
    /// Whether a worker trains the run at this moment.
    pub is_running: bool,
}

impl Trained {
    fn of_steps(run: &PlannedRun, step: u64) -> Self {
        let steps = run.spec.train.planned_steps();
        let share = steps.map_or(0.0, |steps| step as f64 / steps.max(1) as f64);
        Self {
            step,
            share: share.min(1.0),
            is_running: false,
        }
    }
}

impl Store {
    /// What has been trained of a run with this state: the steps so far if it is running, those of its last checkpoint
    /// if it was stopped, and those of the shorter run that it continues if it has not started. Nothing of a run that
    /// has ended is left to train, and nothing is returned for it.
    pub fn trained(&self, run: &PlannedRun, state: RunState, device: Device) -> Trained {
        if !matches!(state, RunState::NotStarted | RunState::Stopped) {
            return Trained::default();
        }
        let checkpoint = self.run_dir(run).checkpoint();
        let saved = train::saved_step(&checkpoint).map(|step| Trained {
            // The length of a run can be a time.
            share: train::saved_share(&checkpoint, &run.spec),
            ..Trained::of_steps(run, step)
        });
        if self.is_locked() && self.is_being_trained(run) {
            let metrics = self.run_dir(run).readable_metrics().unwrap_or_default();
            let logged = Trained::of_steps(run, metrics.last().map_or(0, Metric::step));
            let saved = saved.unwrap_or_default();
            return Trained {
                step: logged.step.max(saved.step),
                share: logged.share.max(saved.share),
                is_running: true,
            };
        }
        saved.unwrap_or_else(|| {
            let continued = self.continued_run(run, device);
            continued.map_or_else(Trained::default, |shorter| {
                Trained::of_steps(run, shorter.spec.train.steps)
            })
        })
    }

    /// The finished run with fewer steps that a run continues instead of starting from the beginning.
    pub fn continued_run(&self, run: &PlannedRun, device: Device) -> Option<ShorterRun> {
        if device != Device::Cpu {
            return None; // a GPU may give other results
        }
        let shorter = self.shorter_run(run)?;
        let is_possible = shorter.why_not_continued(&run.spec).is_none();
        is_possible.then_some(shorter)
    }
}
