//! `config.yaml`, and other YAML, in a form that readers of YAML 1.1, such as PyYAML, and of YAML 1.2 read alike. They
//! differ in which words without quotes are text: `no`, `12:30`, `1_000`, `2001-01-01` and `1e3` are not text in YAML
//! 1.1.

use super::RunSpec;
use serde::Serialize;
use serde_json::{Map, Number, Value};

/// Words without quotes that some reader of YAML takes for a boolean, for null or for a number, in lower case.
const RESERVED_WORDS: [&str; 11] = [
    "y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf",
];

impl RunSpec {
    /// The run as YAML. All numbers of a run are finite.
    pub fn to_yaml(&self) -> serde_json::Result<String> {
        let lines = yaml_lines(self)?.into_iter();
        Ok(lines.map(|line| line.text + "\n").collect())
    }
}

/// A line of a YAML document.
#[derive(Debug)]
pub struct YamlLine {
    /// The keys that lead to its value, and last its own key.
    pub path: Vec<String>,
    /// The line without its line break.
    pub text: String,
    /// Whether it has a value. Otherwise the lines of a mapping follow.
    pub has_value: bool,
}

/// The lines of a value that serializes as a mapping.
///
/// # Errors
/// If it does not.
pub fn yaml_lines(value: &impl Serialize) -> serde_json::Result<Vec<YamlLine>> {
    // As text, because an `f32` in a `Value` has the digits of an `f64`.
    let json = serde_json::to_string(value)?;
    let sections: Map<String, Value> = serde_json::from_str(&json)?;
    let mut lines = Vec::new();
    add_mapping(&mut lines, &sections, &[]);
    Ok(lines)
}

/// Adds a line for each key. A mapping in it follows its key, with a deeper indentation.
fn add_mapping(lines: &mut Vec<YamlLine>, entries: &Map<String, Value>, above: &[String]) {
    for (key, value) in entries {
        let path = [above, std::slice::from_ref(key)].concat();
        let mut line = format!(
            "{:indentation$}{}:",
            "",
            text(key),
            indentation = 2 * above.len()
        );
        let inner = match value {
            Value::Object(entries) if !entries.is_empty() => Some(entries),
            value => {
                line += &format!(" {}", on_one_line(value));
                None
            }
        };
        lines.push(YamlLine {
            path: path.clone(),
            text: line,
            has_value: inner.is_none(),
        });
        if let Some(inner) = inner {
            add_mapping(lines, inner, &path);
        }
    }
}

fn on_one_line(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(value) => number(value),
        Value::String(value) => text(value),
        Value::Array(values) => {
            let values: Vec<_> = values.iter().map(on_one_line).collect();
            format!("[{}]", values.join(", "))
        }
        Value::Object(entries) => {
            let entry =
                |(key, value): (&String, &Value)| format!("{}: {}", text(key), on_one_line(value));
            let entries: Vec<_> = entries.iter().map(entry).collect();
            format!("{{{}}}", entries.join(", "))
        }
    }
}

/// A number. Floats have the form `1.0e-8`: YAML 1.1 needs the point and the sign of the exponent.
fn number(number: &Number) -> String {
    let written = number.to_string();
    let Some((digits, exponent)) = written.split_once('e') else {
        return written;
    };
    let point = if digits.contains('.') { "" } else { ".0" };
    let sign = if exponent.starts_with(['-', '+']) {
        ""
    } else {
        "+"
    };
    format!("{digits}{point}e{sign}{exponent}")
}

/// A text, in quotes unless it is a word that is text for every reader.
fn text(text: &str) -> String {
    let is_word = text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/'))
        && !RESERVED_WORDS.contains(&text.to_ascii_lowercase().as_str());
    match is_word {
        true => text.to_owned(),
        false => format!("\"{}\"", text.chars().map(escaped).collect::<String>()),
    }
}

/// A character between double quotes. Characters that YAML does not allow in a file, and those that are line
/// breaks for some readers only, are written as numbers.
fn escaped(c: char) -> String {
    match c {
        '"' | '\\' => format!("\\{c}"),
        '\n' => "\\n".to_owned(),
        '\r' => "\\r".to_owned(),
        '\t' => "\\t".to_owned(),
        '\u{a0}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => numbered(c),
        c if c.is_control() => numbered(c),
        c => c.to_string(),
    }
}

