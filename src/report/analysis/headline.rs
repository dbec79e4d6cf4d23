//! What the headline of a report says of the order of the variants.

use super::ranking::{Ranking, Variant};
use super::wording::shortened;
use crate::text::units::plural;

/// The value by which the best variant is ranked, and what it is a mean of.
pub(super) fn reached(ranking: &Ranking, best: &Variant) -> String {
    // Another variant can have a better mean on other seeds.
    if let (false, false, Some(value), Some(comparison)) = (
        best.is_baseline,
        ranking.has_best_mean(best),
        best.ranked_by,
        best.comparison,
    ) {
        return format!(
            "{} (mean of the baseline plus the mean difference on {})",
            ranking.metric.with_unit(value),
            plural(comparison.pairs, "shared seed"),
        );
    }
    let seeds = match best.values.len() {
        _ if best.is_seed_free => "the same for every seed".to_owned(),
        1 => "one seed".to_owned(),
        n => format!("mean of {n} seeds"),
    };
    let mean = best.mean().unwrap_or(f64::NAN);
    format!("{} ({seeds})", ranking.metric.with_unit(mean))
}

/// Which variants a superlative is about: ` of the complete variants, tied with b`. Empty if the best variant is
/// the only one, and the best of all.
pub(super) fn scope(ranking: &Ranking, best: &Variant) -> String {
    let has_incomplete = ranking.ranked().any(Variant::is_incomplete);
    let scope = match has_incomplete && !best.is_incomplete() {
        true => " of the complete variants",
        false => "",
    };
    let equal = ranking.ranked().filter(|variant| {
        variant.rank.is_some() && variant.rank == best.rank && variant.name != best.name
    });
    let equal: Vec<String> = equal.map(|variant| variant.name.to_owned()).collect();
    match equal.is_empty() {
        true => scope.to_owned(),
        false => format!("{scope}, tied with {}", shortened(equal)),
    }
}

/// A sentence with the variants of which not every run has a result, with a space before it. Empty without one.
pub(super) fn incomplete(ranking: &Ranking) -> String {
    let variants = || ranking.variants.iter().filter(|v| !v.runs.is_empty());
    let incomplete = variants().filter(|variant| variant.is_incomplete());
    let incomplete: Vec<String> = incomplete
        .map(|v| format!("{} ({} of {})", v.name, v.values.len(), v.runs.len()))
        .collect();
    if incomplete.is_empty() {
        return String::new();
    }
    let reason = match variants().all(Variant::is_incomplete) {
        true => "Not every seed has a result",
        false => "Ranked after the others, because not every seed has a result",
    };
    format!(" {reason}: {}.", shortened(incomplete))
}
