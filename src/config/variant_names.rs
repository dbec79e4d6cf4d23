//! Names of grid variants, made from their values. A name is short and valid as a folder name.

use super::canonical_names::FormerNames;
use super::grid::Setting;
use super::limits::MAX_NAME;
use super::spans::{Sources, Span};
use super::tree::{Node, Value};
use crate::hash::sha256;
use std::collections::{HashMap, HashSet};

/// The name of a combination: `rmsnorm+n_layer-2` for `{model.norm: rmsnorm, model.n_layer: 2}`,
/// after the name of the variant if there is one. Numbers get their key, words do not.
pub(super) fn of_combination(
    variant: Option<&str>,
    settings: &[Setting],
    sources: &Sources,
    former_names: &FormerNames,
) -> String {
    let values = settings.iter().map(|setting| {
        let key = setting.path.rsplit('.').next().unwrap_or(setting.path);
        of_value(key, setting.path_span, setting.value, sources, former_names)
    });
    let parts: Vec<_> = variant
        .map(str::to_owned)
        .into_iter()
        .chain(values)
        .collect();
    shortened(parts.join("+"))
}

fn of_value(
    key: &str,
    key_span: Span,
    value: &Node,
    sources: &Sources,
    former_names: &FormerNames,
) -> String {
    let key = former_names.as_written(key, key_span);
    match &value.value {
        Value::Str(text) if !sanitized(text).is_empty() => {
            sanitized(former_names.as_written(text, value.span))
        }
        Value::Map(entries) if !entries.is_empty() => {
            let parts = entries.iter().map(|entry| {
                of_value(
                    &entry.key,
                    entry.key_span,
                    &entry.value,
                    sources,
                    former_names,
                )
            });
            parts.collect::<Vec<_>>().join("-")
        }
        Value::Seq(items) => {
            let parts = items.iter().map(|item| sanitized(sources.text(item.span)));
            format!("{key}-{}", parts.collect::<Vec<_>>().join("-"))
        }
        Value::Str(_) | Value::Map(_) => format!("{key}-none"),
        _ => format!("{key}-{}", sanitized(&written(value, sources))),
    }
}

/// A value as it is written in the file, for example 1e-3 rather than 0.001. The span of a drawn number is the list of
/// its ends.
fn written(value: &Node, sources: &Sources) -> String {
    let text = sources.text(value.span);
    match value.value {
        Value::Float(number) if text.starts_with('[') && number.abs() < 1e-3 => {
            format!("{number:e}")
        }
        Value::Float(number) if text.starts_with('[') => number.to_string(),
        Value::Int(number) if text.starts_with('[') => number.to_string(),
        _ => text.to_owned(),
    }
}

/// A text in which `-` replaces every character that a name must not contain.
fn sanitized(text: &str) -> String {
    let keep = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let mapped: String = text
        .chars()
        .map(|c| if keep(c) { c } else { '-' })
        .collect();
    mapped.trim_matches(['-', '.']).to_owned()
}

/// A name of at most [`MAX_NAME`] characters. A longer one is cut and ends in a hash of itself.
fn shortened(name: String) -> String {
    if name.len() <= MAX_NAME {
        return name;
    }
    let hash = &sha256(name.as_bytes())[..8];
    // All characters are ASCII, so that a cut never splits one.
    format!("{}-{hash}", &name[..MAX_NAME - 1 - hash.len()])
}

/// Adds a number to each name that occurs before: `a/b` and `a-b` both give `a-b`.
pub(super) fn make_unique<'a>(names: impl Iterator<Item = &'a mut String>) {
    let mut taken = HashSet::new();
    // The next number of each name. Without it, thousands of equal names would take quadratic time.
    let mut next: HashMap<String, usize> = HashMap::new();
    for name in names {
        if taken.insert(name.clone()) {
            continue;
        }
        let plain = name.clone();
        let number = next.entry(plain.clone()).or_insert(2);
        while !taken.insert(name.clone()) {
            *name = format!("{plain}-{number}");
            *number += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// If the numbers of a name were tried from the first one each time, this test would take minutes.
    #[test]
    fn equal_names_are_numbered() {
        let mut names = vec!["a".to_owned(); 50_000];
        names[1] = "a-2".to_owned();
        make_unique(names.iter_mut());
        assert_eq!(names[..4], ["a", "a-2", "a-3", "a-4"]);
        assert_eq!(names[49_999], "a-50000");
        let distinct: HashSet<&String> = names.iter().collect();
        assert_eq!(distinct.len(), names.len());
    }
}
