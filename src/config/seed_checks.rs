//! The seeds of a sweep, before they are typed.

use super::diagnostic::Diagnostic;
use super::error_kind::ErrorKind;
use super::tree::{Node, Value};
use std::collections::HashMap;

/// Most seeds of a variant.
pub(super) fn seed_count(sweep: &Node) -> usize {
    let Some(seeds) = sweep.get("seeds") else {
        return 1;
    };
    let count = match &seeds.value {
        Value::Seq(items) => Some(items.len()),
        Value::Map(_) => seeds.get("max").and_then(integer),
        _ => integer(seeds),
    };
    count.unwrap_or(1).max(1)
}

/// The value of a node that is an integer of a reasonable size.
pub(super) fn integer(node: &Node) -> Option<usize> {
    match node.value {
        Value::Int(int) => usize::try_from(int).ok(),
        _ => None,
    }
}

/// Reports a range of seeds that is empty, and seeds that are listed twice.
pub(super) fn check_seeds(sweep: &Node, errors: &mut Vec<Diagnostic>) {
    let Some(seeds) = sweep.get("seeds") else {
        return;
    };
    if let (Some(min), Some(max)) = (seeds.get("min"), seeds.get("max"))
        && let (&Value::Int(least), &Value::Int(most)) = (&min.value, &max.value)
        && least > most
    {
        let kind = ErrorKind::SeedRange { least, most };
        errors.push(Diagnostic::new(max.span, kind).related(min.span, "the minimum"));
    }
    let mut spans = HashMap::new();
    for seed in seeds.items() {
        let Value::Int(int) = seed.value else {
            continue;
        };
        if let Some(first) = spans.insert(int, seed.span) {
            let kind = ErrorKind::DuplicateSeed(u64::try_from(int).unwrap_or_default());
            errors.push(Diagnostic::new(seed.span, kind).related(first, "first listed here"));
        }
    }
}
