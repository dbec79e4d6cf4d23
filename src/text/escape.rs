//! Escaping of text that comes from models, users or the operating system.
//!
//! A sample may contain anything that a byte-level model can generate: code fences, HTML, control
//! characters, and marks that change the direction of the text around them. None of it may change
//! the page or the terminal that shows it.

/// Replaces every invisible character and every control character by a visible symbol or by its
/// code point. Tabs and line breaks stay; `\r\n` becomes one line break.
///
/// The result is safe to print on a terminal: it contains no escape sequence.
pub(crate) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.replace("\r\n", "\n").chars() {
        match character {
            '\n' => shown.push('\n'),
            '\t' => shown.push('\t'),
            // The block of control pictures follows the order of the control characters.
            '\0'..='\x1f' => shown.extend(char::from_u32(0x2400 + u32::from(character))),
            '\x7f' => shown.push('␡'),
            _ if is_invisible(character) => {
                shown += &format!("⟨U+{:04X}⟩", u32::from(character));
            }
            _ => shown.push(character),
        }
    }
    shown
}

/// C1 control characters, line and paragraph separators, zero-width and direction marks, tags.
fn is_invisible(character: char) -> bool {
    matches!(character,
        '\u{80}'..='\u{9f}'
        | '\u{ad}'
        | '\u{61c}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}')
}

/// Escapes the text for a Markdown paragraph or table cell. The result is one line. White space at
/// either end becomes one space, so that pieces of a sentence can be escaped one by one.
pub(crate) fn markdown(text: &str) -> String {
    let text = visible(text);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let space = |is_space: bool| if is_space { " " } else { "" };
    let before = space(text.starts_with(char::is_whitespace));
    if line.is_empty() {
        return before.to_owned();
    }
    let after = space(text.ends_with(char::is_whitespace));
    format!("{before}{}{after}", markdown_words(&line))
}

/// Escapes one line without white space at its ends.
fn markdown_words(line: &str) -> String {
    let mut escaped = String::with_capacity(line.len());
    for (index, character) in line.char_indices() {
        match character {
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '&' => escaped += "&amp;",
            // A code host would turn `@name` into a mention and a URL into a link.
            '@' => escaped += "&#64;",
            ':' if line[index..].starts_with("://") => escaped += "&#58;",
            '\\' | '`' | '*' | '_' | '[' | ']' | '#' | '|' | '~' | '$' => {
                // An underscore inside a word does not start emphasis.
                if character != '_' || at_word_boundary(line, index) {
                    escaped.push('\\');
                }
                escaped.push(character);
            }
            '-' | '+' | '=' | '.' | ')' if starts_block(line, index) => {
                escaped.push('\\');
                escaped.push(character);
            }
            _ => escaped.push(character),
        }
    }
    escaped
}

fn at_word_boundary(line: &str, index: usize) -> bool {
    let before = line[..index].chars().next_back();
    let after = line[index + 1..].chars().next();
    let in_word = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    !(in_word(before) && in_word(after))
}

/// Whether the character starts a list item (`- a`, `1. a`), a rule (`---`) or an underlined
/// heading (`===`).
fn starts_block(line: &str, index: usize) -> bool {
    let before = &line[..index];
    let followed_by_space = matches!(line[index + 1..].chars().next(), None | Some(' '));
    match line.as_bytes()[index] {
        b'-' | b'=' => index == 0 && (followed_by_space || line[1..].starts_with(['-', '='])),
        b'+' => index == 0 && followed_by_space,
        _ => followed_by_space && is_list_number(before),
    }
}

fn is_list_number(start: &str) -> bool {
    !start.is_empty() && start.bytes().all(|byte| byte.is_ascii_digit())
}

/// The text as Markdown inline code on one line. Pipes are escaped, so that they do not end a table
/// cell.
pub(crate) fn code(text: &str) -> String {
    let line = visible(text).replace(['\n', '\t'], " ").replace('|', "\\|");
    if line.trim().is_empty() {
        return String::new();
    }
    let ticks = "`".repeat(longest_run(&line, '`') + 1);
    let pad = if line.starts_with('`') || line.ends_with('`') {
        " "
    } else {
        ""
    };
    format!("{ticks}{pad}{line}{pad}{ticks}")
}

/// The text as a Markdown code block. The fence is longer than any run of backticks in the text.
pub(crate) fn fence(text: &str) -> String {
    let text = visible(text);
    let ticks = "`".repeat(longest_run(&text, '`').max(2) + 1);
    format!("{ticks}text\n{}\n{ticks}", text.trim_end_matches('\n'))
}

/// Length of the longest run of one character.
pub(crate) fn longest_run(text: &str, wanted: char) -> usize {
    let mut longest = 0;
    let mut run = 0;
    for character in text.chars() {
        run = if character == wanted { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn control_and_invisible_characters_become_visible() {
        let text = "a\u{0}\u{1b}[31m\u{202e}b\u{200b}\r\nc\rd\u{7f}";
        assert_eq!(visible(text), "a␀␛[31m⟨U+202E⟩b⟨U+200B⟩\nc␍d␡");
        assert_eq!(visible("naïve 東京 👍"), "naïve 東京 👍");
    }

    #[test]
    fn markdown_syntax_is_escaped() {
        let shown = [
            ("n_embd is a_b, not _a_", "n_embd is a_b, not \\_a\\_"),
            ("<b>x</b> & | y", "&lt;b&gt;x&lt;/b&gt; &amp; \\| y"),
            ("# a\n- b", "\\# a - b"),
            ("- a", "\\- a"),
            ("12. a", "12\\. a"),
            ("1.5 nats", "1.5 nats"),
            ("+0.1", "+0.1"),
            ("---", "\\---"),
            (" - a ", " \\- a "),
            (" \n ", " "),
            ("", ""),
            ("[x](http://y) @z", "\\[x\\](http&#58;//y) &#64;z"),
        ];
        for (text, expected) in shown {
            assert_eq!(markdown(text), expected);
        }
    }

    #[test]
    fn inline_code_may_contain_backticks_and_pipes() {
        assert_eq!(code("a`b|c"), "``a`b\\|c``");
        assert_eq!(code("`"), "`` ` ``");
        assert_eq!(code(""), "");
    }

    #[test]
    fn a_fence_is_longer_than_any_run_of_backticks_inside() {
        assert_eq!(fence("a"), "```text\na\n```");
        assert_eq!(fence("````\n</pre>"), "`````text\n````\n</pre>\n`````");
    }

    proptest! {
        #[test]
        fn a_fence_cannot_be_ended_from_inside(text in "[`\n a<\u{0}\u{202e}]{0,60}") {
            let fenced = fence(&text);
            let ticks = fenced.split("text\n").next().unwrap();
            let end = format!("\n{ticks}");
            prop_assert!(fenced.ends_with(&end));
            let body = &fenced[ticks.len()..fenced.len() - ticks.len()];
            prop_assert!(!body.contains(ticks));
        }

        #[test]
        fn escaped_text_is_one_line_without_html(text in any::<String>()) {
            let escaped = markdown(&text);
            let unsafe_character = escaped.contains(['\n', '<', '>', '\u{202e}', '\u{0}']);
            prop_assert!(!unsafe_character);
        }
    }
}
