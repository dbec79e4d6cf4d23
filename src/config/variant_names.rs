//! Names of grid variants, from their values: short, and legal as the name of a folder.

use super::spans::Sources;
use super::tree::{Node, Value};
use crate::hash::sha256;
use std::collections::HashSet;

/// Longest name, as for variants that are named in the file.
const LONGEST: usize = 64;

/// `rmsnorm+n_layer-2` for `{model.norm: rmsnorm, model.n_layer: 2}`, after the name of the
/// variant where there is one. Words stand for themselves, numbers need their key.
pub(super) fn of_combination(
    variant: Option<&str>,
    values: &[(String, Node)],
    sources: &Sources,
) -> String {
    let values = values.iter().map(|(path, value)| {
        let key = path.rsplit('.').next().unwrap_or(path);
        of_value(key, value, sources)
    });
    let parts: Vec<_> = variant
        .map(str::to_owned)
        .into_iter()
        .chain(values)
        .collect();
    shortened(parts.join("+"))
}

fn of_value(key: &str, value: &Node, sources: &Sources) -> String {
    match &value.value {
        Value::Str(text) if !legal(text).is_empty() => legal(text),
        Value::Map(entries) if !entries.is_empty() => {
            let parts = entries.iter().map(|e| of_value(&e.key, &e.value, sources));
            parts.collect::<Vec<_>>().join("-")
        }
        Value::Seq(items) => {
            let parts = items.iter().map(|item| legal(sources.text(item.place)));
            format!("{key}-{}", parts.collect::<Vec<_>>().join("-"))
        }
        Value::Str(_) | Value::Map(_) => format!("{key}-none"),
        // As it is written: 1e-3 rather than 0.001, where that is how the file has it.
        _ => format!("{key}-{}", legal(sources.text(value.place))),
    }
}

/// A text with `-` for everything that a name may not have.
fn legal(text: &str) -> String {
    let keep = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let mapped: String = text
        .chars()
        .map(|c| if keep(c) { c } else { '-' })
        .collect();
    mapped.trim_matches(['-', '.']).to_owned()
}

/// A name that is too long ends in a hash of itself instead.
fn shortened(name: String) -> String {
    if name.len() <= LONGEST {
        return name;
    }
    let hash = &sha256(name.as_bytes())[..8];
    // All characters are ASCII, so that any cut is between two.
    format!("{}-{hash}", &name[..LONGEST - 1 - hash.len()])
}

/// Numbers names that values gave twice: `a/b` and `a-b` are both `a-b`.
pub(super) fn make_unique<'a>(names: impl Iterator<Item = &'a mut String>) {
    let mut taken = HashSet::new();
    for name in names {
        let plain = name.clone();
        let mut number = 2;
        while !taken.insert(name.clone()) {
            *name = format!("{plain}-{number}");
            number += 1;
        }
    }
}
