//! Checks that the claims of an experiment can be tested.

use super::compare_checks::have_same_tokens;
use super::diagnostic::Diagnostic;
use super::error_kind::{ErrorKind, STATEMENTS, shortened};
use super::expected_values::{are_steps_known, is_overridden, wrong_step};
use super::limits::MAX_ERRORS;
use super::suggest::hint;
use super::tree::Node;
use super::variant_specs::VariantSpecs;
use crate::spec::{Claim, ClaimMetric, Experiment, Match, RunSpec, Statement};

/// Adds all errors in the claims of an experiment. `matching` says which variants will be changed to match
/// the baseline.
pub(super) fn check(
    tree: &Node,
    experiment: &Experiment,
    specs: &VariantSpecs,
    baseline: &str,
    matching: Option<Match>,
    errors: &mut Vec<Diagnostic>,
) {
    let Some(list) = tree.get("claims").filter(|list| !list.items().is_empty()) else {
        return;
    };
    let sweep = experiment.sweep.as_ref();
    if sweep.is_none() && is_overridden(tree, &["sweep"]) {
        let kind = ErrorKind::ClaimsWithoutSweep;
        return errors.push(Diagnostic::new(list.span, kind));
    }
    let seeds = sweep.map_or(1, |sweep| match sweep.seeds.sequential() {
        Some(range) => range.min as usize,
        None => sweep.seeds.all().len(),
    });
    let checks = Checks {
        specs,
        baseline,
        seeds,
        // With an override, claims stay open rather than being errors.
        are_seeds_overridden: is_overridden(tree, &["sweep.seeds"]),
        tree,
        matching,
    };
    for (item, claim) in list.items().iter().zip(&experiment.claims) {
        if errors.len() >= MAX_ERRORS {
            return;
        }
        let mut report = |key: &str, kind| {
            let span = item.get(key).map_or(item.span, |value| value.span);
            errors.push(Diagnostic::new(span, kind));
        };
        match claim.statement() {
            None => wrong_statement(claim, &mut report),
            Some(statement) => {
                keys_without_effect(item, statement, &mut report);
                checks.check(claim, statement, &mut report);
            }
        }
    }
}

/// What the claims are checked against.
struct Checks<'a> {
    specs: &'a VariantSpecs<'a>,
    baseline: &'a str,
    /// Number of seeds with which claims are tested.
    seeds: usize,
    are_seeds_overridden: bool,
    tree: &'a Node,
    matching: Option<Match>,
}

/// Reports an error at the value of a key of a claim.
type Report<'r> = dyn FnMut(&str, ErrorKind) + 'r;

impl Checks<'_> {
    fn check(&self, claim: &Claim, statement: Statement, report: &mut Report) {
        let with_target = !matches!(statement, Statement::BetterThan { .. });
        if self.seeds < 2 && claim.sigma.is_none() && !self.are_seeds_overridden {
            report("", ErrorKind::ClaimOneSeed { with_target });
        }
        let Some(spec) = self.variant("variant", &claim.variant, report) else {
            return;
        };
        self.check_metric(claim, spec, report);
        let Statement::BetterThan { variant, .. } = statement else {
            return;
        };
        let Some(other) = self.variant("better_than", variant, report) else {
            return;
        };
        if other.variant == spec.variant {
            let kind = ErrorKind::ClaimWithItself(spec.variant.clone());
            return report("better_than", kind);
        }
        self.check_metric(claim, other, report);
        if claim.metric.is_per_token() && !have_same_tokens(spec, other) {
            let kind = ErrorKind::ClaimTokenizers {
                first: spec.variant.clone(),
                second: other.variant.clone(),
            };
            report("metric", kind);
        }
    }

    /// The variant that a claim names under a key.
    fn variant(&self, key: &str, name: &str, report: &mut Report) -> Option<&RunSpec> {
        let find = |name: &str| self.specs.first_of(name);
        let name = Claim::variant_named(name, self.baseline, |name| find(name).is_some());
        let found = find(name);
        if found.is_none() {
            let kind = ErrorKind::NamesUnknownVariant {
                list: "claims",
                name: shortened(name),
                hint: hint(name, self.specs.names()),
            };
            report(key, kind);
        }
        found
    }

    /// Whether the runs of a variant measure the metric of a claim at its step.
    fn check_metric(&self, claim: &Claim, spec: &RunSpec, report: &mut Report) {
        if claim.metric == ClaimMetric::TrainSplitLoss && !spec.train.eval_train {
            let variant = spec.variant.clone();
            report("metric", ErrorKind::ClaimTrainSplitLoss { variant });
        }
        let Some(step) = claim.at_step else {
            return;
        };
        let is_baseline = spec.variant == self.baseline;
        let kind = match claim.metric.loss() {
            None => Some(ErrorKind::ClaimStepOfRun),
            Some(_) if !are_steps_known(self.tree, self.matching, is_baseline) => None,
            Some(loss) => wrong_step(loss, step, self.specs, &spec.variant),
        };
        if let Some(kind) = kind {
            report("at_step", kind);
        }
    }
}

