//! The `path=value` overrides of the command line, as a tree that is merged into the document.

use super::diagnostic::Diagnostic;
use super::error_kind::{ErrorKind, shortened};
use super::extended_files::EXTENDS;
use super::limits::MAX_OVERRIDE_KEYS;
use super::merge::merge;
use super::parse::parse;
use super::spans::{Sources, Span};
use super::tree::{Entry, Layer, Node, Value};

/// All overrides as one tree. A later override replaces an earlier one. The names of the variants,
/// which may contain dots, come from the document.
pub(super) fn tree(sources: &Sources, document: &Node, errors: &mut Vec<Diagnostic>) -> Node {
    let start = Span {
        source: document.span.source,
        start: 0,
        end: 0,
    };
    let mut all = Node::empty_map(start);
    for (source, text) in sources.overrides() {
        match one(source, text, document, errors) {
            Ok(one) => all = merge(&all, &one, Layer::Override),
            Err(diagnostic) => errors.push(diagnostic),
        }
    }
    all
}

fn one(
    source: usize,
    text: &str,
    document: &Node,
    errors: &mut Vec<Diagnostic>,
) -> Result<Node, Diagnostic> {
    let whole = Span {
        source,
        start: 0,
        end: text.len(),
    };
    let Some((path, value)) = text.split_once('=') else {
        let kind = ErrorKind::InvalidOverride(shortened(text));
        return Err(Diagnostic::new(whole, kind));
    };
    let segments = segments(path, document);
    if segments.is_empty() || segments.iter().any(|(_, segment)| segment.is_empty()) {
        let kind = ErrorKind::InvalidOverride(shortened(text));
        return Err(Diagnostic::new(whole, kind));
    }
    if segments[0].1 == EXTENDS {
        return Err(Diagnostic::new(whole, ErrorKind::ExtendsOverridden));
    }
    let end = Span {
        start: text.len(),
        ..whole
    };
    let value = parse(value, source, path.len() + 1, errors)?.unwrap_or(Node {
        span: end,
        value: Value::Null,
    });
    Ok(segments.into_iter().rev().fold(value, |value, (at, key)| {
        let key_span = Span {
            source,
            start: at,
            end: at + key.len(),
        };
        Node {
            span: whole,
            value: Value::Map(vec![Entry {
                key: key.to_owned(),
                key_span,
                layer: Layer::Override,
                value,
            }]),
        }
    }))
}

/// The keys of a path with their byte offsets. What follows `sweep.grid`, or another mapping by paths, is one key,
/// and so is the name of a variant.
fn segments<'a>(path: &'a str, document: &Node) -> Vec<(usize, &'a str)> {
    let mut segments = Vec::new();
    let mut at = 0;
    while at <= path.len() {
        if segments.len() > MAX_OVERRIDE_KEYS {
            return Vec::new();
        }
        let rest = &path[at..];
        let above: Vec<_> = segments.iter().map(|(_, key)| *key).collect();
        let len = match above[..] {
            ["sweep", "grid" | "zip"] | ["sweep", "tune", "grid" | "zip"] => rest.len(),
            ["sweep", "random", "settings"] | ["sweep", "tune", "random", "settings"] => rest.len(),
            ["sweep", "variants"] => variant_len(rest, document),
            _ => rest.find('.').unwrap_or(rest.len()),
        };
        segments.push((at, &rest[..len]));
        at += len + 1;
    }
    segments
}

/// Length of the longest variant name that a path starts with, or of the first part of the path.
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
