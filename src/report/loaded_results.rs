use super::ReportError;
use crate::regular_file::is_wrong_kind;
use crate::results::{
    CorpusInfo, Evaluation, Metric, Outcome, PlannedRun, RecordError, RunDir, RunRecord, RunResult,
    RunState, RunStatus, SampleText, Sealed, Search, StepMetric, SweepPlan, TestUse, TestUses,
    Thoroughness, VariantComparison,
};
use crate::spec::{CompareMetric, Measure, ModelKind};
use crate::stats::Verdict;
use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::Path;

/// The contents of a results folder.
#[derive(Debug)]
pub(super) struct Results {
    pub(super) plan: SweepPlan,
    /// Whether a digest protects the plan.
    pub(super) plan_is_verified: bool,
    /// The runs in the order of the plan, without those that are not needed.
    pub(super) runs: Vec<Run>,
    /// The variants in the order of the plan. Their runs are indices into `runs`.
    pub(super) comparisons: Vec<VariantComparison>,
    /// The verdict on each variant as if training had ended at [`EARLIER_SHARE`] of its steps, with the same
    /// seeds and settings. Empty if it is not known.
    pub(super) earlier_verdicts: Vec<Option<Verdict>>,
    /// The smallest difference that matters, in the unit of the metric.
    pub(super) margin: Option<f64>,
    /// The uses of a test split by this experiment, each with its number, or why they are not known.
    pub(super) test_uses: Result<Vec<(usize, TestUse)>, String>,
}

/// Share of the steps after which the verdicts should not change any more.
pub(super) const EARLIER_SHARE: f64 = 0.8;

/// A planned run and its recorded results so far.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) planned: PlannedRun,
    /// Whether it has a checkpoint from which it can resume.
    begun: bool,
    /// Whether it is being trained while the report is written.
    pub(super) is_running: bool,
    pub(super) status: Option<RunStatus>,
    /// Its value of the metric of the comparison, if it has one.
    pub(super) value: Option<f64>,
    pub(super) metrics: Vec<Metric>,
    pub(super) samples: Vec<SampleText>,
    /// What is damaged. Nothing that such a run recorded is used.
    pub(super) damage: Option<String>,
    /// Whether a digest protects its record. Those of earlier versions have none.
    pub(super) is_verified: bool,
}

/// What the files of a run hold.
struct Recorded {
    record: Option<RunRecord>,
    metrics: Vec<Metric>,
    samples: Vec<SampleText>,
}

impl Recorded {
    fn read(folder: &RunDir, planned: &PlannedRun) -> Result<Self, RecordError> {
        let record = folder.checked_record(planned, Thoroughness::Reported)?;
        Ok(Self {
            metrics: folder.metrics(record.as_ref())?,
            samples: folder.read_samples(record.as_ref())?,
            record,
        })
    }
}

/// The error with the path of its file in the folder of the run, so that a report does not depend on where its
/// folder is.
fn within(folder: &RunDir, error: &RecordError) -> String {
    let prefix = format!("{}/", folder.path().display());
    error.to_string().replace(&prefix, "")
}

