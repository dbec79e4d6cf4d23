//! `samples.md`: the texts of a run for people. Runs of earlier versions have no other record of
//! their texts, so this format can also be parsed.

use super::SampleText;
use crate::text::escape::longest_run;

const HEADING: &str = "# Samples\n";
const TITLE: &str = "\n## ";
const PROMPT: &str = "\n\nPrompt:\n\n";
const CONTINUATION: &str = "\nContinuation:\n\n";

pub(super) fn render(samples: &[SampleText]) -> String {
    let mut markdown = HEADING.to_owned();
    for sample in samples {
        markdown += TITLE;
        markdown += &sample.title();
        markdown += PROMPT;
        markdown += &fenced(&sample.prompt);
        markdown += CONTINUATION;
        markdown += &fenced(&sample.text);
    }
    markdown
}

/// The inverse of [`render`]. `None` if the text is not in this format.
pub(super) fn parse(markdown: &str) -> Option<Vec<SampleText>> {
    let mut rest = markdown.strip_prefix(HEADING)?;
    let mut samples = Vec::new();
    while !rest.is_empty() {
        let (title, after) = rest.strip_prefix(TITLE)?.split_once('\n')?;
        let after = after.strip_prefix(PROMPT.strip_prefix('\n')?)?;
        let (prompt, after) = unfenced(after)?;
        let (text, after) = unfenced(after.strip_prefix(CONTINUATION)?)?;
        let (step, number) = step_and_number(title)?;
        samples.push(SampleText {
            step,
            number,
            prompt: prompt.to_owned(),
            text: text.to_owned(),
        });
        rest = after;
    }
    Some(samples)
}

/// A fenced block whose fence is longer than any run of backticks in the text, so that the text
/// cannot end it.
fn fenced(text: &str) -> String {
    let fence = "`".repeat(longest_run(text, '`').max(2) + 1);
    format!("{fence}text\n{text}\n{fence}\n")
}

fn unfenced(markdown: &str) -> Option<(&str, &str)> {
    let (opening, _) = markdown.split_once('\n')?;
    let fence = opening.strip_suffix("text")?;
    // The search starts at the line break before the text, so that it finds the end of an empty text.
    let body = &markdown[opening.len()..];
    let end = body.find(&format!("\n{fence}\n"))?;
    // Between the fences there is a line break, the text, and another line break.
    let text = body[1..].get(..end.checked_sub(1)?)?;
    Some((text, &body[end + fence.len() + 2..]))
}

/// The inverse of [`SampleText::title`].
fn step_and_number(title: &str) -> Option<(u64, usize)> {
    let (when, number) = match title.split_once(", text ") {
        Some((when, number)) => (when, number.parse().ok()?),
        None => (title, 1),
    };
    if when == "before training" {
        return Some((0, number));
    }
    let steps = when.strip_prefix("after ")?;
    let steps = steps
        .strip_suffix(" steps")
        .or(steps.strip_suffix(" step"))?;
    Some((steps.parse().ok()?, number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample((step, number): (u64, usize), prompt: &str, text: &str) -> SampleText {
        SampleText {
            step,
            number,
            prompt: prompt.to_owned(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn renders_as_markdown() {
        let markdown = render(&[sample((5, 1), "To", " be\n```\nor")]);
        assert_eq!(
            markdown,
            "# Samples\n\n## after 5 steps\n\nPrompt:\n\n```text\nTo\n```\n\nContinuation:\n\n\
             ````text\n be\n```\nor\n````\n"
        );
    }

    /// Texts made of pieces of the format itself.
    fn hostile() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("`".to_owned()),
            Just("```".to_owned()),
            Just("\n".to_owned()),
            Just("\r".to_owned()),
            Just("\\n".to_owned()),
            Just("text".to_owned()),
            Just(CONTINUATION.to_owned()),
            Just(TITLE.to_owned()),
            any::<String>(),
        ];
        prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn reads_back_exactly(
            texts in prop::collection::vec(((any::<u64>(), any::<usize>()), hostile(), hostile()), 0..4)
        ) {
            let samples: Vec<_> = texts.iter().map(|(a, b, c)| sample(*a, b, c)).collect();
            prop_assert_eq!(parse(&render(&samples)), Some(samples));
        }
    }
}
