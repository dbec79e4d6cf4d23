//! The figures that an experiment expects, held against what was measured.

use super::loaded_results::{Results, Run};
use crate::results::SweepPlan;
use crate::spec::{Expect, Measure, ModelKind};
use crate::stats::mean;
use crate::text::units;
use serde::Serialize;

/// Whether a figure was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Met,
    Missed,
    /// Not measured so far.
    Open,
}

/// One line of the table of expected figures, as text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Expected {
    pub variant: String,
    /// What is measured, and when: `validation loss at step 500`.
    pub what: String,
    /// The figure and its tolerance: `2.0080 ± 0.0300`.
    pub expected: String,
    /// Empty where nothing was measured.
    pub measured: String,
    pub verdict: Verdict,
    pub source: String,
}

impl Verdict {
    pub fn name(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Missed => "missed",
            Self::Open => "open",
        }
    }
}

/// The figures that are known before any training.
pub fn expected_of_plan(plan: &SweepPlan) -> Vec<Expected> {
    let known = plan.experiment.expect.iter();
    known
        .filter(|expect| expect.metric.is_static())
        .map(|expect| judged(plan, expect, size(plan, expect)))
        .collect()
}

/// All figures, measured as far as the runs have come.
pub(super) fn expected(results: &Results) -> Vec<Expected> {
    let plan = &results.plan;
    let measured = |expect: &Expect| match expect.metric.is_static() {
        true => size(plan, expect).or_else(|| counted(results, expect)),
        false => loss(results, expect),
    };
    let all = plan.experiment.expect.iter();
    all.map(|expect| judged(plan, expect, measured(expect)))
        .collect()
}

/// `3 of the 4 figures expected are met.`, and which are not.
pub(super) fn sentence(expected: &[Expected]) -> Option<String> {
    let count = |verdict| expected.iter().filter(|e| e.verdict == verdict).count();
    let (met, missed) = (count(Verdict::Met), count(Verdict::Missed));
    let figures = units::plural(expected.len(), "figure");
    let mut sentence = match (met, missed) {
        (_, _) if expected.is_empty() => return None,
        (0, 0) => format!("{figures} expected, none of them measured so far"),
        (met, 0) if met == expected.len() => match met {
            1 => "The one figure that was expected is met".to_owned(),
            2 => "Both figures that were expected are met".to_owned(),
            _ => format!("All {figures} that were expected are met"),
        },
        (met, 0) => format!("Of {figures} expected, {met} met"),
        (met, missed) => format!("Of {figures} expected, {met} met and {missed} missed"),
    };
    if met + missed > 0 && count(Verdict::Open) > 0 {
        sentence += &format!(", {} still open", count(Verdict::Open));
    }
    let missed = expected.iter().filter(|e| e.verdict == Verdict::Missed);
    let missed = missed.map(|e| {
        format!(
            "{} of {} is {} instead of {}",
            e.what, e.variant, e.measured, e.expected
        )
    });
    let missed: Vec<String> = missed.collect();
    if !missed.is_empty() {
        sentence += &format!(": {}", missed.join("; "));
    }
    Some(sentence + ".")
}

fn judged(plan: &SweepPlan, expect: &Expect, measured: Option<f64>) -> Expected {
    let shown: fn(f64) -> String = match expect.metric.is_static() {
        true => units::whole,
        false => units::loss,
    };
    let tolerance = match expect.allowed() {
        0.0 => String::new(),
        allowed => format!(" ± {}", shown(allowed)),
    };
    Expected {
        variant: variant(plan, expect).to_owned(),
        what: what(expect),
        expected: shown(expect.value) + &tolerance,
        measured: measured.map_or(String::new(), shown),
        verdict: match measured {
            Some(measured) if expect.is_met_by(measured) => Verdict::Met,
            Some(_) => Verdict::Missed,
            None => Verdict::Open,
        },
        source: expect.source.clone(),
    }
}

fn variant<'a>(plan: &'a SweepPlan, expect: &'a Expect) -> &'a str {
    expect.variant.as_deref().unwrap_or(&plan.baseline)
}

fn what(expect: &Expect) -> String {
    let metric = match expect.metric {
        Measure::Params => "parameters",
        Measure::VocabSize => "vocabulary",
        Measure::Tokens => "tokens of the text",
        Measure::SampledTokens => "tokens of a sampled encoding",
        Measure::ValLoss => "validation loss",
        Measure::BitsPerByte => "bits per byte",
        Measure::TrainLoss => "loss of the training split",
        Measure::BatchLoss => "loss of a batch",
    };
    let when = match (expect.metric.is_static(), expect.step) {
        (true, _) => String::new(),
        (false, Some(0)) => " before training".to_owned(),
        (false, Some(step)) => format!(" at step {step}"),
        (false, None) => " at the end".to_owned(),
    };
    metric.to_owned() + &when
}

/// A figure of the plan: a size or a count, the same for every seed.
fn size(plan: &SweepPlan, expect: &Expect) -> Option<f64> {
    let name = variant(plan, expect);
    let run = plan.runs.iter().find(|run| run.spec.variant == name)?;
    let corpus = plan.corpora.get(run.corpus)?;
    Some(match expect.metric {
        Measure::Params if run.spec.model.kind == ModelKind::Ngram => return None,
        Measure::Params => run.params as f64,
        Measure::VocabSize => corpus.vocab_size as f64,
        Measure::Tokens => (corpus.train_tokens + corpus.val_tokens) as f64,
        Measure::SampledTokens => corpus.sampled_train_tokens.unwrap_or(corpus.train_tokens) as f64,
        _ => return None,
    })
}

/// The size of what is counted, which is known when it has been counted.
fn counted(results: &Results, expect: &Expect) -> Option<f64> {
    let name = variant(&results.plan, expect);
    let mut runs = results.runs.iter();
    let run = runs.find(|run| run.planned.spec.variant == name && run.result().is_some())?;
    (expect.metric == Measure::Params).then(|| run.params() as f64)
}

/// A loss, as a mean over the seeds that are done.
fn loss(results: &Results, expect: &Expect) -> Option<f64> {
    let name = variant(&results.plan, expect);
    let runs = results.runs.iter();
    let done = runs.filter(|run| run.planned.spec.variant == name && run.result().is_some());
    let losses: Option<Vec<f64>> = done.map(|run| loss_of(run, expect)).collect();
    mean(&losses?)
}

fn loss_of(run: &Run, expect: &Expect) -> Option<f64> {
    let at = |step: u64| expect.step.is_none_or(|wanted| wanted == step);
    if expect.metric == Measure::BatchLoss {
        let steps = run.steps().filter(|step| at(step.step));
        return steps.last().map(|step| step.loss);
    }
    let evaluations = run.evaluations().filter(|evaluation| at(evaluation.step));
    let last = evaluations.last()?;
    match expect.metric {
        Measure::BitsPerByte => Some(last.bits_per_byte),
        Measure::TrainLoss => last.train_loss,
        _ => Some(last.val_loss),
    }
}
