//! How variants were matched to the baseline, in words.

use crate::results::{MatchedVariant, SweepPlan};
use crate::spec::{Match, MatchedQuantity};
use crate::text::units;

/// One line for each variant that `sweep.match` concerns: the chosen value, and the difference from the
/// baseline that remains. Empty without `sweep.match`.
pub fn matched_variants(plan: &SweepPlan) -> Vec<String> {
    let Some(matching) = matching(plan) else {
        return Vec::new();
    };
    let line = |matched: &MatchedVariant| {
        let text = match matched.chosen {
            Some(chosen) => format!(
                "{} {}, {}",
                matching.by.path(),
                chosen.value,
                remaining(matching, chosen.mismatch)
            ),
            None => NOT_MATCHED.to_owned(),
        };
        format!("{}: {text}", matched.variant)
    };
    plan.matched.iter().map(line).collect()
}

const NOT_MATCHED: &str = "not matched, because it is another kind of model";

/// What the matching left of the difference between a variant and the baseline, in a few words. `None`
/// for the baseline, and without `sweep.match`.
pub(crate) fn remaining_difference(plan: &SweepPlan, variant: &str) -> Option<String> {
    let matched = plan.matched.iter().find(|one| one.variant == variant)?;
    Some(match matched.chosen {
        Some(chosen) => {
            let remaining = remaining(matching(plan)?, chosen.mismatch);
            format!("matched: {remaining}")
        }
        None => NOT_MATCHED.to_owned(),
    })
}

/// Whether a quantity of a variant was matched to that of the baseline.
pub(crate) fn is_matched(plan: &SweepPlan, variant: &str, what: MatchedQuantity) -> bool {
    let is_chosen = |one: &MatchedVariant| one.variant == variant && one.chosen.is_some();
    matching(plan).is_some_and(|matching| matching.what == what)
        && plan.matched.iter().any(is_chosen)
}

fn matching(plan: &SweepPlan) -> Option<Match> {
    plan.experiment.sweep.as_ref()?.matching
}

fn remaining(matching: Match, mismatch: f64) -> String {
    format!("{} {}", matching.what.name(), units::mismatch(mismatch))
}
