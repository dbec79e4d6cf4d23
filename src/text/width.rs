//! Width of text in the columns of a terminal or of a fixed-width font.
//!
//! East Asian characters and emoji take two columns, combining marks take none (Unicode Standard
//! Annex 11).

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

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
    let end = end_of(text, columns.saturating_sub(head + 1));
    format!("{}…{end}", start_of(text, head))
}

/// The longest start of the text that fits into `columns`. An emoji or a letter with its marks is not cut.
pub(crate) fn start_of(text: &str, columns: usize) -> &str {
    let ends = text
        .grapheme_indices(true)
        .map(|(index, cluster)| index + cluster.len());
    let fits = |end: &usize| display_width(&text[..*end]) <= columns;
    &text[..ends.take_while(fits).last().unwrap_or(0)]
}

/// The longest end of the text that fits into `columns`.
pub(crate) fn end_of(text: &str, columns: usize) -> &str {
    let starts = text.grapheme_indices(true).rev().map(|(index, _)| index);
    let fits = |start: &usize| display_width(&text[*start..]) <= columns;
    &text[starts.take_while(fits).last().unwrap_or(text.len())..]
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

    #[test]
    fn characters_of_several_code_points_are_not_cut() {
        let family = "👩\u{200d}👩\u{200d}👧";
        let names = family.repeat(4);
        assert_eq!(display_width(&names), 8);
        assert_eq!(shorten(&names, 6), format!("{family}…{family}"));
        assert_eq!(start_of("e\u{301}e\u{301}", 1), "e\u{301}");
        assert_eq!(end_of("e\u{301}e\u{301}", 1), "e\u{301}");
        assert_eq!([start_of("ab", 0), end_of("ab", 9)], ["", "ab"]);
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
