//! `path=value` of the command line, as a tree to write over the document.

use super::diagnostic::Diagnostic;
use super::error_kind::{Problem, shortened};
use super::merge::merge;
use super::parse::parse;
use super::spans::{Place, Sources};
use super::tree::{Entry, Layer, Node, Value};

/// All overrides as one tree, later ones over earlier ones. The document says which variants there
/// are, whose names may have dots.
pub(super) fn tree(sources: &Sources, document: &Node, found: &mut Vec<Diagnostic>) -> Node {
    let start = Place {
        source: document.place.source,
        start: 0,
        end: 0,
    };
    let mut all = Node::empty_map(start);
    for (source, text) in sources.overrides() {
        match one(source, text, document, found) {
            Ok(one) => all = merge(&all, &one, Layer::Override),
            Err(diagnostic) => found.push(diagnostic),
        }
    }
    all
}

fn one(
    source: usize,
    text: &str,
    document: &Node,
    found: &mut Vec<Diagnostic>,
) -> Result<Node, Diagnostic> {
    let whole = Place {
        source,
        start: 0,
        end: text.len(),
    };
    let Some((path, value)) = text.split_once('=') else {
        let problem = Problem::NoOverride(shortened(text));
        return Err(Diagnostic::new(whole, problem));
    };
    let segments = segments(path, document);
    if segments.is_empty() || segments.iter().any(|(_, segment)| segment.is_empty()) {
        let problem = Problem::NoOverride(shortened(text));
        return Err(Diagnostic::new(whole, problem));
    }
    let end = Place {
        start: text.len(),
        ..whole
    };
    let value = parse(value, source, path.len() + 1, found)?.unwrap_or(Node {
        place: end,
        value: Value::Null,
    });
    Ok(segments.into_iter().rev().fold(value, |value, (at, key)| {
        let key_place = Place {
            source,
            start: at,
            end: at + key.len(),
        };
        Node {
            place: whole,
            value: Value::Map(vec![Entry {
                key: key.to_owned(),
                key_place,
                layer: Layer::Override,
                value,
            }]),
        }
    }))
}

/// The keys of a path with their places in it. A path under `sweep.grid` is one key, and so is the
/// name of a variant.
fn segments<'a>(path: &'a str, document: &Node) -> Vec<(usize, &'a str)> {
    let mut segments = Vec::new();
    let mut at = 0;
    while at <= path.len() {
        // Deeper than any field, and each level costs stack later.
        if segments.len() > 16 {
            return Vec::new();
        }
        let rest = &path[at..];
        let above: Vec<_> = segments.iter().map(|(_, key)| *key).collect();
        let len = match above[..] {
            ["sweep", "grid"] => rest.len(),
            ["sweep", "variants"] => variant_len(rest, document),
            _ => rest.find('.').unwrap_or(rest.len()),
        };
        segments.push((at, &rest[..len]));
        at += len + 1;
    }
    segments
}

/// Length of the longest name of a variant that a path starts with, or else of its first part.
fn variant_len(path: &str, document: &Node) -> usize {
    let variants = document.at("sweep.variants").map(|entry| &entry.value);
    let names = variants.into_iter().flat_map(Node::entries);
    let starts = names.filter(|entry| {
        let rest = path.strip_prefix(&entry.key);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    });
    let longest = starts.map(|entry| entry.key.len()).max();
    longest.unwrap_or_else(|| path.find('.').unwrap_or(path.len()))
}
