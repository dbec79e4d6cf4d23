//! Width of text in the columns of a terminal or of a fixed-width font.
//!
//! East Asian characters and emoji take two columns, combining marks take none (Unicode Standard
//! Annex 11).

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Number of columns that the text takes.
pub(crate) fn display_width(text: &str) -> usize {
    text.width()
}

/// The text with spaces at the end, so that it takes at least `columns`.
pub(crate) fn pad(text: &str, columns: usize) -> String {
    let spaces = columns.saturating_sub(display_width(text));
    format!("{text}{}", " ".repeat(spaces))
}

/// The text in at most `columns`. The middle of a longer text is replaced by `…`.
pub(crate) fn shorten(text: &str, columns: usize) -> String {
    if display_width(text) <= columns {
        return text.to_owned();
    }
    let head = columns / 2;
    let start = prefix(text.chars(), head);
    let end = prefix(text.chars().rev(), columns.saturating_sub(head + 1));
    let characters: Vec<char> = text.chars().collect();
    let (start, end) = (&characters[..start], &characters[characters.len() - end..]);
    start.iter().chain(&['…']).chain(end).collect()
}

/// Number of characters that fit into `columns`.
fn prefix(characters: impl Iterator<Item = char>, columns: usize) -> usize {
    let mut used = 0;
    characters
        .take_while(|character| {
            used += character.width().unwrap_or(0);
            used <= columns
        })
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn wide_characters_take_two_columns() {
        let widths = ["abc", "東京", "👍", "e\u{301}", ""].map(display_width);
        assert_eq!(widths, [3, 4, 2, 1, 0]);
        assert_eq!(pad("東京", 6), "東京  ");
        assert_eq!(pad("abcdefg", 6), "abcdefg");
    }

    #[test]
    fn shortened_text_keeps_both_ends() {
        assert_eq!(shorten("short", 8), "short");
        assert_eq!(shorten("a-very-long-name-2", 8), "a-ve…e-2");
        assert_eq!(shorten("東京東京東京", 8), "東京…京");
    }

    proptest! {
        #[test]
        fn shortened_text_fits(text in any::<String>(), columns in 1usize..40) {
            prop_assert!(display_width(&shorten(&text, columns)) <= columns.max(1));
        }

        #[test]
        fn padded_text_takes_its_columns(text in "[a-z東京👍]{0,20}", columns in 0usize..60) {
            let width = display_width(&text).max(columns);
            prop_assert_eq!(display_width(&pad(&text, columns)), width);
        }
    }
}
