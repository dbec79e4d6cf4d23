//! Short texts for a comparison, shared by the plots and the pages.

use super::ranking::Variant;
use crate::stats::{Comparison, Verdict};
use crate::text::units;

/// Shown in place of a value that does not exist.
pub(crate) const NO_VALUE: &str = "–";

/// Both ends of the corrected 95 % interval: `−0.0312` and `−0.0101`.
pub(crate) fn interval_ends(comparison: &Comparison) -> Option<(String, String)> {
    let corrected = comparison.corrected?;
    Some((
        units::difference(corrected.low),
        units::difference(corrected.high),
    ))
}

/// The verdict on a variant in one or two words.
pub(crate) fn verdict(variant: &Variant) -> &'static str {
    if variant.is_baseline {
        return "baseline";
    }
    match variant.comparison.as_ref().map(|c| c.verdict) {
        Some(Verdict::Better) => "better",
        Some(Verdict::Worse) => "worse",
        Some(Verdict::Inconclusive) => "inconclusive",
        Some(Verdict::OneSeed) => "one seed: no interval",
        None if variant.bits_per_byte.is_empty() => "no result",
        None => "no shared seed",
    }
}
