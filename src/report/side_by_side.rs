//! Two texts side by side in one fixed-width block, which needs no HTML.

use crate::text::escape::visible;

/// Characters in each column: both fit the width of a pull request.
const WIDTH: usize = 42;
/// Lines of a text that are shown.
const LINES: usize = 28;

/// A heading for each text and the texts below, wrapped.
pub(super) fn side_by_side(left: (&str, &str), right: (&str, &str)) -> String {
    let mut rows = vec![
        row(left.0, right.0),
        format!("{0}┼{0}", "─".repeat(WIDTH + 1)),
    ];
    let left = wrap(left.1);
    let right = wrap(right.1);
    for index in 0..left.len().max(right.len()) {
        let cell = |lines: &[String]| lines.get(index).cloned().unwrap_or_default();
        rows.push(row(&cell(&left), &cell(&right)));
    }
    rows.join("\n")
}

fn row(left: &str, right: &str) -> String {
    let pad = WIDTH.saturating_sub(left.chars().count());
    format!("{left}{} │ {right}", " ".repeat(pad))
        .trim_end()
        .to_owned()
}

/// Lines of at most [`WIDTH`] characters, broken at a space where there is one.
fn wrap(text: &str) -> Vec<String> {
    let text = visible(text.trim_matches('\n')).replace('\t', "    ");
    let mut lines = Vec::new();
    for line in text.split('\n') {
        let mut rest: Vec<char> = line.trim_end().chars().collect();
        while rest.len() > WIDTH {
            let space = rest[..=WIDTH].iter().rposition(|c| *c == ' ');
            let cut = space.filter(|&at| at > WIDTH / 2).unwrap_or(WIDTH);
            let next = rest.split_off(cut);
            lines.push(rest.iter().collect::<String>());
            rest = next.into_iter().skip_while(|c| *c == ' ').collect();
        }
        lines.push(rest.iter().collect());
    }
    if lines.len() > LINES {
        lines.truncate(LINES - 1);
        lines.push("…".to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_stand_beside_each_other() {
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
        let lines = wrap(&"word ".repeat(20));
        assert!(
            lines
                .iter()
                .all(|line| line.len() <= WIDTH && line.starts_with("word"))
        );
        assert_eq!(wrap(&"x".repeat(100)).len(), 3);
        let many = wrap(&"x\n".repeat(100));
        assert_eq!((many.len(), many.last().unwrap().as_str()), (LINES, "…"));
    }

    #[test]
    fn nothing_in_a_text_leaves_its_column() {
        let text = side_by_side(("a", "\u{202e}\r\u{b}\u{85}x\u{2028}y"), ("b", "z"));
        assert_eq!(text.lines().count(), 3);
    }
}
