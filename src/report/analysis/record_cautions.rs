//! What limits the trust in the records of a report, in sentences.

use crate::report::loaded_results::{Results, Run};
use crate::text::units::{exact, plural};

/// Most damaged runs that are named.
const MOST_NAMES: usize = 5;

/// Runs with a damaged file.
pub(super) fn damaged_runs(results: &Results) -> Option<String> {
    let damaged = results
        .runs
        .iter()
        .filter_map(|run| Some((run, run.damage.as_ref()?)));
    let damaged: Vec<String> = damaged
        .map(|(run, damage)| format!("{}: {damage}", run.planned.name))
        .collect();
    let named = &damaged[..damaged.len().min(MOST_NAMES)];
    let more = match damaged.len() - named.len() {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    (!damaged.is_empty()).then(|| {
        format!(
            "Nothing that these runs recorded is used, because a file is damaged: {}{more}.",
            named.join("; ")
        )
    })
}

/// A damaged record of the uses of the test split.
pub(super) fn damaged_test_uses(results: &Results) -> Option<String> {
    let damage = results.test_uses.as_ref().err()?;
    Some(format!(
        "No score on the test split is shown, because their record is damaged: {damage}."
    ))
}

/// A plan without a digest.
pub(super) fn unverified_plan(results: &Results) -> Option<String> {
    let text = "plan.json is not verified: it has no digest, so a change in it would not be noticed. `runner sweep` \
                writes it again, with a digest.";
    if results.plan_is_verified {
        return None;
    }
    Some(match contradicted_size(results) {
        Some(contradiction) => format!("{text} {contradiction}"),
        None => text.to_owned(),
    })
}

/// A run that counted other parameters than the plan states. N-gram models know them only after counting.
fn contradicted_size(results: &Results) -> Option<String> {
    let trained = results
        .runs
        .iter()
        .filter(|run| run.planned.spec.model.kind.is_trained());
    let mut counted = trained.filter_map(|run| Some((&run.planned, run.outcome()?.params)));
    let (planned, params) = counted.find(|(planned, params)| planned.params != *params)?;
    Some(format!(
        "It states {} parameters for {}, and the run counted {}.",
        exact(planned.params),
        planned.name,
        exact(params)
    ))
}

/// Runs whose files have no digests.
pub(super) fn unverified_runs(results: &Results) -> Option<String> {
    let unverified: Vec<&Run> = results.runs.iter().filter(|run| !run.is_verified).collect();
    let first = unverified.first()?;
    Some(format!(
        "{} of {}, such as {}, {} not verified: an earlier version of runner trained them and recorded no digests of \
         their files, so damage to these files would not be noticed.",
        unverified.len(),
        plural(results.runs.len(), "run"),
        first.planned.name,
        if unverified.len() == 1 { "is" } else { "are" },
    ))
}
