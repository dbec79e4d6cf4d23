//! Line wrapping by display width.

use textwrap::{Options, WordSeparator, WordSplitter, WrapAlgorithm};

/// The lines of the text, each at most `columns` wide. Lines break at spaces; a word that is longer
/// than a line is cut. Line breaks of the text stay.
pub(crate) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let options = Options::new(columns)
        .break_words(true)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation)
        .wrap_algorithm(WrapAlgorithm::FirstFit);
    text.split('\n')
        .flat_map(|line| textwrap::wrap(line.trim_end(), &options))
        .map(|line| line.into_owned())
        .collect()
}

/// A text for a terminal of this width, or unchanged for a reader that is none.
pub(crate) fn wrapped(text: &str, columns: Option<usize>) -> String {
    match columns {
        Some(columns) => wrap(text, columns).join("\n"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::width::display_width;
    use proptest::prelude::*;

    #[test]
    fn lines_break_at_spaces_and_long_words_are_cut() {
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(wrap("abcdefghij", 4), ["abcd", "efgh", "ij"]);
        assert_eq!(wrap("東京東京", 5), ["東京", "東京"]);
        assert_eq!(wrap("a\n\n  b ", 9), ["a", "", "  b"]);
    }

    #[test]
    fn only_a_terminal_gets_wrapped_text() {
        let text = "one two three\n\n  four five\n";
        assert_eq!(wrapped(text, None), text);
        assert_eq!(wrapped(text, Some(8)), "one two\nthree\n\n  four\nfive\n");
    }

    proptest! {
        #[test]
        fn no_line_is_too_wide_and_no_word_is_lost(text in "[a-z 東👍\\n]{0,80}", columns in 2usize..30) {
            let lines = wrap(&text, columns);
            prop_assert!(lines.iter().all(|line| display_width(line) <= columns));
            let letters = |text: &str| -> String { text.split_whitespace().collect() };
            prop_assert_eq!(letters(&lines.concat()), letters(&text));
        }
    }
}
