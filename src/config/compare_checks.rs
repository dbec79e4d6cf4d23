//! Checks that the variants can be compared by the metric of the experiment.

use super::diagnostic::{AtSize, Diagnostic};
use super::error_kind::ErrorKind;
use super::tree::Node;
use crate::spec::{Compare, CompareMetric, ModelKind, RunSpec, Tokenizer};

/// The errors of the section `compare` of the document `tree`. `specs` are the variants at all their sizes.
pub(super) fn check(
    tree: &Node,
    compare: &Compare,
    specs: &[(&RunSpec, Option<AtSize>)],
    baseline: &str,
) -> Vec<Diagnostic> {
    let span = tree.at("compare.metric").map(|entry| entry.value.span);
    let mut errors = Vec::new();
    if compare.metric == CompareMetric::StepsToLoss && compare.target_loss.is_none() {
        errors.push(Diagnostic::new(span, ErrorKind::NoTargetLoss));
    }
    let is_ngram = |(spec, _): &&(&RunSpec, _)| spec.model.kind == ModelKind::Ngram;
    let needs_steps = match compare.metric {
        // The only evaluation of an n-gram model is at step 0, so it reaches every loss at once or never.
        CompareMetric::StepsToLoss => Some("steps_to_loss"),
        CompareMetric::TrainLoss => Some("train_loss"),
        _ => None,
    };
    if let Some(metric) = needs_steps
        && let Some((spec, _)) = specs.iter().find(is_ngram)
    {
        let variant = spec.variant.clone();
        errors.push(Diagnostic::new(
            span,
            ErrorKind::StepsOfNgram { variant, metric },
        ));
    }
    let baseline = specs.iter().find(|(spec, _)| spec.variant == baseline);
    if let Some((baseline, _)) = baseline.filter(|_| compare.metric.is_per_token()) {
        let others = specs.iter();
        let others = others.filter(|(spec, _)| !have_same_tokens(spec, baseline));
        let others: Vec<_> = others.collect();
        let is_own = |(spec, _): &&&(&RunSpec, _)| spec.variant == baseline.variant;
        // If the sizes of the baseline have different tokens, so have those of the variants.
        let first = others.iter().find(is_own).or(others.first());
        let first = first.map(|(spec, _)| spec.variant.as_str());
        for (spec, size) in others
            .iter()
            .filter(|(spec, _)| Some(spec.variant.as_str()) == first)
        {
            let kind = match spec.variant == baseline.variant {
                true => ErrorKind::MetricPerTokenOfSizes,
                false => ErrorKind::MetricPerToken {
                    variant: spec.variant.clone(),
                    baseline: baseline.variant.clone(),
                },
            };
            errors.push(Diagnostic::new(span, kind).at_size(*size));
        }
    }
    errors
}

/// Whether the validation split is the same text and is divided into the same tokens, so that losses per
/// token can be compared. It is never sampled.
pub(super) fn have_same_tokens(first: &RunSpec, second: &RunSpec) -> bool {
    let without_sampling = |spec: &RunSpec| Tokenizer {
        alpha: None,
        nbest: None,
        dropout: 0.0,
        ..spec.tokenizer.clone()
    };
    first.data == second.data && without_sampling(first) == without_sampling(second)
}
