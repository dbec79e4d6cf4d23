//! Validation of a document against the JSON Schema. All errors are reported at once.

use super::diagnostic::Diagnostic;
use super::error_kind::{ErrorKind, Hint, either, shortened};
use super::limits::MAX_ERRORS;
use super::lookalike::Lookalike;
use super::schema::{self, SIZE_SECTIONS, VARIANT_SECTIONS, join};
use super::spans::{Sources, Span};
use super::suggest::{hint, nearest, path_of_other_name};
use super::tree::{Entry, Node, Value};
use super::value_types::{TOO_LARGE, accepts, section_name, type_name, types, wrong_type};
use regex::Regex;
use serde_json::Value as Json;
use std::collections::HashMap;

/// All differences between a document and the schema.
pub(super) fn validate(root: &Node, sources: &Sources) -> Vec<Diagnostic> {
    let mut validator = Validator {
        sources,
        patterns: HashMap::new(),
        errors: Vec::new(),
    };
    validator.check(root, schema::root(), "");
    validator.errors.truncate(MAX_ERRORS);
    validator.errors
}

struct Validator<'a> {
    sources: &'a Sources,
    /// Compiled patterns, since a sweep may have thousands of names to match.
    patterns: HashMap<&'static str, Option<Regex>>,
    errors: Vec<Diagnostic>,
}