/// Reports that a claim says nothing, or more than one thing.
fn wrong_statement(claim: &Claim, report: &mut Report) {
    let has = [
        claim.better_than.is_some(),
        claim.below.is_some(),
        claim.above.is_some(),
    ];
    let stated = STATEMENTS.into_iter().zip(has);
    let stated: Vec<_> = stated.filter(|(_, has)| *has).map(|(key, _)| key).collect();
    match stated.last() {
        None => report("", ErrorKind::ClaimWithoutStatement),
        Some(last) => report(last, ErrorKind::ClaimStatements(stated.clone())),
    }
}

/// Reports the keys that apply to other statements.
fn keys_without_effect(item: &Node, statement: Statement, report: &mut Report) {
    let target = match statement {
        Statement::BetterThan { .. } => None,
        Statement::Below(_) => Some("below"),
        Statement::Above(_) => Some("above"),
    };
    let unused = match target {
        None => &["sigma"][..],
        Some(_) => &["by", "test"],
    };
    let statement = target.unwrap_or("better_than");
    for &key in unused.iter().filter(|key| item.get(key).is_some()) {
        report(key, ErrorKind::ClaimNoEffect { key, statement });
    }
}

#[cfg(test)]
mod tests {
    fn is_valid(sweep: &str, claim: &str) -> bool {
        let text = format!(
            "name: x\ntrain: {{steps: 500, eval_every: 250}}\nsweep:\n  seeds: 2\n  baseline: a\n  \
             variants: {{a: {{}}, b: {{train: {{batch_size: 24}}}}}}\n{sweep}\nclaims:\n  - {claim}\n\
             expect:\n  - {{variant: b, metric: val_loss, value: 3, step: 375}}"
        );
        let document = crate::config::from_text("x.yaml", &text, &[]).unwrap();
        document.expand().is_ok()
    }

    #[test]
    fn steps_that_are_chosen_later_are_not_checked() {
        let matched = "  match: {what: tokens, by: train.steps}";
        let tuned = "  tune: {grid: {train.steps: [250, 375]}}";
        let [own, baseline] = ["b", "a"].map(|variant| {
            format!("{{variant: {variant}, metric: val_loss, below: 3, at_step: 375}}")
        });
        assert!(!is_valid("", &own));
        assert!(is_valid(matched, &own));
        assert!(!is_valid(matched, &baseline));
        assert!(is_valid(tuned, &own));
        // No combination is evaluated at this step.
        assert!(!is_valid("  tune: {grid: {train.steps: [250, 500]}}", &own));
        assert!(!is_valid(
            "  tune: {grid: {optimizer.lr: [0.1, 0.2]}}",
            &own
        ));
    }
}
