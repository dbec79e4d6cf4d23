use crate::results::{
    CorpusInfo, Evaluation, Metric, Outcome, PlannedRun, RunDir, RunResult, RunState, RunStatus,
    SampleText, StepMetric, SweepPlan,
};
use crate::spec::ModelKind;
use std::collections::HashSet;
use std::io;
use std::path::Path;

/// The contents of a results folder.
#[derive(Debug)]
pub(super) struct Results {
    pub(super) plan: SweepPlan,
    /// The runs in the order of the plan, without those that turned out not to be needed.
    pub(super) runs: Vec<Run>,
    /// What is known of each run of the plan.
    pub(super) run_results: Vec<RunResult>,
}

/// A planned run and its recorded results so far.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) planned: PlannedRun,
    /// Whether it has a checkpoint from which it can resume.
    begun: bool,
    pub(super) status: Option<RunStatus>,
    pub(super) metrics: Vec<Metric>,
    pub(super) samples: Vec<SampleText>,
    /// Why one of its files could not be read. The report still shows the other runs.
    problem: Option<String>,
}

impl Results {
    /// Reads the recorded results of the runs of `plan` from the results folder `dir`. Runs that a
    /// sequential design does not need are left out, unless they have started.
    pub(super) fn read(dir: &Path, plan: SweepPlan) -> Self {
        let runs: Vec<Run> = plan.runs.iter().map(|run| Run::read(dir, run)).collect();
        let run_results: Vec<RunResult> = runs.iter().map(Run::run_result).collect();
        let needed: HashSet<usize> = plan.needed_runs(&run_results).into_iter().collect();
        let is_shown = |(index, run): &(usize, Run)| {
            needed.contains(index) || run.state() != RunState::NotStarted
        };
        let runs = runs.into_iter().enumerate().filter(is_shown);
        Self {
            runs: runs.map(|(_, run)| run).collect(),
            plan,
            run_results,
        }
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
            // Runs of earlier versions have no samples.json.
            let file = match folder.samples().exists() {
                true => "samples.json",
                false => "samples.md",
            };
            note(file, error);
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

    /// Why the run has no complete result. Empty for a finished run that was read without errors.
    pub(super) fn reason(&self) -> String {
        let recorded = self.status.as_ref().map_or("", |status| &status.reason);
        if let Some(problem) = &self.problem {
            let both = [recorded, problem.as_str()];
            let known = both.into_iter().filter(|reason| !reason.is_empty());
            return known.collect::<Vec<_>>().join("; ");
        }
        match self.metrics.last() {
            Some(metric) if recorded.is_empty() && self.state() == RunState::Stopped => {
                let all = self.planned.spec.train.planned_steps();
                let of_all = all.map_or(String::new(), |steps| format!(" of {steps}"));
                let step = metric.step();
                format!("at step {step}{of_all} when the report was written")
            }
            _ => recorded.to_owned(),
        }
    }

    pub(super) fn outcome(&self) -> Option<&Outcome> {
        self.status.as_ref()?.outcome.as_ref()
    }

    /// What the comparison of the variants knows of this run.
    fn run_result(&self) -> RunResult {
        RunResult::new(self.status.as_ref())
    }

    /// The outcome of a finished run with finite bits per byte. Only these enter means.
    pub(super) fn result(&self) -> Option<&Outcome> {
        match self.run_result() {
            RunResult::Ended(Some(_)) => self.outcome(),
            RunResult::Ended(None) | RunResult::Open => None,
        }
    }

    pub(super) fn evaluations(&self) -> impl Iterator<Item = &Evaluation> {
        self.metrics.iter().filter_map(|metric| match metric {
            Metric::Eval(evaluation) => Some(evaluation),
            Metric::Step(_) => None,
        })
    }

    /// Number of parameters. An n-gram model knows it only after counting.
    pub(super) fn params(&self) -> u64 {
        match self.planned.spec.model.kind {
            ModelKind::Ngram => self.outcome().map_or(0, |outcome| outcome.params),
            _ => self.planned.params,
        }
    }

    /// Loss of the whole training split at the end of training, in nats per token. `None` where it
    /// was not measured.
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
