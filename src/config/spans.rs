//! The source texts of an experiment, which are the file and the overrides, and spans in them.

use crate::text::escape::visible;
use std::ops::Range;

/// Index of the file in [`Sources`]. The overrides follow it.
pub(super) const FILE: usize = 0;

/// A range of bytes in one of the [`Sources`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Span {
    pub(super) source: usize,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Span {
    /// Whether another span is inside of this one.
    pub(super) fn contains(self, inner: Self) -> bool {
        self.source == inner.source && self.start <= inner.start && inner.end <= self.end
    }

    /// From the start of this span to the end of another one. A span of another source, which an
    /// alias can bring, changes nothing.
    pub(super) fn to(self, last: Self) -> Self {
        Self {
            end: self.end.max(if last.source == self.source {
                last.end
            } else {
                self.end
            }),
            ..self
        }
    }
}

/// The place of a mistake that is about the whole file.
pub(super) const START_OF_FILE: Span = Span {
    source: FILE,
    start: 0,
    end: 0,
};

/// A text, and the name that errors show for it.
#[derive(Debug)]
pub(super) struct SourceText {
    pub(super) name: String,
    pub(super) text: String,
}

/// The file, then the overrides in the order of the command line.
#[derive(Debug)]
pub(super) struct Sources(Vec<SourceText>);

impl Sources {
    pub(super) fn new(file_name: &str, text: String, overrides: &[String]) -> Self {
        // An error must not send an escape sequence of a file name to the terminal.
        let name = visible(file_name).replace('\n', "␊");
        let mut sources = vec![SourceText { name, text }];
        sources.extend(overrides.iter().map(|text| SourceText {
            name: "command line".to_owned(),
            text: text.clone(),
        }));
        Self(sources)
    }

    pub(super) fn get(&self, source: usize) -> &SourceText {
        &self.0[source]
    }

    /// The index and the text of each override.
    pub(super) fn overrides(&self) -> impl Iterator<Item = (usize, &str)> {
        let all = self.0.iter().enumerate().skip(1);
        all.map(|(index, source)| (index, source.text.as_str()))
    }

    /// The text of a span.
    pub(super) fn text(&self, span: Span) -> &str {
        &self.0[span.source].text[span.start..span.end]
    }

    /// Number of the line in which a span starts, from 1.
    pub(super) fn line_number(&self, span: Span) -> usize {
        1 + self.0[span.source].text[..span.start].matches('\n').count()
    }

    /// The line in which a span starts, without its line break.
    pub(super) fn line(&self, span: Span) -> Range<usize> {
        let text = &self.0[span.source].text;
        let start = text[..span.start].rfind('\n').map_or(0, |at| at + 1);
        let end = text[span.start..]
            .find('\n')
            .map_or(text.len(), |at| span.start + at);
        start..start + text[start..end].trim_end_matches('\r').len()
    }
}
