//! Checks of `sweep.match` that need no data.

use super::diagnostic::Diagnostic;
use super::error_kind::ErrorKind;
use super::tree::{Entry, Layer, Node, Value};
use super::variants::{Variant, Variants};
use crate::spec::{Match, MatchedQuantity, MatchedSetting, RunSpec, TrainingLength};

/// All errors of `sweep.match`. `resolved` are the variants at all their sizes. Each size is matched to the baseline
/// of its size.
pub(super) fn check(
    document: &Node,
    matching: Match,
    variants: &Variants,
    resolved: &[(&Variant, RunSpec)],
    baseline: &str,
) -> Vec<Diagnostic> {
    let Match { what, by, .. } = matching;
    let span = |path: &str| {
        let entry = document.nearest(path);
        entry.map_or(document.span, |entry| entry.value.span)
    };
    let valid: Vec<_> = what.settings().iter().map(|one| one.path()).collect();
    if !what.settings().contains(&by) {
        let kind = ErrorKind::MatchPair {
            what: what.key(),
            by: by.path(),
            valid,
        };
        return vec![Diagnostic::new(span("sweep.match.by"), kind)];
    }
    let of_baseline = resolved.iter().filter(|(v, _)| v.name == baseline);
    let of_baseline: Vec<_> = of_baseline.collect();
    if of_baseline.is_empty() {
        return Vec::new(); // an unknown baseline is reported elsewhere
    }
    let is_covered = |(variant, spec): &&(&Variant, RunSpec)| {
        let mut of_baseline = of_baseline.iter();
        let own = of_baseline.find(|(of, _)| of.smaller_size == variant.smaller_size);
        own.is_some_and(|(_, own)| matching.covers(spec.model.kind, own.model.kind))
    };
    let others = resolved.iter().filter(|(v, _)| v.name != baseline);
    let covered: Vec<_> = others.filter(is_covered).collect();
    if covered.is_empty() {
        let key = document.nearest("sweep.match");
        let span = key.map_or(document.span, |entry| entry.key_span);
        let kind = ErrorKind::MatchesNothing { by: by.path() };
        return vec![Diagnostic::new(span, kind)];
    }
    let is_timed = |(_, spec): &&&(&Variant, RunSpec)| {
        matches!(spec.train.length(), TrainingLength::Seconds(_))
    };
    let with_baseline = covered.iter().chain(of_baseline.iter().filter(is_timed));
    let conflicts = with_baseline.filter_map(|(variant, spec)| {
        let (tree, length) = (&variant.tree, spec.train.length());
        let kind = ErrorKind::MatchLength {
            what: what.key(),
            by: by.path(),
            length: length.path(),
        };
        let entry = tree.nearest(length.path());
        let span = entry.map_or(tree.span, |entry| entry.value.span);
        let size = variants.size_of(variant);
        is_fixed(matching, length).then(|| Diagnostic::new(span, kind).at_size(size))
    });
    let mut errors: Vec<_> = conflicts.collect();
    let others: Vec<_> = valid
        .into_iter()
        .filter(|path| *path != by.path())
        .collect();
    let set = covered.iter().filter_map(|(variant, _)| {
        let (path, entry) = set_by_variant(&variant.tree, by)?;
        let kind = ErrorKind::MatchedSettingIsSet {
            by: by.path(),
            set: path,
            others: others.clone(),
        };
        let diagnostic = Diagnostic::new(entry.value.span, kind);
        let diagnostic = diagnostic.at_size(variants.size_of(variant));
        Some(diagnostic.related(span("sweep.match.by"), "chosen here"))
    });
    errors.extend(set);
    errors
}

/// Whether the quantity cannot be matched with a length of training: because it is not known in advance,
/// or because the length decides it, so that no setting of the model changes it.
fn is_fixed(matching: Match, length: TrainingLength) -> bool {
    let cost = matches!(
        matching.what,
        MatchedQuantity::Flops | MatchedQuantity::Time
    );
    match length {
        TrainingLength::Seconds(_) => matching.what.depends_on_length(),
        TrainingLength::Flops(_) => cost && matching.by != MatchedSetting::Steps,
        _ => false,
    }
}

/// The path and the entry of the matched setting, if the variant or the grid sets it. Every length of
/// training sets the number of steps.
fn set_by_variant(variant: &Node, by: MatchedSetting) -> Option<(&'static str, &Entry)> {
    let paths = match by {
        MatchedSetting::Steps => TrainingLength::PATHS.to_vec(),
        _ => vec![by.path()],
    };
    paths.into_iter().find_map(|path| {
        let entry = variant.at(path)?;
        let of_variant = matches!(entry.layer, Layer::Variant | Layer::Grid);
        (of_variant && entry.value.value != Value::Null).then_some((path, entry))
    })
}
