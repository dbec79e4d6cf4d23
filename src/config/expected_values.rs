//! Checks that the runs will measure what an experiment expects.

use super::diagnostic::Diagnostic;
use super::error_kind::{ErrorKind, shortened};
use super::limits::MAX_ERRORS;
use super::suggest::hint;
use super::tree::{Layer, Node};
use super::variant_specs::VariantSpecs;
use crate::spec::{
    Expect, Match, MatchedSetting, Measure, ModelKind, RunSpec, TrainingLength, is_logged,
    log_every,
};

/// Whether the command line sets any of these paths.
pub(super) fn is_overridden(tree: &Node, paths: &[&str]) -> bool {
    let is_override = |path: &&str| {
        let entry = tree.at(path);
        entry.is_some_and(|entry| entry.layer == Layer::Override)
    };
    paths.iter().any(is_override)
}

/// Whether the command line changes at which steps runs are evaluated.
fn are_times_overridden(tree: &Node) -> bool {
    is_overridden(tree, &TrainingLength::PATHS) || is_overridden(tree, &["train.eval_every"])
}

/// Adds an error for each expected value that no run will measure.
pub(super) fn check(
    tree: &Node,
    expected: &[Expect],
    specs: &VariantSpecs,
    baseline: &str,
    matching: Option<Match>,
    errors: &mut Vec<Diagnostic>,
) {
    let items = tree.get("expect").map_or(&[][..], Node::items);
    for (item, expect) in items.iter().zip(expected) {
        if errors.len() >= MAX_ERRORS {
            return;
        }
        let span = |key: &str| item.get(key).map_or(item.span, |value| value.span);
        let name = expect.variant.as_deref().unwrap_or(baseline);
        let Some(spec) = specs.first_of(name) else {
            let kind = ErrorKind::NamesUnknownVariant {
                list: "expect",
                name: shortened(name),
                hint: hint(name, specs.names()),
            };
            errors.push(Diagnostic::new(span("variant"), kind));
            continue;
        };
        if expect.metric == Measure::TrainSplitLoss && !spec.train.eval_train {
            let kind = ErrorKind::ExpectTrainSplitLoss;
            errors.push(Diagnostic::new(span("metric"), kind));
        }
        if let Some(step) = expect.step
            && are_steps_known(tree, matching, name == baseline)
            && let Some(kind) = wrong_step(expect.metric, step, specs, name)
        {
            errors.push(Diagnostic::new(span("step"), kind));
        }
    }
}

/// Whether the file says how many steps a variant is trained for. If the command line changes it, values at
/// later steps stay open rather than being errors. The steps of a matched variant are chosen later.
pub(super) fn are_steps_known(tree: &Node, matching: Option<Match>, is_baseline: bool) -> bool {
    let by = matching.map(|matching| matching.by);
    let are_matched = by == Some(MatchedSetting::Steps) && !is_baseline;
    !are_times_overridden(tree) && !are_matched
}

/// The error if a metric is not measured at a step by the variant `name`. In a search, the variant has
/// several runs with other settings, and it is enough if one of them measures the metric: which of them are
/// compared depends on the results.
pub(super) fn wrong_step(
    metric: Measure,
    step: u64,
    specs: &VariantSpecs,
    name: &str,
) -> Option<ErrorKind> {
    let of_variant = specs.of(name).iter();
    let errors = of_variant.map(|spec| wrong_step_of_run(metric, step, spec));
    // With one run that measures the metric, there is no error.
    let errors: Option<Vec<ErrorKind>> = errors.collect();
    errors?.into_iter().next()
}

/// The error if a run does not measure a metric at a step.
fn wrong_step_of_run(metric: Measure, step: u64, spec: &RunSpec) -> Option<ErrorKind> {
    match metric {
        Measure::Params | Measure::VocabSize | Measure::Tokens | Measure::SampledTokens => {
            Some(ErrorKind::ExpectStepOfStatic)
        }
        _ if spec.model.kind == ModelKind::Ngram => {
            let variant = spec.variant.clone();
            (step > 0).then_some(ErrorKind::StepOfNgram { variant })
        }
        Measure::ValLoss | Measure::BitsPerByte | Measure::TrainSplitLoss => {
            // With lengths in epochs, FLOPs or seconds, the number of steps depends on the data.
            let (steps, eval_every) = (spec.known_steps()?, spec.train.eval_every.steps()?);
            let evaluated = step.is_multiple_of(eval_every) || step == steps;
            let measured = evaluated && step <= steps;
            (!measured).then_some(ErrorKind::ExpectNoEvaluation {
                step,
                eval_every,
                steps,
            })
        }
        Measure::BatchLoss => {
            let steps = spec.known_steps()?;
            let measured = (1..=steps).contains(&step) && is_logged(step, steps);
            (!measured).then_some(ErrorKind::ExpectNoStep {
                step,
                steps,
                log_every: log_every(steps),
            })
        }
    }
}