impl Results {
    /// Reads the recorded results of the runs of `plan` from the results folder `dir`. Runs that a
    /// sequential design does not need are left out.
    ///
    /// # Errors
    /// If a file cannot be read. A damaged file is no error.
    pub(super) fn read(dir: &Path, plan: Sealed<SweepPlan>) -> Result<Self, ReportError> {
        let Sealed {
            value: plan,
            is_verified: plan_is_verified,
        } = plan;
        let runs = plan.runs.iter().map(|run| Run::read(dir, run));
        let mut runs: Vec<Run> = runs.collect::<Result<_, _>>()?;
        let result = |run: &Run| {
            let evaluations = || run.evaluations().cloned().collect();
            RunResult::new(run.status.as_ref(), &plan.experiment.compare, evaluations)
        };
        let results: Vec<RunResult> = runs.iter().map(result).collect();
        for (run, result) in runs.iter_mut().zip(&results) {
            run.value = result.value();
        }
        let needed = plan.needed_runs(&results);
        let mut comparisons = plan.compare(&results);
        let earlier = earlier_results(&plan, &runs, &results);
        let earlier_verdicts =
            earlier.map(|earlier| plan.verdicts_with(&earlier, &comparisons, &results));
        let margin = plan.margin(&results);
        let of_variant = |comparison: &'_ mut VariantComparison| {
            let search = comparison
                .search
                .iter_mut()
                .flat_map(|search| &mut search.runs);
            for index in search.chain(&mut comparison.runs) {
                *index = needed.partition_point(|run| run < index);
            }
        };
        comparisons.iter_mut().for_each(of_variant);
        let test_uses = read_test_uses(dir, &plan)?;
        let is_needed = |(index, _): &(usize, Run)| needed.binary_search(index).is_ok();
        let runs = runs.into_iter().enumerate().filter(is_needed);
        Ok(Self {
            runs: runs.map(|(_, run)| run).collect(),
            plan,
            plan_is_verified,
            comparisons,
            earlier_verdicts: earlier_verdicts.unwrap_or_default(),
            margin,
            test_uses,
        })
    }

    /// The runs that compare a variant, in the order of its seeds.
    pub(super) fn runs_of(&self, variant: &str) -> impl Iterator<Item = &Run> {
        let compared = self
            .comparisons
            .iter()
            .filter(move |c| c.variant == variant);
        compared.flat_map(|c| &c.runs).map(|&run| &self.runs[run])
    }

    /// The search for the best settings of a variant, if the variants are tuned.
    pub(super) fn search_of(&self, variant: &str) -> Option<&Search> {
        let mut compared = self.comparisons.iter();
        compared.find(|c| c.variant == variant)?.search.as_ref()
    }

    /// The variants with a verdict: (name, earlier verdict, verdict). The earlier one is that at
    /// [`EARLIER_SHARE`] of training, and `None` if it is not known.
    pub(super) fn verdicts(&self) -> impl Iterator<Item = (&str, Option<Verdict>, Verdict)> {
        let earlier = self.earlier_verdicts.iter().copied();
        let earlier = earlier.chain(std::iter::repeat(None));
        let compared = self.comparisons.iter().zip(earlier);
        compared.filter_map(|(compared, earlier)| {
            let comparison = compared.comparison.as_ref();
            let tested = comparison.filter(|c| c.corrected.is_some())?;
            Some((compared.variant.as_str(), earlier, tested.verdict))
        })
    }

    pub(super) fn corpus(&self, run: &PlannedRun) -> &CorpusInfo {
        &self.plan.corpora[run.corpus]
    }

    /// Whether every needed run has ended, successfully or not.
    pub(super) fn has_ended(&self) -> bool {
        let is_open = |run: &Run| matches!(run.state(), RunState::Stopped | RunState::NotStarted);
        !self.runs.iter().any(is_open)
    }

    /// Notes the runs that are being trained, by their names. One that has ended in the meantime is not noted.
    pub(super) fn mark_running(&mut self, names: &HashSet<String>) {
        for run in &mut self.runs {
            run.is_running = run.status.is_none() && names.contains(&run.planned.name);
        }
    }

    /// The runs that are being trained while the report is written.
    pub(super) fn running(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter().filter(|run| run.is_running)
    }

    /// The number of runs with a state, without those that are running.
    pub(super) fn count(&self, state: RunState) -> usize {
        let idle = self.runs.iter().filter(|run| !run.is_running);
        idle.filter(|run| run.state() == state).count()
    }
}

/// The uses of the test split by the experiment of a plan. They are in the folder of all experiments, which share the
/// text. The inner error says what is damaged.
///
/// # Errors
/// If the file cannot be read.
fn read_test_uses(
    dir: &Path,
    plan: &SweepPlan,
) -> Result<Result<Vec<(usize, TestUse)>, String>, ReportError> {
    let has_test_split = |run: &PlannedRun| run.spec.data.test_fraction > 0.0;
    let folder = TestUses::folder(dir).ok();
    let Some(folder) = folder.filter(|_| plan.runs.iter().any(has_test_split)) else {
        return Ok(Ok(Vec::new()));
    };
    match TestUses::read(&folder) {
        Ok(uses) => {
            let own = uses.of_experiment(&plan.experiment.name);
            Ok(Ok(own.map(|(number, one)| (number, one.clone())).collect()))
        }
        Err(error) if error.kind() == ErrorKind::InvalidData || is_wrong_kind(&error) => {
            Ok(Err(format!("{}: {error}", TestUses::FILE)))
        }
        Err(source) => Err(ReportError::Read {
            path: folder.join(TestUses::FILE),
            source,
        }),
    }
}

/// The results as if training had ended earlier. `None` if the metric or a run has no earlier value.
fn earlier_results(
    plan: &SweepPlan,
    runs: &[Run],
    results: &[RunResult],
) -> Option<Vec<RunResult>> {
    let measure = match plan.experiment.compare.metric {
        CompareMetric::BitsPerByte => Measure::BitsPerByte,
        CompareMetric::ValLoss => Measure::ValLoss,
        _ => return None,
    };
    let earlier = |(run, result): (&Run, &RunResult)| match result.value() {
        // The search stays as it is: it has chosen the settings of the comparison. Smaller sizes are not compared.
        Some(_) if run.planned.is_compared() => run.earlier_loss(measure).map(RunResult::measured),
        _ => Some(*result),
    };
    runs.iter().zip(results).map(earlier).collect()
}

