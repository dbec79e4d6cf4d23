//! Regular expressions with another meaning in the Python library. Its engine is Oniguruma with the
//! syntax of Ruby (https://github.com/kkos/oniguruma/blob/master/doc/SYNTAX.md), and a file says nothing
//! about the engine that it was made for.
//!
//! `^` and `$` are not refused, although Oniguruma finds them at every line: published tokenizers have
//! them only where both engines agree.

use serde::Serialize;
use serde_json::Value;
use tokenizers::Tokenizer as Pipeline;

/// Refuses a pipeline with a regular expression that would find other words here than in Python.
pub(super) fn check(pipeline: &Pipeline) -> Result<(), String> {
    check_component(&pipeline.get_normalizer())?;
    check_component(&pipeline.get_pre_tokenizer())
}

fn check_component(component: &impl Serialize) -> Result<(), String> {
    let json = serde_json::to_value(component).map_err(|error| error.to_string())?;
    let mut patterns = Vec::new();
    collect_patterns(&json, &mut patterns);
    for pattern in patterns {
        if let Some(difference) = difference(pattern) {
            return Err(format!(
                "its regular expression {pattern:?} has {difference}"
            ));
        }
    }
    Ok(())
}

fn collect_patterns<'a>(json: &'a Value, patterns: &mut Vec<&'a str>) {
    match json {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value.as_str() {
                    Some(pattern) if name == "Regex" => patterns.push(pattern),
                    _ => collect_patterns(value, patterns),
                }
            }
        }
        Value::Array(values) => {
            for value in values {
                collect_patterns(value, patterns);
            }
        }
        _ => {}
    }
}

/// What Oniguruma reads in another way, if there is something.
fn difference(pattern: &str) -> Option<String> {
    let mut rest = pattern;
    let mut class_depth = 0_usize;
    while let Some(first) = rest.chars().next() {
        let mut length = first.len_utf8();
        match first {
            '\\' => length += escaped_len(&rest[1..]),
            '[' => class_depth += 1,
            ']' => class_depth = class_depth.saturating_sub(1),
            _ if class_depth > 0 => {}
            '(' => {
                if let Some(flag) = flags(rest).find(|flag| "sm".contains(*flag)) {
                    return Some(format!(
                        "the flag `{flag}`, which has another meaning in the Python library, or none; \
                         `[\\s\\S]` is any character in both"
                    ));
                }
            }
            '{' => {
                if let Some(count) =
                    count(rest).filter(|count| rest[count.len()..].starts_with('+'))
                {
                    return Some(format!(
                        "`{count}+`, which is a repetition of `{count}` in the Python library, and here \
                         the same without going back; write `{count}`, or put the repetition in brackets"
                    ));
                }
            }
            _ => {}
        }
        rest = &rest[length..];
    }
    None
}

/// The length of what follows a backslash: one character, or one with a name in braces, as in `\p{L}`.
fn escaped_len(rest: &str) -> usize {
    let Some(first) = rest.chars().next() else {
        return 0;
    };
    let length = first.len_utf8();
    match rest[length..].starts_with('{') {
        true => rest.find('}').map_or(rest.len(), |end| end + 1),
        false => length,
    }
}

/// The flags of a group such as `(?i-s:`. A group of another kind has none.
fn flags(group: &str) -> impl Iterator<Item = char> {
    let after = group.strip_prefix("(?").unwrap_or_default();
    let end = after.find(|c: char| !(c.is_ascii_lowercase() || c == '-'));
    let end = end.filter(|&end| after[end..].starts_with([':', ')']));
    after[..end.unwrap_or(0)].chars()
}

/// A number of repetitions at the start of a text, such as `{1,3}`.
fn count(text: &str) -> Option<&str> {
    let count = &text[..text.find('}')? + 1];
    let numbers = &count[1..count.len() - 1];
    let is_number = |c: char| c.is_ascii_digit() || c == ',';
    (!numbers.is_empty() && numbers.chars().all(is_number)).then_some(count)
}

#[cfg(test)]
mod tests {
    use super::super::tiktoken;
    use super::*;

    #[test]
    fn what_oniguruma_reads_in_another_way_is_found() {
        for (pattern, part) in [
            (r"\p{N}{1,3}+", "`{1,3}+`"),
            (tiktoken::EARLIER_CL100K_WORDS, "`{1,3}+`"),
            ("(?s).", "the flag `s`"),
            ("a(?i-m:b.)", "the flag `m`"),
            (r"[\]{1}+]a{2}+", "`{2}+`"),
        ] {
            let found = difference(pattern);
            assert!(
                found.as_ref().is_some_and(|found| found.starts_with(part)),
                "{found:?}"
            );
        }
        for pattern in [
            tiktoken::GPT2_WORDS,
            tiktoken::CL100K_WORDS,
            tiktoken::O200K_WORDS,
            super::super::char::WORDS,
            r"(?:\p{N}{1,3})+",
            r"(?=ms)(?<!s)(?<ms>a)(?i:s|m)\{1}+[{1}+]\\",
            r"\p{L}+{",
            "\\",
        ] {
            assert_eq!(difference(pattern), None, "{pattern}");
        }
    }
}