impl Validator<'_> {
    fn report(&mut self, node: &Node, kind: ErrorKind) {
        self.errors.push(Diagnostic::new(node.span, kind));
    }

    /// Reports a key or a text that is not what was expected. If it contains a character that looks like
    /// syntax, that is the mistake.
    fn report_misread(&mut self, span: Span, kind: ErrorKind) {
        let text = &self.sources.get(span.source).text;
        let found = Lookalike::find_in(text, self.sources.line(span), span.source);
        let inside = found.filter(|(at, _)| span.start <= at.start && at.end <= span.end);
        self.errors.push(match inside {
            Some((at, found)) => Diagnostic::new(at, ErrorKind::Lookalike(found)),
            None => Diagnostic::new(span, kind),
        });
    }

    fn matches(&mut self, pattern: &'static str, text: &str) -> bool {
        let compiled = self.patterns.entry(pattern);
        let compiled = compiled.or_insert_with(|| Regex::new(pattern).ok());
        compiled.as_ref().is_some_and(|regex| regex.is_match(text))
    }

    /// Checks a value at a path against a schema.
    fn check(&mut self, node: &Node, schema: &'static Json, path: &str) {
        if self.errors.len() >= MAX_ERRORS {
            return;
        }
        let schema = schema::resolve(schema);
        if let Some(choices) = schema::choices(schema) {
            let choices: Vec<_> = choices.into_iter().map(|(choice, _)| choice).collect();
            let may_be_null = types(schema).contains(&"null");
            return self.check_choice(node, &choices, may_be_null, path);
        }
        if !accepts(schema, node) {
            let kind = wrong_type(node, schema, path, self.sources);
            return self.report_misread(node.span, kind);
        }
        let mut alternatives = ["oneOf", "anyOf"]
            .into_iter()
            .flat_map(|key| schema[key].as_array().into_iter().flatten());
        if let Some(fitting) = alternatives.find(|one| accepts(one, node)) {
            return self.check(node, fitting, path);
        }
        match &node.value {
            Value::Int(_) | Value::Float(_) => self.check_number(node, schema, path),
            Value::Str(text) => self.check_text(node, text, schema, path),
            Value::Seq(items) => self.check_list(node, items, schema, path),
            Value::Map(entries) => self.check_mapping(node, entries, schema, path),
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn check_choice(&mut self, node: &Node, choices: &[&str], may_be_null: bool, path: &str) {
        let is_null = may_be_null && node.value == Value::Null;
        if is_null || node.as_str().is_some_and(|text| choices.contains(&text)) {
            return;
        }
        let null = may_be_null.then_some("null");
        let expected: Vec<&str> = choices.iter().copied().chain(null).collect();
        let expected = either(&expected);
        let found = shortened(self.sources.text(node.span));
        let kind = match &node.value {
            Value::Null | Value::Seq(_) | Value::Map(_) => ErrorKind::WrongType {
                subject: section_name(path),
                expected,
                found: type_name(node),
                remedy: None,
            },
            Value::Str(text) => ErrorKind::InvalidChoice {
                path: path.to_owned(),
                found: shortened(text),
                expected,
                nearest: nearest(text, choices).map(str::to_owned),
            },
            _ => ErrorKind::InvalidChoice {
                path: path.to_owned(),
                nearest: nearest(&found, choices).map(str::to_owned),
                expected,
                found,
            },
        };
        self.report(node, kind);
    }

    fn check_number(&mut self, node: &Node, schema: &'static Json, path: &str) {
        let value = match node.value {
            Value::Int(int) => int as f64,
            Value::Float(float) => float,
            _ => return,
        };
        let value = stored(value, schema);
        if !value.is_finite() {
            let path = path.to_owned();
            return self.report(node, ErrorKind::NotFinite { path });
        }
        // Integer fields have at most 64 bits, and an `f64` cannot represent all of those numbers.
        let too_long = !types(schema).contains(&"number")
            && match node.value {
                Value::Int(int) => int > i128::from(u64::MAX),
                _ => value.abs() >= TOO_LARGE,
            };
        if let Some(range) = broken_range(value, schema, too_long) {
            let written = shortened(self.sources.text(node.span));
            let found =
                match value == 0.0 && !matches!(node.value, Value::Float(0.0) | Value::Int(0)) {
                    true => format!("{written}, which is 0 as a 32-bit number"),
                    false => written,
                };
            let kind = ErrorKind::OutOfRange {
                path: path.to_owned(),
                range,
                found,
            };
            self.report(node, kind);
        }
    }

    fn check_text(&mut self, node: &Node, text: &str, schema: &'static Json, path: &str) {
        if schema["minLength"].as_u64().is_some_and(|min| min > 0) && text.is_empty() {
            let path = path.to_owned();
            return self.report(node, ErrorKind::EmptyValue { path });
        }
        if let Some(pattern) = schema["pattern"].as_str()
            && !self.matches(pattern, text)
        {
            let corrected = match path {
                "name" => valid_name(text),
                _ => text.split_whitespace().collect(), // such as `0.5%` for `0.5 %`
            };
            let similar = Some(corrected).filter(|text| self.matches(pattern, text));
            let kind = ErrorKind::InvalidText {
                path: path.to_owned(),
                found: shortened(text),
                description: description(path, schema),
                similar,
            };
            self.report(node, kind);
        }
    }

    fn check_list(&mut self, node: &Node, items: &[Node], schema: &'static Json, path: &str) {
        let (min, max) = (schema["minItems"].as_u64(), schema["maxItems"].as_u64());
        let len = items.len() as u64;
        if min.is_some_and(|min| len < min) || max.is_some_and(|max| len > max) {
            let kind = if items.is_empty() && max.is_none() {
                ErrorKind::EmptyValue {
                    path: path.to_owned(),
                }
            } else {
                let range = match (min, max) {
                    (Some(min), Some(max)) if min == max => format!("{min}"),
                    (Some(min), Some(max)) => format!("{min} to {max}"),
                    (Some(min), None) => format!("at least {min}"),
                    (None, max) => format!("at most {}", max.unwrap_or_default()),
                };
                ErrorKind::WrongLength {
                    path: path.to_owned(),
                    range,
                    found: items.len(),
                }
            };
            self.report(node, kind);
        }
        for (index, item) in items.iter().enumerate() {
            self.check(item, &schema["items"], &format!("{path}[{index}]"));
        }
    }

    fn check_mapping(&mut self, node: &Node, entries: &[Entry], schema: &'static Json, path: &str) {
        if entries.is_empty() && schema["minProperties"].as_u64().is_some() {
            let path = path.to_owned();
            self.report(node, ErrorKind::EmptyValue { path });
        }
        for entry in entries {
            if self.errors.len() >= MAX_ERRORS {
                return;
            }
            let inner = join(path, &entry.key);
            if let Some(field) = schema["properties"].get(&entry.key) {
                self.check(&entry.value, field, &inner);
            } else if schema["additionalProperties"].is_object() {
                self.check_name(entry, schema);
                self.check(&entry.value, &schema["additionalProperties"], &inner);
            } else {
                let kind = unknown_key(&entry.key, schema, path);
                self.report_misread(entry.key_span, kind);
            }
        }
        let required = schema["required"].as_array();
        let required = required.into_iter().flatten().filter_map(Json::as_str);
        // Without a space after its colon, a key is read as another one, which is reported. So are keys
        // that are written beside the section that they belong to.
        let is_written = |key: &str| {
            let starts =
                |entry: &Entry| entry.key.split_once(':').is_some_and(|(own, _)| own == key);
            let belongs =
                |entry: &Entry| elsewhere(&entry.key, schema, path) == Some(join(path, key));
            node.get(key).is_some() || entries.iter().any(|entry| starts(entry) || belongs(entry))
        };
        for key in required.filter(|key| !is_written(key)) {
            let field = &schema["properties"][key];
            let kind = ErrorKind::MissingKey {
                key: key.to_owned(),
                section: section_name(path),
                value: only_choice(field).unwrap_or("...").to_owned(),
                description: field["description"].as_str().unwrap_or_default().to_owned(),
            };
            // For the whole document, the first key is marked.
            let span = match entries.first() {
                Some(first) if path.is_empty() => first.key_span,
                _ => node.span,
            };
            self.errors.push(Diagnostic::new(span, kind));
        }
    }

    fn check_name(&mut self, entry: &Entry, schema: &'static Json) {
        if let Some(pattern) = schema["propertyNames"]["pattern"].as_str()
            && !self.matches(pattern, &entry.key)
        {
            let kind = ErrorKind::InvalidVariantName(shortened(&entry.key));
            self.errors.push(Diagnostic::new(entry.key_span, kind));
        }
    }
}

/// The value of a field that can have only one.
fn only_choice(field: &'static Json) -> Option<&'static str> {
    match schema::choices(schema::resolve(field))?.as_slice() {
        [(choice, _)] => Some(choice),
        _ => None,
    }
}

/// The number as the field holds it. A field of single precision has no room for 1e-300, which becomes 0, or for 1e300.
fn stored(value: f64, schema: &Json) -> f64 {
    match schema["format"].as_str() {
        Some("float") => f64::from(value as f32),
        _ => value,
    }
}

/// The range of a field, in words, if the value is outside of it.
fn broken_range(value: f64, schema: &Json, too_long: bool) -> Option<String> {
    let (min, max) = (schema["minimum"].as_f64(), schema["maximum"].as_f64());
    let above = schema["exclusiveMinimum"].as_f64();
    let under = schema["exclusiveMaximum"].as_f64();
    let outside = min.is_some_and(|min| value < min)
        || above.is_some_and(|above| value <= above)
        || max.is_some_and(|max| value > max)
        || under.is_some_and(|under| value >= under);
    if !outside && !too_long {
        return None;
    }
    if let (Some(above), Some(under)) = (above, under) {
        return Some(format!("above {above} and below {under}"));
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

/// The range of the field at a path, in words, if `value` is outside of it. NaN and infinity are
/// outside of every range.
pub(crate) fn out_of_range(path: &str, value: f64) -> Option<String> {
    let schema = schema::resolve(schema::at(path)?);
    let value = stored(value, schema);
    match value.is_finite() {
        true => broken_range(value, schema, false),
        false => Some("a finite number".to_owned()),
    }
}

/// The documentation of a field.
fn description(path: &str, schema: &Json) -> String {
    let own = schema["description"].as_str();
    let field = schema::at(path).and_then(|field| field["description"].as_str());
    own.or(field).unwrap_or_default().to_owned()
}

/// The error for an unknown key, which may be a typing error or a key of another section.
fn unknown_key(key: &str, schema: &'static Json, path: &str) -> ErrorKind {
    let known: Vec<_> = schema::fields(schema).map(|(key, _)| key).collect();
    let is_top_level = schema::root()["properties"].get(key).is_some();
    if is_top_level && known == VARIANT_SECTIONS {
        return ErrorKind::NotOfVariant(key.to_owned());
    }
    if is_top_level && known == SIZE_SECTIONS {
        return ErrorKind::NotOfSize(key.to_owned());
    }
    // The keys of a grid are paths, so that a key cannot be at the wrong level there.
    let are_paths = known.iter().any(|key| key.contains('.'));
    let without_space = key.split_once(':').filter(|(key, _)| known.contains(key));
    if let Some((key, value)) = without_space {
        return ErrorKind::NoSpaceAfterColon {
            key: key.to_owned(),
            value: shortened(value),
        };
    }
    let below = elsewhere(key, schema, path);
    let elsewhere = below.or_else(|| elsewhere(key, schema::root(), ""));
    let elsewhere = elsewhere.filter(|_| !are_paths);
    let hint = match elsewhere {
        Some(section) => Hint::Elsewhere {
            section,
            key: key.to_owned(),
        },
        None => match (path_of_other_name(key), hint(key, &known)) {
            (Some(path), _) => Hint::Nearest(path.to_owned()),
            // The keys of a section are the same in a variant as at the top level.
            (None, Hint::Known { names, more }) => match path.rsplit('.').next() {
                Some(section) if !are_paths && schema::at(section).is_some() => Hint::KnownKeys {
                    section: section.to_owned(),
                    keys: names,
                    more,
                },
                _ => Hint::Known { names, more },
            },
            (None, hint) => hint,
        },
    };
    ErrorKind::UnknownKey {
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

/// A text with `-` for everything that a name of an experiment cannot have.
fn valid_name(text: &str) -> String {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && !"_-".contains(c));
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    words.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::from_text;
    use std::fmt::Write as _;

    /// The keys that lead to each choice of an experiment. `[0]` stands for an item of a list, and `any` for a name.
    fn collect_choices(
        schema: &'static Json,
        keys: &mut Vec<String>,
        found: &mut Vec<Vec<String>>,
    ) {
        let schema = schema::resolve(schema);
        if schema["const"].is_string() && found.last() != Some(&*keys) {
            found.push(keys.clone());
        }
        for alternatives in ["oneOf", "anyOf"] {
            for one in schema[alternatives].as_array().into_iter().flatten() {
                collect_choices(one, keys, found);
            }
        }
        let fields = schema["properties"].as_object().into_iter().flatten();
        let fields = fields.filter(|(_, field)| field["deprecated"] != true);
        let fields = fields.map(|(key, field)| (key.as_str(), field));
        let others = [("any", "additionalProperties"), ("[0]", "items")];
        let others = others.map(|(key, of)| (key, &schema[of]));
        let others = others.into_iter().filter(|(_, schema)| schema.is_object());
        for (key, field) in fields.chain(others) {
            keys.push(key.to_owned());
            collect_choices(field, keys, found);
            keys.pop();
        }
    }

    /// A field of single precision would hold 0 or infinity, which its own configuration could not be read from.
    #[test]
    fn a_number_without_room_in_its_field_is_out_of_range() {
        let error = |sample: &str| {
            let text = format!("name: x\nsample: {{{sample}}}");
            from_text("test.yaml", &text, &[])
                .err()
                .unwrap()
                .to_string()
        };
        let small = error("top_p: 1.0e-200");
        assert!(
            small.contains("must be above 0") && small.contains("test.yaml:2:"),
            "{small}"
        );
        let large = error("temperature: 1.0e+300");
        assert!(large.contains("sample.temperature"), "{large}");
    }

    /// A value that no list of choices has is found at every place of the schema: in variants, sizes, grids, zips,
    /// distributions and lists, and in choices that may be `null`.
    #[test]
    fn a_wrong_choice_is_reported_at_its_value() {
        let mut choices = Vec::new();
        collect_choices(schema::root(), &mut Vec::new(), &mut choices);
        let has = |path: &[&str]| choices.iter().any(|keys| keys == path);
        assert!(has(&["train", "evaluate"]));
        assert!(has(&["sweep", "grid", "train.evaluate", "[0]"]));
        assert!(has(&["sweep", "scale", "sizes", "[0]", "model", "norm"]));
        for keys in &choices {
            let mut path = String::new();
            for key in keys {
                let dot = if path.is_empty() || key == "[0]" {
                    ""
                } else {
                    "."
                };
                let _ = write!(path, "{dot}{key}");
            }
            let nested = |value: String, key: &String| match key.as_str() {
                "[0]" => format!("[{value}]"),
                key => format!("{{{key}: {value}}}"),
            };
            let text = keys.iter().rev().fold("wrong".to_owned(), nested);
            let column = text.find("wrong").unwrap(); // without the first brace
            let text = format!("name: test\n{}", &text[1..text.len() - 1]);
            let errors = from_text("test.yaml", &text, &[]).unwrap_err().to_string();
            let mut blocks = errors.split("\n\n");
            let message = format!("error: invalid value `wrong` for `{path}`; expected `");
            let block = blocks.find(|block| block.starts_with(&message));
            let block = block.unwrap_or_else(|| panic!("{text}\n{errors}"));
            let place = format!("\n --> test.yaml:2:{column}\n");
            assert!(block.contains(&place), "{text}\n{block}");
        }
    }

    #[test]
    fn a_choice_that_may_be_null_says_so() {
        let errors = |value: &str| {
            let text = format!("name: test\ntrain: {{evaluate: {value}}}");
            from_text("test.yaml", &text, &[]).map_err(|errors| errors.to_string())
        };
        for value in ["null", "last", "best"] {
            assert!(errors(value).is_ok(), "{value}");
        }
        for (value, message) in [
            (
                "lst",
                "invalid value `lst` for `train.evaluate`; expected `last`, `best`, `ema` or `null`",
            ),
            (
                "3",
                "invalid value `3` for `train.evaluate`; expected `last`, `best`, `ema` or `null`",
            ),
            (
                "[ema]",
                "`train.evaluate` must be `last`, `best`, `ema` or `null`, not a list",
            ),
        ] {
            let found = errors(value).unwrap_err();
            assert!(found.contains(message), "{found}");
        }
    }
}
