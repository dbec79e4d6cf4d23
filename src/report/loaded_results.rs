use crate::results::{
    CorpusInfo, Evaluation, Metric, Outcome, PlannedRun, RunDir, RunState, RunStatus, SampleText,
    StepMetric, SweepPlan,
};
use crate::spec::ModelKind;
use std::io;
use std::path::Path;

/// A results folder, read.
#[derive(Debug)]
pub(super) struct Results {
    pub(super) plan: SweepPlan,
    /// One for each run of the plan, in its order.
    pub(super) runs: Vec<Run>,
}

/// A planned run and what it left behind so far.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) planned: PlannedRun,
    /// Whether it has a checkpoint to go on from.
    begun: bool,
    pub(super) status: Option<RunStatus>,
    pub(super) metrics: Vec<Metric>,
    pub(super) samples: Vec<SampleText>,
    /// Why a record could not be read. One broken file does not hide the other runs.
    problem: Option<String>,
}

impl Results {
    /// The records of the runs of `plan`, in the results folder `dir`.
    pub(super) fn read(dir: &Path, plan: SweepPlan) -> Self {
        let runs = plan.runs.iter().map(|run| Run::read(dir, run)).collect();
        Self { plan, runs }
    }

    pub(super) fn corpus(&self, run: &PlannedRun) -> &CorpusInfo {
        &self.plan.corpora[run.corpus]
    }

    pub(super) fn count(&self, state: RunState) -> usize {
        self.runs.iter().filter(|run| run.state() == state).count()
    }
}

impl Run {
    fn read(dir: &Path, planned: &PlannedRun) -> Self {
        let folder = RunDir::new(dir.join("runs").join(&planned.name));
        let mut problem = None;
        let mut note = |file: &str, error: io::Error| {
            problem.get_or_insert_with(|| format!("{file} cannot be read: {error}"));
        };
        let status = folder.status().unwrap_or_else(|error| {
            note("status.json", error);
            Some(RunStatus {
                state: RunState::Failed,
                reason: String::new(),
                outcome: None,
            })
        });
        let metrics = folder.metrics().unwrap_or_else(|error| {
            note("metrics.jsonl", error);
            Vec::new()
        });
        let samples = folder.read_samples().unwrap_or_else(|error| {
            note("samples", error);
            Vec::new()
        });
        Self {
            planned: planned.clone(),
            begun: folder.has_checkpoint(),
            status,
            metrics,
            samples,
            problem,
        }
    }

    pub(super) fn state(&self) -> RunState {
        RunState::new(self.status.as_ref(), self.begun)
    }

    /// Why a run is not done, or not read in full; empty for one of which all is well.
    pub(super) fn reason(&self) -> String {
        let recorded = self.status.as_ref().map_or("", |status| &status.reason);
        if let Some(problem) = &self.problem {
            let both = [recorded, problem.as_str()];
            let known = both.into_iter().filter(|reason| !reason.is_empty());
            return known.collect::<Vec<_>>().join("; ");
        }
        match self.metrics.last() {
            Some(metric) if recorded.is_empty() && self.state() == RunState::Stopped => {
                format!(
                    "at step {} of {} when the report was written",
                    metric.step(),
                    self.planned.spec.train.steps
                )
            }
            _ => recorded.to_owned(),
        }
    }

    pub(super) fn outcome(&self) -> Option<&Outcome> {
        self.status.as_ref()?.outcome.as_ref()
    }

    /// The outcome of a run that counts in means: done, and with a result that is a number.
    pub(super) fn result(&self) -> Option<&Outcome> {
        let done = self.state() == RunState::Done;
        self.outcome()
            .filter(|outcome| done && outcome.bits_per_byte.is_some_and(f64::is_finite))
    }

    pub(super) fn evaluations(&self) -> impl Iterator<Item = &Evaluation> {
        self.metrics.iter().filter_map(|metric| match metric {
            Metric::Eval(evaluation) => Some(evaluation),
            Metric::Step(_) => None,
        })
    }

    pub(super) fn params(&self) -> u64 {
        match self.planned.spec.model.kind {
            ModelKind::Ngram => self.outcome().map_or(0, |outcome| outcome.params),
            _ => self.planned.params,
        }
    }

    /// Loss of the whole training split at the end, where it was measured.
    pub(super) fn train_split_loss(&self) -> Option<f64> {
        self.evaluations().last()?.train_loss
    }

    pub(super) fn steps(&self) -> impl Iterator<Item = &StepMetric> {
        self.metrics.iter().filter_map(|metric| match metric {
            Metric::Step(step) => Some(step),
            Metric::Eval(_) => None,
        })
    }

    pub(super) fn tokens_per_step(&self) -> u64 {
        self.planned.spec.tokens_per_step()
    }
}
