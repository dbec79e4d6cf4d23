//! Checks of the measured metrics against the values that an experiment expects.

use super::wording;
use crate::report::loaded_results::Results;
use crate::results::SweepPlan;
use crate::spec::{Expect, Measure, ModelKind};
use crate::stats::mean;
use crate::text::units;
use schemars::JsonSchema;
use serde::Serialize;

/// The result of one check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckResult {
    /// The measured value is within the tolerance.
    Met,
    /// The measured value is outside the tolerance.
    Missed,
    /// Nothing has been measured yet.
    Pending,
}

/// A metric, its expected value and its measured value, formatted.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MetricCheck {
    pub variant: String,
    /// Name of the metric and when it is measured: `validation loss at step 500`.
    pub metric: String,
    /// Expected value and tolerance: `2.0080 ± 0.0300`.
    pub expected: String,
    /// Empty where nothing was measured.
    pub measured: String,
    pub result: CheckResult,
    /// Where the expected value comes from; may be empty.
    pub source: String,
}

impl CheckResult {
    pub fn name(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Missed => "missed",
            Self::Pending => "pending",
        }
    }
}

/// The checks of metrics that are known before training.
pub fn checks_of_plan(plan: &SweepPlan) -> Vec<MetricCheck> {
    let expected = plan.experiment.expect.iter();
    expected
        .filter(|expect| expect.metric.is_static())
        .map(|expect| check(plan, expect, planned_value(plan, expect)))
        .collect()
}

/// All checks of an experiment, in the order of its file.
pub(crate) fn checks(results: &Results) -> Vec<MetricCheck> {
    let plan = &results.plan;
    let measured = |expect: &Expect| match expect.metric.is_static() {
        true => planned_value(plan, expect).or_else(|| counted_params(results, expect)),
        false => mean_loss(results, expect),
    };
    let expected = plan.experiment.expect.iter();
    expected
        .map(|expect| check(plan, expect, measured(expect)))
        .collect()
}

/// The results of all checks in sentences. `None` without checks.
pub(crate) fn summary(checks: &[MetricCheck]) -> Option<String> {
    let with = |result| checks.iter().filter(move |check| check.result == result);
    let counts = [CheckResult::Met, CheckResult::Missed, CheckResult::Pending]
        .map(|result| (with(result).count(), result.name()));
    let [(met, _), _, (pending, _)] = counts;
    let expected = units::plural(checks.len(), "expected metric");
    let sentence = match checks.len() {
        0 => return None,
        1 if met == 1 => "The expected metric is met.".to_owned(),
        2 if met == 2 => "Both expected metrics are met.".to_owned(),
        all if met == all => format!("All {expected} are met."),
        1 if pending == 1 => "The expected metric has not been measured yet.".to_owned(),
        all if pending == all => format!("None of the {expected} has been measured yet."),
        _ => {
            let counts = counts.into_iter().filter(|(n, _)| *n > 0);
            let counts: Vec<String> = counts.map(|(n, name)| format!("{n} {name}")).collect();
            format!("Results of the {expected}: {}.", units::list(&counts))
        }
    };
    let missed = with(CheckResult::Missed).map(|check| {
        format!(
            "{} of {} is {} instead of {}",
            check.metric, check.variant, check.measured, check.expected
        )
    });
    let missed: Vec<String> = missed.collect();
    Some(match missed.is_empty() {
        true => sentence,
        false => format!("{sentence} Missed: {}.", missed.join("; ")),
    })
}

fn check(plan: &SweepPlan, expect: &Expect, measured: Option<f64>) -> MetricCheck {
    let result = match measured {
        Some(measured) if expect.is_met_by(measured) => CheckResult::Met,
        Some(_) => CheckResult::Missed,
        None => CheckResult::Pending,
    };
    let mut shown = vec![expect.allowed()];
    // A value that is missed must not look like the expected one.
    if result == CheckResult::Missed {
        shown.extend(measured.map(|measured| measured - expect.value));
    }
    let format = |value: f64| match expect.metric.is_static() {
        true => units::rounded(value),
        false => units::fixed(value, units::decimals_to_show(&shown, units::LOSS_DECIMALS)),
    };
    let tolerance = match expect.allowed() {
        0.0 => String::new(),
        allowed => format!(" ± {}", format(allowed)),
    };
    MetricCheck {
        variant: variant(plan, expect).to_owned(),
        metric: metric(expect),
        expected: format(expect.value) + &tolerance,
        measured: measured.map_or(String::new(), format),
        result,
        source: expect.source.clone(),
    }
}

fn variant<'a>(plan: &'a SweepPlan, expect: &'a Expect) -> &'a str {
    expect.variant.as_deref().unwrap_or(&plan.baseline)
}

fn metric(expect: &Expect) -> String {
    let when = match (expect.metric.is_static(), expect.step) {
        (true, _) => String::new(),
        (false, Some(0)) => " before training".to_owned(),
        (false, Some(step)) => format!(" at step {step}"),
        (false, None) => " at the end".to_owned(),
    };
    wording::measure(expect.metric).to_owned() + &when
}

/// A size or count that the plan knows. It is the same for every seed.
fn planned_value(plan: &SweepPlan, expect: &Expect) -> Option<f64> {
    let name = variant(plan, expect);
    let run = plan
        .runs
        .iter()
        .find(|run| run.smaller_size.is_none() && run.spec.variant == name)?;
    let corpus = plan.corpora.get(run.corpus)?;
    Some(match expect.metric {
        Measure::Params if run.spec.model.kind == ModelKind::Ngram => return None,
        Measure::Params => run.params as f64,
        Measure::VocabSize => corpus.vocab_size as f64,
        // A plan from somebody else can hold any numbers.
        Measure::Tokens => corpus.train_tokens.saturating_add(corpus.val_tokens) as f64,
        Measure::SampledTokens => corpus.sampled_train_tokens.unwrap_or(corpus.train_tokens) as f64,
        _ => return None,
    })
}

/// The number of parameters of an n-gram model, which is known only after counting.
fn counted_params(results: &Results, expect: &Expect) -> Option<f64> {
    let name = variant(&results.plan, expect);
    let run = results.runs_of(name).find(|run| run.result().is_some())?;
    (expect.metric == Measure::Params).then(|| run.params() as f64)
}

/// A loss, as the mean over the finished seeds. `None` where a seed has not measured it.
fn mean_loss(results: &Results, expect: &Expect) -> Option<f64> {
    let name = variant(&results.plan, expect);
    let finished = results.runs_of(name).filter(|run| run.result().is_some());
    let losses: Option<Vec<f64>> = finished
        .map(|run| run.loss_at(expect.metric, expect.step))
        .collect();
    mean(&losses?)
}
