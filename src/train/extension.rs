//! Continuing a finished run with more steps. The result is that of a run that was planned with these steps.

use super::checkpoints::{Records, Resumed, resume};
use super::job::{Job, ShorterRun};
use super::train_error::TrainError;
use super::trainer::Trainer;
use crate::kernels::Backend;
use crate::results::Metric;
use crate::spec::{RunSpec, ScheduleKind, Train, TrainingLength, is_logged, log_every};

/// Whether a run of this kind can be continued with more steps after it has ended. Its last checkpoint is kept.
pub(super) fn can_be_extended(spec: &RunSpec) -> bool {
    why_not_extendable(spec).is_none()
}

fn why_not_extendable(spec: &RunSpec) -> Option<&'static str> {
    let kind = spec.optimizer.schedule.kind;
    if !matches!(kind, ScheduleKind::Constant | ScheduleKind::InverseSqrt) {
        return Some("its learning rate schedule depends on the number of steps");
    }
    if matches!(spec.train.length(), TrainingLength::Seconds(_)) {
        return Some("its length is a time");
    }
    if spec.train.keeps_best() {
        // They can be those of the last evaluation of the shorter run, which the longer one does not make.
        return Some("its best weights are not those of the longer run");
    }
    (spec.train.save_every.is_some()).then_some("it keeps the weights of earlier steps")
}

/// Why a finished run cannot be continued as a run with more steps, in the words after "because". `None` if it can
/// be, or if the runs differ in more than the number of steps.
pub(super) fn why_not_extended(shorter: &RunSpec, longer: &RunSpec) -> Option<&'static str> {
    let is_multiple = log_every(longer.train.steps).is_multiple_of(log_every(shorter.train.steps));
    why_not_extendable(longer)
        .or_else(|| (!is_multiple).then_some("it did not log the steps that the longer run logs"))
}

impl ShorterRun {
    /// Why it is not continued as a run with more steps: as [`why_not_extended`], or because it has no checkpoint.
    pub fn why_not_continued(&self, longer: &RunSpec) -> Option<&'static str> {
        why_not_extended(&self.spec, longer).or_else(|| {
            (!self.dir.has_checkpoint())
                .then_some("it trained for less than 5 seconds and kept no checkpoint")
        })
    }

    /// Whether the runs differ only in the number of steps, in any of its units, and in what does not change a
    /// result.
    pub fn is_beginning_of(&self, longer: &RunSpec) -> bool {
        let without_length = |spec: &RunSpec| {
            let mut spec = spec.clone();
            let Train {
                steps,
                tokens,
                epochs,
                flops,
                ..
            } = Train::default();
            let train = &mut spec.train;
            (train.steps, train.tokens, train.epochs, train.flops) = (steps, tokens, epochs, flops);
            spec.result_settings()
        };
        self.spec.train.steps < longer.train.steps
            && without_length(&self.spec) == without_length(longer)
    }
}

/// Restores a trainer from the last checkpoint of a shorter run. `None` if it has none.
pub(super) fn extend<B: Backend>(
    trainer: &mut Trainer<B>,
    shorter: &ShorterRun,
    job: &Job,
) -> Result<Option<Resumed>, TrainError> {
    let identity = shorter.spec.identity(&job.corpus.info.content_sha256());
    let mut resumed = match resume(trainer, &identity, &shorter.dir, &mut |_| {}) {
        // It was trained by another version.
        Err(TrainError::Checkpoint { .. }) => return Ok(None),
        resumed => resumed?,
    };
    if trainer.step == 0 {
        return Ok(None);
    }
    keep_planned(&mut resumed.records, job.spec);
    Ok(Some(resumed))
}

/// Keeps only what the longer run would have recorded. The shorter one was evaluated and sampled at its end.
fn keep_planned(records: &mut Records, spec: &RunSpec) {
    let train = &spec.train;
    records.metrics.retain(|metric| match metric {
        Metric::Step(step) => is_logged(step.step, train.steps),
        Metric::Eval(evaluation) => train.eval_every.is_due(evaluation.step),
    });
    let every = spec.sample.every;
    let is_due = |step| every.is_some_and(|every| every.is_due(step));
    records.samples.retain(|sample| is_due(sample.step));
}
