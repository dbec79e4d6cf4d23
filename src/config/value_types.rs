//! What a value is, what it should be, and what to write instead.

use super::error_kind::{ErrorKind, alternatives, shortened};
use super::schema;
use super::spans::Sources;
use super::tree::{Node, Value};
use serde_json::Value as Json;

/// 2^64, the smallest number that is too large for every integer field.
pub(super) const TOO_LARGE: f64 = 18_446_744_073_709_551_616.0;

/// The types that a schema allows, including those of its alternatives.
pub(super) fn types(schema: &'static Json) -> Vec<&'static str> {
    let schema = schema::resolve(schema);
    let mut all: Vec<_> = match &schema["type"] {
        Json::String(name) => vec![name.as_str()],
        Json::Array(names) => names.iter().filter_map(Json::as_str).collect(),
        _ => Vec::new(),
    };
    for key in ["oneOf", "anyOf"] {
        let alternatives = schema[key].as_array().into_iter().flatten();
        all.extend(alternatives.flat_map(types));
    }
    all
}

pub(super) fn accepts(schema: &'static Json, node: &Node) -> bool {
    types(schema).into_iter().any(|name| match &node.value {
        Value::Null => name == "null",
        Value::Bool(_) => name == "boolean",
        Value::Int(_) => name == "integer" || name == "number",
        // An integer that is too long to be read as one is accepted here: its range is checked later.
        Value::Float(value) => name == "number" || name == "integer" && value.abs() >= TOO_LARGE,
        Value::Str(_) => name == "string",
        Value::Seq(_) => name == "array",
        Value::Map(_) => name == "object",
    })
}

pub(super) fn type_name(node: &Node) -> &'static str {
    match node.value {
        Value::Null => "`null`",
        Value::Bool(_) => "a boolean",
        Value::Int(_) => "an integer",
        Value::Float(_) => "a floating-point number",
        Value::Str(_) => "a string",
        Value::Seq(_) => "a list",
        Value::Map(_) => "a mapping",
    }
}

pub(super) fn wrong_type(
    node: &Node,
    schema: &'static Json,
    path: &str,
    sources: &Sources,
) -> ErrorKind {
    let types = types(schema);
    let words = types.iter().map(|name| match *name {
        "boolean" => "`true` or `false`",
        "integer" => "an integer",
        "number" => "a number",
        "string" => "a string",
        "array" => "a list",
        "object" => "a mapping",
        _ => "`null`",
    });
    ErrorKind::WrongType {
        subject: section_name(path),
        expected: alternatives(&words.collect::<Vec<_>>()),
        found: type_name(node),
        remedy: remedy_of_path(node, path)
            .or_else(|| remedy_of_axis(node, path))
            .or_else(|| remedy_of_section(node, schema))
            .or_else(|| remedy(node, &types, sources.text(node.span))),
    }
}

/// What to write instead, for lists that are written in another way than expected.
fn remedy_of_path(node: &Node, path: &str) -> Option<String> {
    match (path, &node.value) {
        ("sweep.variants", Value::Seq(items)) => {
            let names: Option<Vec<&str>> = items.iter().map(Node::as_str).collect();
            let names = names.filter(|names| (1..=10).contains(&names.len()));
            let variants = names.unwrap_or_else(|| vec!["a", "b"]);
            let variants: Vec<_> = variants
                .iter()
                .map(|name| format!("{name}: {{}}"))
                .collect();
            Some(format!("write `variants: {{{}}}`", variants.join(", ")))
        }
        ("sweep.seeds", _) => Some(
            "write a list such as `[1, 2, 3]`, a number of seeds such as `3`, or \
             `{min: 3, max: 12, until: decided}`"
                .to_owned(),
        ),
        ("compare", Value::Int(_) | Value::Float(_)) => {
            Some("write `compare: {margin: 0.01}`".to_owned())
        }
        ("sweep.match.tolerance", Value::Int(_) | Value::Float(_)) => {
            Some("write a percentage, such as `1%`".to_owned())
        }
        _ => None,
    }
}

/// What to write instead of a section in a grid.
fn remedy_of_axis(node: &Node, path: &str) -> Option<String> {
    let grids = [
        "sweep.grid.",
        "sweep.tune.grid.",
        "sweep.zip.",
        "sweep.tune.zip.",
    ];
    let (grid, axis) = grids
        .iter()
        .find_map(|grid| Some((grid, path.strip_prefix(grid)?)))?;
    let inner = node.entries().first().filter(|_| !axis.contains('['))?;
    let key = grid.split('.').rev().nth(1)?;
    Some(format!(
        "a key of `{key}` is a whole path; write `{axis}.{}: [...]`",
        inner.key
    ))
}

/// What to write instead of the kind of a section, such as `schedule: cosine`.
fn remedy_of_section(node: &Node, schema: &'static Json) -> Option<String> {
    let text = node.as_str()?;
    let (_, kind) = schema::fields(schema).find(|(key, _)| *key == "kind")?;
    let mut kinds = schema::choices(kind)?.into_iter();
    kinds
        .any(|(choice, _)| choice == text)
        .then(|| format!("write `{{kind: {text}}}`"))
}

/// What to write instead, if the intention is clear.
fn remedy(node: &Node, types: &[&str], written: &str) -> Option<String> {
    let wants = |name: &str| types.contains(&name);
    let written = shortened(written);
    match &node.value {
        Value::Str(text) if wants("integer") || wants("number") => {
            let plain: String = text.chars().filter(|c| !matches!(c, '_' | ',')).collect();
            let number = plain.trim().parse::<f64>().is_ok_and(f64::is_finite);
            number.then(|| format!("write `{}`, without quotes or separators", plain.trim()))
        }
        Value::Float(value) if wants("integer") => {
            (value.fract() == 0.0 && value.abs() < 1e15).then(|| format!("write `{value}`"))
        }
        Value::Str(text) if wants("boolean") => match text.to_lowercase().as_str() {
            "yes" | "on" | "y" | "true" => Some("write `true`".to_owned()),
            "no" | "off" | "n" | "false" => Some("write `false`".to_owned()),
            _ => None,
        },
        Value::Int(_) | Value::Float(_) | Value::Bool(_) if wants("string") => {
            Some(format!("write it in quotes: `\"{written}\"`"))
        }
        Value::Null if wants("string") => {
            Some("write `\"\"` for an empty string, or remove the key".to_owned())
        }
        Value::Null if wants("object") => {
            Some("a key without a value is `null`; write `{}`, or remove the key".to_owned())
        }
        Value::Null => {
            Some("a key without a value is `null`; write a value, or remove the key".to_owned())
        }
        Value::Int(_) | Value::Float(_) | Value::Str(_) | Value::Bool(_) if wants("array") => {
            Some(format!("write a list: `[{written}]`"))
        }
        _ => None,
    }
}

/// The path of a section in quotes, or the whole experiment in words.
pub(super) fn section_name(path: &str) -> String {
    if path.is_empty() {
        "the experiment".to_owned()
    } else {
        format!("`{path}`")
    }
}
