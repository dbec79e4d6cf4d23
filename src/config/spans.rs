//! The source texts of an experiment, which are its files and the overrides, and spans in them.

use crate::text::escape::visible;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Index of the file of an experiment in [`Sources`].
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

/// The place of a mistake that is about a whole file.
pub(super) fn start_of(source: usize) -> Span {
    Span {
        source,
        start: 0,
        end: 0,
    }
}

/// A text, and the name that errors show for it.
#[derive(Debug, Clone)]
pub(super) struct SourceText {
    pub(super) name: String,
    pub(super) text: String,
    /// Path of the file. Empty for an override.
    pub(super) path: PathBuf,
}

impl SourceText {
    pub(super) fn file(path: &Path, text: String) -> Self {
        // An error must not send an escape sequence of a file name to the terminal.
        let name = visible(&path.display().to_string()).replace('\n', "␊");
        let path = path.to_owned();
        Self { name, text, path }
    }
}

/// The file, then those that it extends, then the overrides in the order of the command line.
#[derive(Debug)]
pub(super) struct Sources {
    texts: Vec<SourceText>,
    /// Number of files.
    files: usize,
}

impl Sources {
    pub(super) fn new(files: Vec<SourceText>, overrides: &[String]) -> Self {
        let number = files.len();
        let overrides = overrides.iter().map(|text| SourceText {
            name: "command line".to_owned(),
            text: text.clone(),
            path: PathBuf::new(),
        });
        Self {
            texts: files.into_iter().chain(overrides).collect(),
            files: number,
        }
    }

    /// One file.
    pub(super) fn of_file(path: &Path, text: String) -> Self {
        Self::new(vec![SourceText::file(path, text)], &[])
    }

    /// The same files with other overrides.
    pub(super) fn with_overrides(&self, overrides: &[String]) -> Self {
        Self::new(self.texts[..self.files].to_vec(), overrides)
    }

    pub(super) fn get(&self, source: usize) -> &SourceText {
        &self.texts[source]
    }

    /// Whether a source is a file and not an override.
    pub(super) fn is_file(&self, source: usize) -> bool {
        source < self.files
    }

    /// The index and the text of each override.
    pub(super) fn overrides(&self) -> impl Iterator<Item = (usize, &str)> {
        let all = self.texts.iter().enumerate().skip(self.files);
        all.map(|(index, source)| (index, source.text.as_str()))
    }

    /// The text of a span.
    pub(super) fn text(&self, span: Span) -> &str {
        &self.texts[span.source].text[span.start..span.end]
    }

    /// Number of the line in which a span starts, from 1.
    pub(super) fn line_number(&self, span: Span) -> usize {
        1 + self.texts[span.source].text[..span.start]
            .matches('\n')
            .count()
    }

    /// The file and the line in which a span starts, or the name of an override.
    pub(super) fn place(&self, span: Span) -> String {
        let name = &self.get(span.source).name;
        match self.is_file(span.source) {
            true => format!("{name}:{}", self.line_number(span)),
            false => name.clone(),
        }
    }

    /// The line in which a span starts, without its line break.
    pub(super) fn line(&self, span: Span) -> Range<usize> {
        let text = &self.texts[span.source].text;
        let start = text[..span.start].rfind('\n').map_or(0, |at| at + 1);
        let end = text[span.start..]
            .find('\n')
            .map_or(text.len(), |at| span.start + at);
        start..start + text[start..end].trim_end_matches('\r').len()
    }
}
