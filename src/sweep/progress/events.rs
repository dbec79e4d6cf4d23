//! What happens in a sweep as lines of JSON, for programs. `experiments/programs.md` describes them.

use super::{Observer, SweepProgress};
use crate::config::values_at;
use crate::results::{PlannedRun, RunState, RunStatus, SweepPlan};
use crate::train::{Phase, Progress};
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::time::{Duration, Instant};

/// Time between two events about the progress of a run.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// One line. Numbers that are not known, or not finite, are null.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum SweepEvent<'a> {
    /// The first event.
    SweepStarted {
        experiment: &'a str,
        /// Results folder.
        folder: &'a str,
        /// SHA-256 of the identities of all runs.
        config_hash: &'a str,
        /// Number of runs that are needed according to the results so far.
        runs: usize,
        /// Number of those that have not ended.
        to_train: usize,
        /// Number of runs at the same time.
        jobs: usize,
        /// Threads of each run.
        threads: usize,
    },
    RunStarted {
        run: &'a str,
        /// Number of its size in `sweep.scale`, from 1. Null for the largest, and without `scale`.
        smaller_size: Option<usize>,
        variant: &'a str,
        seed: u64,
        /// The values that a search varies, by path. Null without a search.
        tuned: Option<BTreeMap<&'a str, Value>>,
        /// 0 if the length of training is a time.
        steps: u64,
        /// Step of the checkpoint from which the run continues.
        saved_step: Option<u64>,
    },
    /// At most once a second for each run, and when a run has been evaluated.
    RunProgress {
        run: &'a str,
        step: u64,
        steps: u64,
        phase: Phase,
        /// Loss of the last step, in nats per token.
        loss: Option<f64>,
        /// Loss of the last evaluation, in nats per token.
        val_loss: Option<f64>,
        tokens_per_second: f64,
        seconds_left: Option<f64>,
    },
    RunEnded {
        run: &'a str,
        variant: &'a str,
        seed: u64,
        /// As in `RunStarted`.
        tuned: Option<BTreeMap<&'a str, Value>>,
        state: RunState,
        /// Why the run is not done. Empty if it is.
        reason: &'a str,
        val_loss: Option<f64>,
        bits_per_byte: Option<f64>,
        seconds: Option<f64>,
    },
    SweepProgress {
        /// Number of runs that have ended in this sweep.
        ended: usize,
        /// Number of runs of this sweep, as far as is known.
        total: usize,
        seconds_left: f64,
    },
    /// A message for people.
    Notice { text: &'a str },
    /// The last event.
    SweepEnded {
        /// The exit code of the command.
        exit_code: u8,
        /// Why it is not 0, in words. Empty if it is 0.
        reason: &'a str,
        /// The contents of `report.json`. Null if no report was written.
        report: Option<Value>,
    },
}

impl SweepEvent<'_> {
    /// Writes it as one line.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, out: &mut impl Write) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        out.write_all(&line)?;
        out.flush()
    }
}

/// Writes the events between the first and the last one.
#[derive(Debug)]
pub struct EventWriter<'a, W> {
    plan: &'a SweepPlan,
    out: W,
    /// When the last progress of an active run was written, and the evaluation of that time.
    active: HashMap<usize, (Instant, Option<f64>)>,
    /// The number of runs that had ended at the last progress of the sweep.
    ended: Option<usize>,
}

impl<'a, W: Write> EventWriter<'a, W> {
    pub fn new(plan: &'a SweepPlan, out: W) -> Self {
        Self {
            plan,
            out,
            active: HashMap::new(),
            ended: None,
        }
    }

    fn planned(&self, run: usize) -> &'a PlannedRun {
        &self.plan.runs[run]
    }

    fn tuned(&self, planned: &PlannedRun) -> Option<BTreeMap<&'a str, Value>> {
        planned.tuned?;
        Some(values_at(&planned.spec, &self.plan.tuned_paths()))
    }

    fn write(&mut self, event: &SweepEvent) {
        // A reader that has gone must not stop the sweep.
        let _ = event.write(&mut self.out);
    }
}

