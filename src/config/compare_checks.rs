//! Checks that the variants can be compared by the metric of the experiment.

use super::diagnostic::Diagnostic;
use super::error_kind::ErrorKind;
use super::tree::Node;
use crate::spec::{Compare, CompareMetric, RunSpec};

/// The errors of the section `compare` of the document `tree`.
pub(super) fn check(
    tree: &Node,
    compare: &Compare,
    specs: &[&RunSpec],
    baseline: &str,
) -> Vec<Diagnostic> {
    let span = tree.at("compare.metric").map(|entry| entry.value.span);
    let mut errors = Vec::new();
    if compare.metric == CompareMetric::StepsToLoss && compare.target_loss.is_none() {
        errors.push(Diagnostic::new(span, ErrorKind::NoTargetLoss));
    }
    let baseline = specs.iter().find(|spec| spec.variant == baseline);
    if let Some(baseline) = baseline.filter(|_| compare.metric.is_per_token()) {
        let tokens = |spec: &RunSpec| (spec.data.clone(), spec.tokenizer.clone());
        let other = specs.iter().find(|spec| tokens(spec) != tokens(baseline));
        if let Some(other) = other {
            let kind = ErrorKind::MetricPerToken {
                variant: other.variant.clone(),
                baseline: baseline.variant.clone(),
            };
            errors.push(Diagnostic::new(span, kind));
        }
    }
    errors
}
