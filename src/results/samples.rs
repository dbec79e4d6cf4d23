use super::{RunDir, write_atomic};
use std::fs;
use std::io::{self, ErrorKind};

/// A text drawn from a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleText {
    /// Steps that the model was trained for.
    pub step: u64,
    /// Number among the texts drawn at this step, from 1.
    pub number: usize,
    /// What the model was given.
    pub prompt: String,
    /// What it went on with.
    pub text: String,
}

impl SampleText {
    /// When it was drawn: `after 500 steps`, `before training, text 2`.
    pub fn title(&self) -> String {
        let when = match self.step {
            0 => BEFORE.to_owned(),
            1 => "after 1 step".to_owned(),
            step => format!("after {step} steps"),
        };
        match self.number {
            1 => when,
            number => format!("{when}{TEXT}{number}"),
        }
    }

    /// Step and number of a title.
    fn from_title(title: &str) -> Option<(u64, usize)> {
        let (when, number) = match title.split_once(TEXT) {
            Some((when, number)) => (when, number.parse().ok()?),
            None => (title, 1),
        };
        if when == BEFORE {
            return Some((0, number));
        }
        let steps = when.strip_prefix("after ")?;
        let steps = steps
            .strip_suffix(" steps")
            .or(steps.strip_suffix(" step"))?;
        Some((steps.parse().ok()?, number))
    }
}

const BEFORE: &str = "before training";
const TEXT: &str = ", text ";

impl RunDir {
    /// Writes `samples.md`, which shows as markdown and reads back exactly.
    pub fn write_samples(&self, samples: &[SampleText]) -> io::Result<()> {
        write_atomic(&self.samples(), render(samples).as_bytes())
    }

    /// The samples of `samples.md`; none where the file is absent.
    pub fn read_samples(&self) -> io::Result<Vec<SampleText>> {
        match fs::read_to_string(self.samples()) {
            Ok(markdown) => parse(&markdown).ok_or_else(|| {
                io::Error::new(
                    ErrorKind::InvalidData,
                    "samples.md is not as it was written",
                )
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

const HEADING: &str = "# Samples\n";
const TITLE: &str = "\n## ";
const PROMPT: &str = "\n\nPrompt:\n\n";
const CONTINUATION: &str = "\nContinuation:\n\n";

fn render(samples: &[SampleText]) -> String {
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

/// The inverse of [`render`].
fn parse(markdown: &str) -> Option<Vec<SampleText>> {
    let mut rest = markdown.strip_prefix(HEADING)?;
    let mut samples = Vec::new();
    while !rest.is_empty() {
        let (title, after) = rest.strip_prefix(TITLE)?.split_once('\n')?;
        let after = after.strip_prefix(PROMPT.strip_prefix('\n')?)?;
        let (prompt, after) = unfenced(after)?;
        let (text, after) = unfenced(after.strip_prefix(CONTINUATION)?)?;
        let (step, number) = SampleText::from_title(title)?;
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
    // The line break before the text is part of what is searched, so that an empty text is found.
    let body = &markdown[opening.len()..];
    let end = body.find(&format!("\n{fence}\n"))?;
    // An empty text is a line break between two that are its borders.
    let text = body[1..].get(..end.checked_sub(1)?)?;
    Some((text, &body[end + fence.len() + 2..]))
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

    fn sample((step, number): (u64, usize), prompt: &str, text: &str) -> SampleText {
        SampleText {
            step,
            number,
            prompt: prompt.to_owned(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn reads_as_markdown() {
        let markdown = render(&[sample((5, 1), "To", " be\n```\nor")]);
        assert_eq!(
            markdown,
            "# Samples\n\n## after 5 steps\n\nPrompt:\n\n```text\nTo\n```\n\nContinuation:\n\n\
             ````text\n be\n```\nor\n````\n"
        );
    }

    #[test]
    fn absent_file_has_no_samples() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunDir::new(dir.path());
        assert_eq!(run.read_samples().unwrap(), []);
        let samples = [sample((0, 1), "", ""), sample((1, 2), "\r\n", "\n")];
        run.write_samples(&samples).unwrap();
        assert_eq!(run.read_samples().unwrap(), samples);
        fs::write(run.samples(), "# Samples\n\n## torn").unwrap();
        let error = run.read_samples().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
    }

    /// Texts made of what could be taken for the format itself.
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