impl<W: Write> Observer for EventWriter<'_, W> {
    fn notice(&mut self, text: &str) {
        self.write(&SweepEvent::Notice { text });
    }

    fn started(&mut self, run: usize, _title: &str, steps: u64, saved_step: Option<u64>) {
        let planned = self.planned(run);
        let spec = &planned.spec;
        self.active.remove(&run);
        self.write(&SweepEvent::RunStarted {
            run: &planned.name,
            smaller_size: planned.smaller_size.map(|size| size.saturating_add(1)),
            variant: &spec.variant,
            seed: spec.seed,
            tuned: self.tuned(planned),
            steps,
            saved_step,
        });
    }

    fn advanced(&mut self, run: usize, progress: &Progress, seconds_left: Option<f64>) {
        let now = Instant::now();
        let is_new = match self.active.get(&run) {
            None => true,
            Some((last, val_loss)) => {
                now.duration_since(*last) >= PROGRESS_INTERVAL
                    || val_loss.map(f64::to_bits) != progress.val_loss.map(f64::to_bits)
            }
        };
        if is_new {
            self.active.insert(run, (now, progress.val_loss));
            self.write(&SweepEvent::RunProgress {
                run: &self.planned(run).name,
                step: progress.step,
                steps: progress.steps,
                phase: progress.phase,
                loss: progress.loss,
                val_loss: progress.val_loss,
                tokens_per_second: progress.tokens_per_second,
                seconds_left,
            });
        }
    }

    fn ended(&mut self, run: usize, _text: &str, status: Option<&RunStatus>) {
        let planned = self.planned(run);
        let outcome = status.and_then(|status| status.outcome.as_ref());
        self.write(&SweepEvent::RunEnded {
            run: &planned.name,
            variant: &planned.spec.variant,
            seed: planned.spec.seed,
            tuned: self.tuned(planned),
            state: status.map_or(RunState::Stopped, |status| status.state),
            reason: status.map_or("", |status| &status.reason),
            val_loss: outcome.and_then(|outcome| outcome.val_loss),
            bits_per_byte: outcome.and_then(|outcome| outcome.bits_per_byte),
            seconds: outcome.map(|outcome| outcome.seconds),
        });
    }

    fn sweep_progress(&mut self, progress: SweepProgress) {
        // Between the ends of runs, each run tells its own progress.
        if self.ended.replace(progress.ended) != Some(progress.ended) {
            self.write(&SweepEvent::SweepProgress {
                ended: progress.ended,
                total: progress.total,
                seconds_left: progress.seconds_left,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::testing::plan_of;

    #[test]
    fn events_of_a_search_have_the_values_that_it_varies() {
        let plan = plan_of(
            "{name: x, sweep: {seeds: 1, tune: {grid: {optimizer.lr: [0.001, 0.01]}}, variants: {a: {}, b: {model: {kind: ngram}}}}}",
        );
        let mut out = Vec::new();
        let mut events = EventWriter::new(&plan, &mut out);
        for run in 0..plan.runs.len() {
            events.started(run, "", 100, None);
            events.ended(run, "", None);
        }
        let lines = String::from_utf8(out).unwrap();
        for (index, line) in lines.lines().enumerate() {
            let event: Value = serde_json::from_str(line).unwrap();
            let spec = &plan.runs[index / 2].spec;
            let expected = match event["variant"].as_str() {
                Some("a") => serde_json::json!({"optimizer.lr": spec.optimizer.lr}),
                _ => serde_json::json!({}),
            };
            assert_eq!(event["tuned"], expected, "{line}");
        }
    }

    #[test]
    fn each_event_is_one_line_of_json() {
        let plan =
            plan_of("{name: x, sweep: {seeds: 1, variants: {a: {}, b: {model: {n_layer: 2}}}}}");
        let mut out = Vec::new();
        let mut events = EventWriter::new(&plan, &mut out);
        events.started(1, "b-s1", 100, Some(40));
        for step in 41..=100 {
            let progress = Progress {
                step,
                steps: 100,
                loss: Some(f64::NAN),
                val_loss: (step >= 80).then_some(2.5),
                tokens_per_second: 1e4,
                phase: Phase::Training,
            };
            events.advanced(1, &progress, None);
            events.sweep_progress(SweepProgress {
                ended: 0,
                total: 2,
                seconds_left: 3.0,
            });
        }
        events.notice("one\ntwo");
        events.ended(1, "", None);
        let lines = String::from_utf8(out).unwrap();
        let events: Vec<Value> = lines
            .lines()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect();
        let kinds: Vec<&str> = events
            .iter()
            .map(|e| e["event"].as_str().unwrap())
            .collect();
        assert_eq!(
            kinds,
            [
                "run_started",
                "run_progress",
                "sweep_progress",
                "run_progress",
                "notice",
                "run_ended"
            ]
        );
        assert_eq!(
            (&events[0]["variant"], &events[0]["saved_step"]),
            (&"b".into(), &40.into())
        );
        assert_eq!(events[0]["tuned"], Value::Null);
        assert_eq!(
            (&events[3]["step"], &events[3]["loss"]),
            (&80.into(), &Value::Null)
        );
        assert_eq!(
            (&events[5]["state"], &events[5]["seconds"]),
            (&"stopped".into(), &Value::Null)
        );
    }
}
