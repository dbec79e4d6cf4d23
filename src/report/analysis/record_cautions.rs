//! What limits the trust in the records of a report, in sentences.

use crate::report::loaded_results::{Results, Run};
use crate::text::units::plural;

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
