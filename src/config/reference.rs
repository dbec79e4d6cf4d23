//! The reference of experiment files, which is generated from the schema.

use super::conditional_keys::Condition;
use super::error_kind::either;
use super::schema::{self, join};
use super::value_types::types;
use crate::spec::{RenamedChoice, RenamedKey};
use serde_json::Value as Json;
use std::fmt::Write as _;

/// Introduction to experiment files.
const INTRODUCTION: &str = include_str!("reference.md");

/// The reference of experiment files: `experiments/README.md`.
pub fn reference_markdown() -> String {
    let mut text = INTRODUCTION.to_owned();
    text.push_str("## All keys\n\n");
    section(&mut text, "", schema::root());
    text.push_str("## All defaults\n\n");
    text.push_str("A document that sets nothing but its name is the same as this one:\n\n");
    let _ = write!(text, "```yaml\n{}```\n", default_yaml());
    text
}

/// A document with every key at its default, and its description as a comment.
fn default_yaml() -> String {
    let mut yaml = "name: defaults\n".to_owned();
    defaults(&mut yaml, "", schema::root(), 0);
    yaml
}

/// Tables of a section and of the sections in it.
fn section(text: &mut String, path: &str, at: &'static Json) {
    let heading = if path.is_empty() { "Top level" } else { path };
    let level = if path.is_empty() { "### " } else { "### `" };
    let close = if path.is_empty() { "" } else { "`" };
    let _ = writeln!(text, "{level}{heading}{close}\n");
    if !path.is_empty() {
        let _ = writeln!(text, "{}\n", description(schema::resolve(at)));
    }
    text.push_str("| Key | Value | Default | Meaning |\n| --- | --- | --- | --- |\n");
    for (key, field) in schema::fields(at) {
        let _ = writeln!(
            text,
            "| `{key}` | {} | {} | {}{} |",
            value_words(field),
            default_words(field),
            cell(description(field)),
            notes(path, key),
        );
    }
    text.push('\n');
    for (key, field) in schema::fields(at) {
        if let Some(choices) = schema::choices(field) {
            let _ = writeln!(text, "Choices of `{key}`:\n");
            for (choice, meaning) in choices {
                let former = RenamedChoice::with_new(&join(path, key), choice)
                    .map(|renamed| format!(" The former name `{}` still works.", renamed.old));
                let former = former.unwrap_or_default();
                let _ = writeln!(text, "- `{choice}`: {meaning}{former}");
            }
            text.push('\n');
        }
    }
    for (key, field) in schema::fields(at).filter(|(_, field)| schema::is_section(field)) {
        let path = join(path, key);
        // The keys of a grid are the paths of all other keys, so that a table would be too long.
        if !schema::has_paths_as_keys(&path) {
            section(text, &path, field);
        }
    }
    for (key, field) in schema::fields(at) {
        // The combinations of a grid have the keys of a grid, and the sizes have those of a variant.
        let is_listed = !matches!(path, "sweep" | "sweep.scale");
        if let Some(items) = schema::items(field).filter(|_| is_listed) {
            section(text, &format!("{}[]", join(path, key)), items);
        }
    }
}

