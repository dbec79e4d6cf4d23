//! Two texts side by side in one block of fixed-width text, which Markdown can show without HTML.

use crate::text::escape::visible;
use crate::text::width::{pad, shorten};
use crate::text::wrap::wrap;

/// Width of each text in columns. Both fit into the width of a pull request.
const WIDTH: usize = 42;
/// Largest number of lines that are shown of a text.
const MAX_LINES: usize = 28;

/// Two texts, wrapped and side by side, each with a title above it.
pub(super) fn side_by_side(left: (&str, &str), right: (&str, &str)) -> String {
    let mut rows = vec![
        row(&title(left.0), &title(right.0)),
        format!("{0}┼{0}", "─".repeat(WIDTH + 1)),
    ];
    let left = lines(left.1);
    let right = lines(right.1);
    for index in 0..left.len().max(right.len()) {
        let cell = |lines: &[String]| lines.get(index).cloned().unwrap_or_default();
        rows.push(row(&cell(&left), &cell(&right)));
    }
    rows.join("\n")
}

fn title(text: &str) -> String {
    shorten(&visible(text), WIDTH)
}

fn row(left: &str, right: &str) -> String {
    format!("{} │ {right}", pad(left, WIDTH))
        .trim_end()
        .to_owned()
}

/// The first lines of a text, each at most [`WIDTH`] wide.
fn lines(text: &str) -> Vec<String> {
    let text = visible(text.trim_matches('\n')).replace('\t', "    ");
    let mut lines = wrap(&text, WIDTH);
    if lines.len() > MAX_LINES {
        lines.truncate(MAX_LINES - 1);
        lines.push("…".to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::width::display_width;

    #[test]
    fn texts_are_shown_side_by_side() {
        let text = side_by_side(("a", "one\n\ntwo"), ("b", "three"));
        let rule = format!("{0}┼{0}", "─".repeat(43));
        let pad = |text: &str| format!("{text:<42} │");
        assert_eq!(
            text.lines().collect::<Vec<_>>(),
            [
                format!("{} b", pad("a")).as_str(),
                &rule,
                &format!("{} three", pad("one")),
                &pad(""),
                &pad("two"),
            ]
        );
    }

    #[test]
    fn long_lines_wrap_and_long_texts_end() {
        let wrapped = lines(&"word ".repeat(20));
        assert!(
            wrapped
                .iter()
                .all(|line| line.len() <= WIDTH && line.starts_with("word"))
        );
        assert_eq!(lines(&"x".repeat(100)).len(), 3);
        let many = lines(&"x\n".repeat(100));
        assert_eq!(
            (many.len(), many.last().unwrap().as_str()),
            (MAX_LINES, "…")
        );
    }

    #[test]
    fn the_bar_stays_in_its_column_beside_wide_characters() {
        let text = side_by_side(("a", "東京 👍\nplain\n"), ("b", "x\nx"));
        let bar = |line: &str| display_width(line.split(['│', '┼']).next().unwrap());
        let bars: Vec<usize> = text.lines().map(bar).collect();
        assert_eq!(bars, [WIDTH + 1; 4]);
    }

    #[test]
    fn control_characters_stay_in_their_column() {
        let text = side_by_side(("a", "\u{202e}\r\u{b}\u{85}x\u{2028}y"), ("b", "z"));
        assert_eq!(text.lines().count(), 3);
    }
}
