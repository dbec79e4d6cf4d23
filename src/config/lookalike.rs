//! Characters that look like part of the syntax of YAML but are text.

use super::spans::Span;

/// A character that looks like a space or a colon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lookalike {
    pub(super) character: char,
    pub(super) name: &'static str,
    /// What to write instead.
    pub(super) instead: &'static str,
}

impl Lookalike {
    fn of(character: char) -> Option<Self> {
        let (name, instead) = match character {
            '\u{a0}' | '\u{2007}' | '\u{202f}' => ("a no-break space", A_SPACE),
            '\u{3000}' => ("an ideographic space", A_SPACE),
            '\u{200b}' | '\u{2060}' | '\u{feff}' => ("an invisible character", "remove it"),
            '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{205f}' => ("an unusual space", A_SPACE),
            '\u{ff1a}' | '\u{fe55}' => ("a full-width colon", A_COLON),
            '\u{2236}' | '\u{a789}' => ("a sign that is not a colon", A_COLON),
            _ => return None,
        };
        Some(Self {
            character,
            name,
            instead,
        })
    }

    /// The first one in a line that stands where the syntax of YAML would: in the indentation, before or after a
    /// colon, or in place of the colon after a key. With its byte offset.
    pub(super) fn find(line: &str) -> Option<(usize, Self)> {
        line.char_indices().find_map(|(at, character)| {
            let found = Self::of(character)?;
            let before = &line[..at];
            let is_syntax = match found.instead {
                A_COLON => ends_in_key(before),
                _ => {
                    before.trim_matches([' ', '-', '\t']).is_empty()
                        || before.ends_with(':')
                        || ends_in_key(before) && is_before_colon(&line[at..])
                }
            };
            is_syntax.then_some((at, found))
        })
    }

    /// [`Self::find`] in the line with the byte range `line` of the source `source`.
    pub(super) fn find_in(
        text: &str,
        line: std::ops::Range<usize>,
        source: usize,
    ) -> Option<(Span, Self)> {
        let (at, found) = Self::find(&text[line.clone()])?;
        let start = line.start + at;
        let span = Span {
            source,
            start,
            end: start + found.character.len_utf8(),
        };
        Some((span, found))
    }
}

const A_SPACE: &str = "write a space";
const A_COLON: &str = "write `:` and a space";

/// Whether a text begins with a colon after blank and invisible characters.
fn is_before_colon(text: &str) -> bool {
    let is_blank =
        |c: char| c == ' ' || Lookalike::of(c).is_some_and(|found| found.instead != A_COLON);
    text.trim_start_matches(is_blank).starts_with(':')
}

/// Whether a text ends in what can be the key of an option.
fn ends_in_key(text: &str) -> bool {
    let is_of_key = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let key = text.rsplit(|c| !is_of_key(c)).next().unwrap_or_default();
    let before = &text[..text.len() - key.len()];
    !key.is_empty()
        && before
            .trim_end()
            .trim_end_matches(['{', ','])
            .trim()
            .is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_in_the_place_of_syntax_is_found() {
        let found = |line| Lookalike::find(line).map(|(at, found)| (at, found.character));
        for (line, expected) in [
            ("steps:\u{a0}5", Some((6, '\u{a0}'))),
            ("\u{a0}\u{a0}steps: 5", Some((0, '\u{a0}'))),
            ("  steps\u{ff1a}5", Some((7, '\u{ff1a}'))),
            ("train: {steps:\u{3000}5}", Some((14, '\u{3000}'))),
            ("name\u{a0}: x", Some((4, '\u{a0}'))),
            ("train: {steps\u{200b} : 5}", None),
            ("  steps\u{200b} : 5", Some((7, '\u{200b}'))),
            // In a text, all of these are what they are.
            ("description: 10\u{a0}000 steps", None),
            ("description: 10\u{a0}: 5", None),
            ("description: \u{6642}\u{9593}\u{ff1a}5", None),
            ("steps: 5", None),
        ] {
            assert_eq!(found(line), expected, "{line}");
        }
    }
}