fn description(schema: &'static Json) -> &'static str {
    schema["description"].as_str().unwrap_or_default()
}

/// Text with the characters escaped that end a table cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// The type and range of a field in words.
fn value_words(field: &'static Json) -> String {
    if let Some(choices) = schema::choices(field) {
        let null = types(field).contains(&"null").then_some("null");
        let choices = choices.into_iter().map(|(choice, _)| choice).chain(null);
        let choices = choices.map(|choice| format!("`{choice}`"));
        return choices.collect::<Vec<_>>().join(", ");
    }
    if schema::is_section(field) {
        return "mapping".to_owned();
    }
    let field = schema::resolve(field);
    if let Some(alternatives) = field["oneOf"].as_array() {
        let alternatives = alternatives.iter().map(value_words);
        return alternatives.collect::<Vec<_>>().join(" or ");
    }
    let mut types: Vec<_> = match &field["type"] {
        Json::Array(types) => types.iter().filter_map(Json::as_str).collect(),
        single => single.as_str().into_iter().collect(),
    };
    types.iter_mut().for_each(|name| {
        *name = match *name {
            "object" => "mapping",
            "array" => "list",
            "string" => "text",
            "boolean" => "`true`, `false`",
            "null" => "`null`",
            other => other,
        }
    });
    let mut words = types.join(" or ");
    if schema::items(field).is_some() {
        return "list of mappings".to_owned();
    }
    if field["type"] == "array" && field["items"]["type"].is_string() {
        let items = value_words(&field["items"]);
        let (name, range) = items.split_at(items.find([',', ' ']).unwrap_or(items.len()));
        words = format!("list of {name}s{range}");
    }
    words + &range_words(field)
}

fn range_words(field: &Json) -> String {
    if let above @ Json::Number(_) = &field["exclusiveMinimum"] {
        return match (&field["maximum"], &field["exclusiveMaximum"]) {
            (Json::Null, Json::Null) => format!(" above {above}"),
            (Json::Null, under) => format!(" above {above}, below {under}"),
            (max, _) => format!(" above {above}, up to {max}"),
        };
    }
    match (&field["minimum"], &field["maximum"]) {
        (Json::Null, Json::Null) => String::new(),
        (min, Json::Null) => format!(" from {min}"),
        (Json::Null, max) => format!(" up to {max}"),
        (min, max) => format!(", {min} to {max}"),
    }
}

fn default_words(field: &'static Json) -> String {
    match field.get("default") {
        None | Some(Json::Object(_)) => String::new(),
        Some(default) => format!("`{default}`"),
    }
}

/// The choices with which a key applies, and its former name.
fn notes(section: &str, key: &str) -> String {
    let conditions = Condition::of(&join(section, key)).iter().map(|condition| {
        // A choice of the same section needs no path.
        let within = condition.choice.strip_prefix(section);
        let choice = within.and_then(|choice| choice.strip_prefix('.'));
        let choice = choice.unwrap_or(condition.choice);
        format!("`{choice}` is {}", either(&condition.values))
    });
    let conditions: Vec<_> = conditions.collect();
    let mut notes = String::new();
    if !conditions.is_empty() {
        notes = format!(" Applies if {}.", conditions.join(" and "));
    }
    if let Some(renamed) = RenamedKey::with_new(section, key) {
        notes += &format!(" The former name `{}` still works.", renamed.old);
    }
    notes
}

fn defaults(yaml: &mut String, path: &str, at: &'static Json, depth: usize) {
    let indent = "  ".repeat(depth);
    for (key, field) in schema::fields(at) {
        let Some(default) = field.get("default") else {
            continue;
        };
        let conditions = Condition::of(&join(path, key));
        let idle = conditions.iter().any(|one| !one.holds_by_default());
        for line in wrapped(description(field), 96 - indent.len()) {
            let _ = writeln!(yaml, "{indent}# {line}");
        }
        let mut written;
        if schema::is_section(field) {
            written = format!("{indent}{key}:\n");
            defaults(&mut written, &join(path, key), field, depth + 1);
        } else {
            written = format!("{indent}{key}: {default}\n");
        }
        // A key that does not apply to the default choice would be an error.
        yaml.push_str(&if idle { commented(&written) } else { written });
    }
}

/// The lines of a document as comments.
fn commented(yaml: &str) -> String {
    let line = |line: &str| {
        let text = line.trim_start();
        let indent = &line[..line.len() - text.len()];
        let hash = if text.starts_with('#') { "" } else { "# " };
        format!("{indent}{hash}{text}\n")
    };
    yaml.lines().map(line).collect()
}

/// Text broken into lines between words.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::conditional_keys::conditional_paths;
    use crate::config::from_text;
    use crate::spec::Sweep;

    #[test]
    fn the_default_document_sets_every_key_to_its_default() {
        let parse =
            |text: &str| from_text("defaults.yaml", text, &[]).unwrap_or_else(|e| panic!("{e}"));
        let written = parse(&default_yaml());
        assert_eq!(written.experiment(), parse("name: defaults").experiment());
        written.expand().unwrap_or_else(|e| panic!("{e}"));
        // Every field of a run is written, or is there as a comment.
        for path in conditional_paths() {
            let key = path.rsplit('.').next().unwrap();
            assert!(default_yaml().contains(&format!("{key}:")), "{path}");
        }
        assert!(
            written
                .experiment()
                .sweep
                .as_ref()
                .is_none_or(|s| *s == Sweep::default())
        );
    }

    #[test]
    fn examples_of_the_introduction_work() {
        let blocks: Vec<_> = INTRODUCTION.split("```yaml\n").skip(1).collect();
        assert_eq!(blocks.len(), 8);
        for block in blocks {
            let text = block.split("```").next().unwrap();
            let document =
                from_text("experiments/example.yaml", text, &[]).unwrap_or_else(|e| panic!("{e}"));
            let runs = document.expand().unwrap_or_else(|e| panic!("{e}")).runs;
            assert!(runs.len() >= 6);
        }
    }

    #[test]
    fn lines_are_broken_between_words() {
        assert_eq!(wrapped("one two three", 8), ["one two", "three"]);
        assert_eq!(wrapped("longerthanthat", 8), ["longerthanthat"]);
    }
}
