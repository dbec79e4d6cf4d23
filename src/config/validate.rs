//! Structural validation: a tree against the JSON Schema, all mistakes at once.

use super::diagnostic::{Diagnostic, MOST_FOUND};
use super::error_kind::{Hint, Problem, shortened};
use super::schema::{self, VARIANT_SECTIONS};
use super::spans::Sources;
use super::suggest::{choice, hint};
use super::tree::{Entry, Node, Value};
use regex::Regex;
use serde_json::Value as Json;
use std::collections::HashMap;

/// Everything in which a document is not what the schema says.
pub(super) fn validate(root: &Node, sources: &Sources) -> Vec<Diagnostic> {
    let mut validator = Validator {
        sources,
        patterns: HashMap::new(),
        found: Vec::new(),
    };
    validator.check(root, schema::root(), "");
    validator.found.truncate(MOST_FOUND);
    validator.found
}

/// 2^64: from here on, numbers fit no integer field.
const WIDEST: f64 = 18_446_744_073_709_551_616.0;

struct Validator<'a> {
    sources: &'a Sources,
    /// Compiled once, since a sweep may have thousands of names to match.
    patterns: HashMap<&'static str, Option<Regex>>,
    found: Vec<Diagnostic>,
}

impl Validator<'_> {
    fn report(&mut self, node: &Node, problem: Problem) {
        self.found.push(Diagnostic::new(node.place, problem));
    }

    fn matches(&mut self, pattern: &'static str, text: &str) -> bool {
        let compiled = self.patterns.entry(pattern);
        let compiled = compiled.or_insert_with(|| Regex::new(pattern).ok());
        compiled.as_ref().is_some_and(|regex| regex.is_match(text))
    }

    /// Checks a value at a path against a schema.
    fn check(&mut self, node: &Node, schema: &'static Json, path: &str) {
        if self.found.len() >= MOST_FOUND {
            return;
        }
        let schema = schema::resolve(schema);
        if let Some(choices) = schema::choices(schema) {
            let choices: Vec<_> = choices.into_iter().map(|(choice, _)| choice).collect();
            return self.check_choice(node, &choices, path);
        }
        let alternatives = schema.get("oneOf").or_else(|| schema.get("anyOf"));
        let alternatives = alternatives.and_then(Json::as_array);
        let fitting = match alternatives {
            Some(all) => all
                .iter()
                .map(schema::resolve)
                .find(|one| accepts(one, node)),
            None => Some(schema).filter(|schema| accepts(schema, node)),
        };
        let Some(schema) = fitting else {
            let problem = wrong_type(node, schema, path, self.sources);
            return self.report(node, problem);
        };
        match &node.value {
            Value::Int(_) | Value::Float(_) => self.check_number(node, schema, path),
            Value::Str(text) => self.check_text(node, text, schema, path),
            Value::Seq(items) => self.check_list(node, items, schema, path),
            Value::Map(entries) => self.check_mapping(node, entries, schema, path),
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn check_choice(&mut self, node: &Node, choices: &[&str], path: &str) {
        if node.as_str().is_some_and(|text| choices.contains(&text)) {
            return;
        }
        let found = shortened(self.sources.text(node.place));
        let problem = match &node.value {
            Value::Null | Value::Seq(_) | Value::Map(_) => Problem::WrongType {
                path: path.to_owned(),
                expected: one_of(choices),
                found: type_name(node),
                remedy: None,
            },
            Value::Str(text) => Problem::NoChoice {
                path: path.to_owned(),
                found: shortened(text),
                hint: choice(text, choices),
            },
            _ => Problem::NoChoice {
                path: path.to_owned(),
                hint: choice(&found, choices),
                found,
            },
        };
        self.report(node, problem);
    }

    fn check_number(&mut self, node: &Node, schema: &'static Json, path: &str) {
        let value = match node.value {
            Value::Int(int) => int as f64,
            Value::Float(float) => float,
            _ => return,
        };
        if !value.is_finite() {
            let path = path.to_owned();
            return self.report(node, Problem::NotFinite { path });
        }
        // The widest integer of a field is a `u64`, and a `f64` cannot tell its last few.
        let too_long = !types(schema).contains(&"number")
            && match node.value {
                Value::Int(int) => int > i128::from(u64::MAX),
                _ => value.abs() >= WIDEST,
            };
        if let Some(range) = broken_range(value, schema, too_long) {
            let problem = Problem::OutOfRange {
                path: path.to_owned(),
                range,
                found: shortened(self.sources.text(node.place)),
            };
            self.report(node, problem);
        }
    }

    fn check_text(&mut self, node: &Node, text: &str, schema: &'static Json, path: &str) {
        if schema["minLength"].as_u64().is_some_and(|min| min > 0) && text.is_empty() {
            let path = path.to_owned();
            return self.report(node, Problem::EmptyValue { path });
        }
        if let Some(pattern) = schema["pattern"].as_str()
            && !self.matches(pattern, text)
        {
            let problem = Problem::NoMatch {
                path: path.to_owned(),
                found: shortened(text),
                meaning: meaning(path, schema),
            };
            self.report(node, problem);
        }
    }

    fn check_list(&mut self, node: &Node, items: &[Node], schema: &'static Json, path: &str) {
        let (min, max) = (schema["minItems"].as_u64(), schema["maxItems"].as_u64());
        let len = items.len() as u64;
        if min.is_some_and(|min| len < min) || max.is_some_and(|max| len > max) {
            let problem = if items.is_empty() && max.is_none() {
                Problem::EmptyValue {
                    path: path.to_owned(),
                }
            } else {
                let range = match (min, max) {
                    (Some(min), Some(max)) if min == max => format!("{min}"),
                    (Some(min), Some(max)) => format!("{min} to {max}"),
                    (Some(min), None) => format!("at least {min}"),
                    (None, max) => format!("at most {}", max.unwrap_or_default()),
                };
                Problem::WrongLength {
                    path: path.to_owned(),
                    range,
                    found: items.len(),
                }
            };
            self.report(node, problem);
        }
        for (index, item) in items.iter().enumerate() {
            self.check(item, &schema["items"], &format!("{path}[{index}]"));
        }
    }

    fn check_mapping(&mut self, node: &Node, entries: &[Entry], schema: &'static Json, path: &str) {
        if entries.is_empty() && schema["minProperties"].as_u64().is_some() {
            let path = path.to_owned();
            self.report(node, Problem::EmptyValue { path });
        }
        for entry in entries {
            if self.found.len() >= MOST_FOUND {
                return;
            }
            let inner = join(path, &entry.key);
            if let Some(field) = schema["properties"].get(&entry.key) {
                self.check(&entry.value, field, &inner);
            } else if schema["additionalProperties"].is_object() {
                self.check_name(entry, schema);
                self.check(&entry.value, &schema["additionalProperties"], &inner);
            } else {
                let problem = unknown_key(&entry.key, schema, path);
                self.found.push(Diagnostic::new(entry.key_place, problem));
            }
        }
        let required = schema["required"].as_array();
        let required = required.into_iter().flatten().filter_map(Json::as_str);
        for key in required.filter(|key| node.get(key).is_none()) {
            let field = &schema["properties"][key];
            let problem = Problem::MissingKey {
                key: key.to_owned(),
                section: section_name(path),
                meaning: field["description"].as_str().unwrap_or_default().to_owned(),
            };
            // A whole document is no place; where it starts is.
            let place = match entries.first() {
                Some(first) if path.is_empty() => first.key_place,
                _ => node.place,
            };
            self.found.push(Diagnostic::new(place, problem));
        }
    }

    fn check_name(&mut self, entry: &Entry, schema: &'static Json) {
        if let Some(pattern) = schema["propertyNames"]["pattern"].as_str()
            && !self.matches(pattern, &entry.key)
        {
            let problem = Problem::VariantName(shortened(&entry.key));
            self.found.push(Diagnostic::new(entry.key_place, problem));
        }
    }
}

/// The range of a field, in words, where the value is not in it.
fn broken_range(value: f64, schema: &Json, too_long: bool) -> Option<String> {
    let (min, max) = (schema["minimum"].as_f64(), schema["maximum"].as_f64());
    let above = schema["exclusiveMinimum"].as_f64();
    let outside = min.is_some_and(|min| value < min)
        || above.is_some_and(|above| value <= above)
        || max.is_some_and(|max| value > max);
    if !outside && !too_long {
        return None;
    }
    let max = max.map_or_else(|| u64::MAX.to_string(), |max| max.to_string());
    let open = schema.get("maximum").is_none() && !too_long;
    Some(match (min, above) {
        (Some(min), _) if open => format!("at least {min}"),
        (Some(min), _) => format!("from {min} to {max}"),
        (None, Some(above)) if open => format!("above {above}"),
        (None, Some(above)) => format!("above {above} and at most {max}"),
        (None, None) => format!("at most {max}"),
    })
}

/// The range that a field has in an experiment, in words, where a number given for it elsewhere is
/// not in it. Not a number is in no range.
pub(crate) fn out_of_range(path: &str, value: f64) -> Option<String> {
    let schema = schema::resolve(schema::at(path)?);
    match value.is_finite() {
        true => broken_range(value, schema, false),
        false => Some("a finite number".to_owned()),
    }
}

/// The doc comment of a field.
fn meaning(path: &str, schema: &Json) -> String {
    let own = schema["description"].as_str();
    let field = schema::at(path).and_then(|field| field["description"].as_str());
    own.or(field).unwrap_or_default().to_owned()
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

fn section_name(path: &str) -> String {
    if path.is_empty() {
        "the experiment".to_owned()
    } else {
        format!("`{path}`")
    }
}

/// An unknown key is a typing mistake, a key at the wrong level, or neither.
fn unknown_key(key: &str, schema: &'static Json, path: &str) -> Problem {
    let known: Vec<_> = schema::fields(schema).map(|(key, _)| key).collect();
    let whole = schema::root()["properties"].get(key).is_some();
    if whole && known == VARIANT_SECTIONS {
        return Problem::NotOfVariant(key.to_owned());
    }
    // The keys of a grid are paths, so that no key is at the wrong level there.
    let paths = known.iter().any(|key| key.contains('.'));
    let elsewhere = elsewhere(key, schema::root(), "").filter(|_| !paths);
    let hint = match elsewhere {
        Some(section) => Hint::Elsewhere {
            section,
            key: key.to_owned(),
        },
        None => hint(key, &known),
    };
    Problem::UnknownKey {
        key: shortened(key),
        section: section_name(path),
        hint,
    }
}

/// The path of the first section that has a key.
fn elsewhere(key: &str, section: &'static Json, path: &str) -> Option<String> {
    let mut sections = schema::fields(section).filter(|(_, field)| schema::is_section(field));
    sections.find_map(|(name, field)| {
        let inner = join(path, name);
        if schema::fields(field).any(|(known, _)| known == key) {
            return Some(inner);
        }
        elsewhere(key, field, &inner)
    })
}

/// The types that a schema names, those of its alternatives among them.
fn types(schema: &'static Json) -> Vec<&'static str> {
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

fn accepts(schema: &'static Json, node: &Node) -> bool {
    types(schema).into_iter().any(|name| match &node.value {
        Value::Null => name == "null",
        Value::Bool(_) => name == "boolean",
        Value::Int(_) => name == "integer" || name == "number",
        // An integer too long to be read as one, which is for the check of the range to say.
        Value::Float(value) => name == "number" || name == "integer" && value.abs() >= WIDEST,
        Value::Str(_) => name == "string",
        Value::Seq(_) => name == "array",
        Value::Map(_) => name == "object",
    })
}

fn type_name(node: &Node) -> &'static str {
    match node.value {
        Value::Null => "`null`",
        Value::Bool(_) => "a boolean",
        Value::Int(_) => "an integer",
        Value::Float(_) => "a number with a fraction or exponent",
        Value::Str(_) => "a string",
        Value::Seq(_) => "a list",
        Value::Map(_) => "a mapping",
    }
}

fn one_of(choices: &[&str]) -> String {
    let quoted: Vec<_> = choices.iter().map(|choice| format!("`{choice}`")).collect();
    quoted.join(" or ")
}

fn wrong_type(node: &Node, schema: &'static Json, path: &str, sources: &Sources) -> Problem {
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
    Problem::WrongType {
        path: if path.is_empty() {
            "the experiment".to_owned()
        } else {
            path.to_owned()
        },
        expected: words.collect::<Vec<_>>().join(" or "),
        found: type_name(node),
        remedy: remedy(node, &types, sources.text(node.place)),
    }
}

/// What to write instead, where what was meant is plain.
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
            Some(format!("put it in quotes: `\"{written}\"`"))
        }
        Value::Null if wants("string") => {
            Some("write `\"\"` for an empty string, or remove the key".to_owned())
        }
        Value::Null if wants("object") => {
            Some("no value is `null` in YAML; write `{}`, or remove the key".to_owned())
        }
        Value::Null => Some("no value is `null` in YAML; write one, or remove the key".to_owned()),
        Value::Int(_) | Value::Float(_) | Value::Str(_) | Value::Bool(_) if wants("array") => {
            Some(format!("write a list: `[{written}]`"))
        }
        _ => None,
    }
}