impl Run {
    /// A run with a damaged file counts as failed, and nothing that it has recorded is used.
    fn read(dir: &Path, planned: &PlannedRun) -> Result<Self, ReportError> {
        let folder = RunDir::new(dir.join("runs").join(&planned.name));
        let begun = folder.has_checkpoint();
        Ok(match Recorded::read(&folder, planned) {
            Ok(recorded) => Self {
                planned: planned.clone(),
                begun,
                is_running: false,
                damage: None,
                value: None,
                is_verified: recorded
                    .record
                    .as_ref()
                    .is_none_or(|record| record.is_verified),
                status: recorded.record.map(|record| record.status),
                metrics: recorded.metrics,
                samples: recorded.samples,
            },
            Err(RecordError::Read { path, source }) => {
                return Err(ReportError::Read { path, source });
            }
            Err(error) => Self {
                planned: planned.clone(),
                begun,
                is_running: false,
                damage: Some(within(&folder, &error)),
                is_verified: true,
                value: None,
                status: Some(RunStatus::failed(within(&folder, &error))),
                metrics: Vec::new(),
                samples: Vec::new(),
            },
        })
    }

    pub(super) fn variant(&self) -> &str {
        &self.planned.spec.variant
    }

    pub(super) fn state(&self) -> RunState {
        RunState::new(self.status.as_ref(), self.begun)
    }

    /// Why the run has no complete result. Empty for a finished run that was read without errors.
    pub(super) fn reason(&self) -> String {
        let recorded = self.status.as_ref().map_or("", |status| &status.reason);
        let is_open = self.is_running || self.state() == RunState::Stopped;
        match self.metrics.last() {
            Some(_) if recorded.is_empty() && is_open => {
                format!("{} when the report was written", self.at_step())
            }
            _ => recorded.to_owned(),
        }
    }

    /// The last recorded step, in the words `at step 25 of 1000`.
    pub(super) fn at_step(&self) -> String {
        let all = self.planned.spec.train.planned_steps();
        let of_all = all.map_or(String::new(), |steps| format!(" of {steps}"));
        let step = self.metrics.last().map_or(0, Metric::step);
        format!("at step {step}{of_all}")
    }

    /// Its state in words.
    pub(super) fn state_name(&self) -> &'static str {
        match self.is_running {
            true => "running",
            false => self.state().name(),
        }
    }

    pub(super) fn outcome(&self) -> Option<&Outcome> {
        self.status.as_ref()?.outcome.as_ref()
    }

    /// The outcome of a finished run with finite bits per byte. Only these enter means.
    pub(super) fn result(&self) -> Option<&Outcome> {
        let is_done = self.state() == RunState::Done;
        let is_finite = |bits: f64| bits.is_finite();
        self.outcome()
            .filter(|outcome| is_done && outcome.bits_per_byte.is_some_and(is_finite))
    }

    pub(super) fn evaluations(&self) -> impl Iterator<Item = &Evaluation> {
        self.metrics.iter().filter_map(Metric::evaluation)
    }

    /// A loss at a step, or the last one that was measured. `None` where it was not measured.
    pub(super) fn loss_at(&self, metric: Measure, step: Option<u64>) -> Option<f64> {
        let is_at = |other: u64| step.is_none_or(|step| step == other);
        if metric == Measure::BatchLoss {
            let steps = self.steps().filter(|step| is_at(step.step));
            return steps.last().map(|step| step.loss);
        }
        // Without a step, it is the evaluation that is the result of the run.
        let result = self.outcome().and_then(|outcome| outcome.evaluated_step);
        let step = step.or(result);
        let is_at = |other: u64| step.is_none_or(|step| step == other);
        let evaluations = self
            .evaluations()
            .filter(|evaluation| is_at(evaluation.step));
        let last = evaluations.last()?;
        match metric {
            Measure::BitsPerByte => Some(last.bits_per_byte),
            Measure::TrainSplitLoss => last.train_loss,
            _ => Some(last.val_loss),
        }
    }

    /// A loss of the last evaluation up to [`EARLIER_SHARE`] of the steps. `None` if the run was not
    /// evaluated in the second half of this time. A model that is not trained has only one value.
    fn earlier_loss(&self, measure: Measure) -> Option<f64> {
        if self.planned.spec.train.keeps_best() {
            return None; // the best evaluation may have been earlier
        }
        let steps = self.outcome()?.steps as f64;
        let until = EARLIER_SHARE * steps;
        let evaluations = self.evaluations().map(|evaluation| evaluation.step);
        let step = evaluations.filter(|step| *step as f64 <= until).last()?;
        (step as f64 >= until / 2.0)
            .then(|| self.loss_at(measure, Some(step)))
            .flatten()
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
        self.loss_at(Measure::TrainSplitLoss, None)
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
