//! Escaping of text that comes from models, users or the operating system.
//!
//! A sample may contain anything that a byte-level model can generate: code fences, HTML, control
//! characters, and marks that change the direction of the text around them. None of it may change
//! the page or the terminal that shows it.

use unicode_width::UnicodeWidthChar;

/// Replaces every invisible character and every control character by a visible symbol or by its
/// code point. Tabs and line breaks stay; `\r\n` becomes one line break. Joiners stay where a text needs
/// them: between the letters of a word, as in Persian, and within an emoji.
///
/// The result is safe to print on a terminal: it contains no escape sequence. It is also well-formed in XML,
/// which has no place for control characters.
pub(crate) fn visible(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    let mut shown = String::with_capacity(text.len());
    let mut before = None;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\n' => shown.push('\n'),
            '\t' => shown.push('\t'),
            // The block of control pictures follows the order of the control characters.
            '\0'..='\x1f' => shown.extend(char::from_u32(0x2400 + u32::from(character))),
            '\x7f' => shown.push('␡'),
            _ if is_joiner(before, character, characters.peek().copied()) => shown.push(character),
            _ if is_invisible(character) => {
                shown += &format!("⟨U+{:04X}⟩", u32::from(character));
            }
            _ => shown.push(character),
        }
        before = Some(character);
    }
    shown
}

/// [`visible`] on one line: tabs and line breaks become symbols, too. For names in tables, plots and messages.
pub(crate) fn visible_line(text: &str) -> String {
    visible(text).replace('\n', "␊").replace('\t', "␉")
}

/// Whether a character is a joiner (U+200D) or non-joiner (U+200C) that the text needs between its neighbors.
/// Between ASCII letters it has no effect, and could only hide.
fn is_joiner(before: Option<char>, character: char, after: Option<char>) -> bool {
    let (Some(before), Some(after)) = (before, after) else {
        return false;
    };
    let are_letters = is_foreign_letter(before) && is_foreign_letter(after);
    match character {
        '\u{200c}' => are_letters,
        '\u{200d}' => are_letters || (is_emoji_part(before) && is_emoji_part(after)),
        _ => false,
    }
}

/// A letter that is not ASCII, or a mark that combines with one.
fn is_foreign_letter(character: char) -> bool {
    let is_mark = character.width() == Some(0) && !is_invisible(character);
    !character.is_ascii() && (character.is_alphabetic() || is_mark)
}

/// The blocks of the Unicode standard that contain emoji, and the variation selector for emoji.
fn is_emoji_part(character: char) -> bool {
    matches!(character,
        '\u{2190}'..='\u{21ff}'
        | '\u{2300}'..='\u{23ff}'
        | '\u{2600}'..='\u{27bf}'
        | '\u{2b00}'..='\u{2bff}'
        | '\u{fe0f}'
        | '\u{1f000}'..='\u{1faff}')
}

/// C1 control characters, line and paragraph separators, zero-width and direction marks, fillers, tags, and
/// code points that are no characters.
fn is_invisible(character: char) -> bool {
    let is_no_character = matches!(u32::from(character) & 0xffff, 0xfffe | 0xffff);
    is_no_character
        || matches!(character,
            '\u{80}'..='\u{9f}'
            | '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fdd0}'..='\u{fdef}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

/// Escapes the text for a cell of a Markdown table, and for any other place. The result is one line. White
/// space at either end becomes one space, so that pieces of a sentence can be escaped one by one.
pub(crate) fn markdown(text: &str) -> String {
    escape_pipes(&prose(text))
}

/// Escapes the text for Markdown outside of a table, where a pipe has no meaning.
pub(crate) fn prose(text: &str) -> String {
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

/// In a table, a pipe without a backslash ends a cell, even in code.
fn escape_pipes(markdown: &str) -> String {
    markdown.replace('|', "\\|")
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
            '.' if line[..index].ends_with("www") => escaped += "&#46;",
            '\\' | '`' | '*' | '_' | '[' | ']' | '#' | '~' | '$' => {
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

/// The text as Markdown inline code on one line, outside of a table.
pub(crate) fn code(text: &str) -> String {
    let line = visible(text).replace(['\n', '\t'], " ");
    if line.trim().is_empty() {
        return String::new();
    }
    let ticks = "`".repeat(longest_run(&line, '`') + 1);
    // Markdown removes one space at both ends of the code.
    let has_spaces = line.starts_with(' ') && line.ends_with(' ');
    let pad = match has_spaces || line.starts_with('`') || line.ends_with('`') {
        true => " ",
        false => "",
    };
    format!("{ticks}{pad}{line}{pad}{ticks}")
}

/// The text as Markdown inline code in a cell of a table.
pub(crate) fn cell_code(text: &str) -> String {
    escape_pipes(&code(text))
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
        let fillers = "\u{3164}\u{115f}\u{fdd0}\u{ffff}\u{e0041}";
        assert_eq!(
            visible(fillers),
            "⟨U+3164⟩⟨U+115F⟩⟨U+FDD0⟩⟨U+FFFF⟩⟨U+E0041⟩"
        );
        assert_eq!(visible_line("a\tb\nc\u{7}"), "a␉b␊c␇");
    }

    #[test]
    fn joiners_stay_between_letters_and_within_emoji() {
        for text in [
            "می\u{200c}خواهم",        // Persian
            "क्\u{200d}ष",             // Devanagari, after a combining mark
            "👩\u{200d}👩\u{200d}👧", // a family
            "👩🏽\u{200d}🚀",           // after a skin tone
            "❤\u{fe0f}\u{200d}🔥",    // after a variation selector
            "🐦\u{200d}⬛",
        ] {
            assert_eq!(visible(text), text);
        }
        let shown = [
            ("a\u{200d}b", "a⟨U+200D⟩b"),
            ("\u{200c}م", "⟨U+200C⟩م"),
            ("م\u{200c}", "م⟨U+200C⟩"),
            ("م\u{200d}\u{202e}م", "م⟨U+200D⟩⟨U+202E⟩م"),
            ("م\u{200d}\u{200d}م", "م⟨U+200D⟩⟨U+200D⟩م"),
            ("👩\u{200c}👧", "👩⟨U+200C⟩👧"),
            ("👩\u{200d}x", "👩⟨U+200D⟩x"),
        ];
        for (text, expected) in shown {
            assert_eq!(visible(text), expected);
        }
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
            ("www.x.org", "www&#46;x.org"),
        ];
        for (text, expected) in shown {
            assert_eq!(markdown(text), expected);
        }
    }

    #[test]
    fn pipes_are_escaped_in_tables_only() {
        assert_eq!([prose("a|b"), code("a|b")], ["a|b", "`a|b`"]);
        assert_eq!([markdown("a|b"), cell_code("a|b")], ["a\\|b", "`a\\|b`"]);
        assert_eq!(
            [markdown("a\\|b"), cell_code("a\\|b")],
            ["a\\\\\\|b", "`a\\\\|b`"]
        );
    }

    #[test]
    fn inline_code_may_contain_backticks_and_spaces() {
        assert_eq!(code("a`b|c"), "``a`b|c``");
        assert_eq!(code("`"), "`` ` ``");
        assert_eq!(code(" a "), "`  a  `");
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