fn numbered(c: char) -> String {
    format!("\\u{:04X}", u32::from(c))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::from_text;
    use proptest::prelude::*;

    fn run(text: &str) -> RunSpec {
        let document = from_text("test.yaml", text, &[]).unwrap_or_else(|e| panic!("{e}"));
        document.expand().unwrap().runs.remove(0)
    }

    #[test]
    fn floats_are_numbers_in_yaml_1_1() {
        let text = "name: x\noptimizer: {eps: 1e-8, grad_clip: 2.5e300, weight_decay: 0.1}";
        let yaml = run(text).to_yaml().unwrap();
        for line in [
            "\n  eps: 1.0e-8\n",
            "\n  grad_clip: 2.5e+300\n",
            "\n  weight_decay: 0.1\n",
        ] {
            assert!(yaml.contains(line), "{yaml}");
        }
        // The float of YAML 1.1, from https://yaml.org/type/float.html.
        let float = regex::Regex::new(r"^[-+]?([0-9][0-9_]*)?\.[0-9.]*([eE][-+][0-9]+)?$").unwrap();
        let values = yaml
            .lines()
            .filter_map(|line| line.trim().rsplit(' ').next());
        for value in values.filter(|value| value.parse::<f64>().is_ok() && value.contains('e')) {
            assert!(float.is_match(value), "{value}");
        }
    }

    /// Words that a reader of YAML 1.1 or 1.2 takes for something else than text, if they are not in quotes.
    const NOT_TEXT: [&str; 43] = [
        "",
        "~",
        "null",
        "Null",
        "NULL",
        "y",
        "Y",
        "n",
        "yes",
        "Yes",
        "YES",
        "no",
        "No",
        "NO",
        "on",
        "On",
        "off",
        "OFF",
        "true",
        "True",
        "false",
        "FALSE",
        "0",
        "-1",
        "+7",
        "010",
        "0o7",
        "0x1F",
        "0b1",
        "1_000",
        "12:30",
        "1:30:00.5",
        ".5",
        "1.",
        "1e3",
        "1.0e+3",
        "1_0.5",
        ".inf",
        "-.INF",
        ".NaN",
        "=",
        "<<",
        "2001-01-01",
    ];

    /// Texts with a meaning in YAML, or with characters that a file must not have.
    const ODD_TEXTS: [&str; 19] = [
        " ",
        "a ",
        " a",
        "a: b",
        "a:",
        "- a",
        "#a",
        "a #b",
        "? a",
        "!a",
        "&a",
        "*a",
        "---",
        "%YAML 1.1",
        "2001-12-14 21:59:43.10 -5",
        "a\nb\n",
        "\r\n\t\0\u{7f}\u{85}\u{a0}\u{2028}\u{2029}",
        "\u{feff}\u{fffe}\u{ffff}\u{10ffff}",
        "\"'\\é 日本",
    ];

    #[test]
    fn what_is_not_a_plain_word_is_quoted() {
        let mut run = run("name: x");
        for text in NOT_TEXT.into_iter().chain(ODD_TEXTS) {
            run.variant = text.to_owned();
            run.sample.prompt = text.to_owned();
            run.sample.stop = Some(text.to_owned());
            let yaml = run.to_yaml().unwrap();
            assert!(yaml.starts_with("variant: \""), "{yaml}");
            for key in ["\n  prompt: \"", "\n  stop: \""] {
                assert!(yaml.contains(key), "{yaml}");
            }
            let read: RunSpec = serde_yaml::from_str(&yaml).unwrap();
            assert_eq!(read, run, "{yaml}");
        }
        for word in ["gpt", "no_rope", "lr-1e-3", "results/a.txt", "none", "e1"] {
            assert_eq!(text(word), word);
        }
    }

    proptest! {
        #[test]
        fn every_text_is_read_back(prompt in any::<String>(), stop in "([ \n:|>-]|1e-8|é|\t|\"|'|#){0,12}") {
            let mut run = run("name: x");
            run.sample.prompt = prompt;
            run.sample.stop = Some(stop);
            run.optimizer.eps = 1e-9;
            run.model.dropout = 0.1;
            let yaml = run.to_yaml().unwrap();
            prop_assert!(yaml.contains("dropout: 0.1\n"));
            let read: RunSpec = serde_yaml::from_str(&yaml).unwrap();
            prop_assert_eq!(read, run);
        }
    }
}
