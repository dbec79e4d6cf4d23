//! Text for people: number formats, escaping, line wrapping and display width.

pub(crate) mod escape;
pub(crate) mod terminal;
pub(crate) mod units;
pub(crate) mod width;
pub(crate) mod wrap;

/// The text on one line, with single spaces between its words.
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
