//! The texts that an experiment is written in, the file and the overrides, and places in them.

use super::diagnostic::Diagnostic;
use super::error_kind::Problem;
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::Path;

/// Largest experiment file accepted: thousands of times one written by hand.
pub(super) const MAX_FILE_BYTES: u64 = 1 << 20;

/// Index of the file among the [`Sources`]; overrides follow it.
pub(super) const FILE: usize = 0;

/// A range of bytes in one of the [`Sources`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) source: usize,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Place {
    /// From the start of this place to the end of another in the same source. A value that an
    /// alias brought from elsewhere leaves the place as it is.
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

/// A text and the name that errors give it.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) name: String,
    pub(super) text: String,
}

/// The file, then the overrides in the order of the command line.
#[derive(Debug)]
pub(super) struct Sources(Vec<Source>);

impl Sources {
    pub(super) fn new(file_name: String, text: String, overrides: &[String]) -> Self {
        let mut sources = vec![Source {
            name: file_name,
            text,
        }];
        sources.extend(overrides.iter().map(|text| Source {
            name: "command line".to_owned(),
            text: text.clone(),
        }));
        Self(sources)
    }

    pub(super) fn get(&self, source: usize) -> &Source {
        &self.0[source]
    }

    /// Numbers and texts of the overrides.
    pub(super) fn overrides(&self) -> impl Iterator<Item = (usize, &str)> {
        let all = self.0.iter().enumerate().skip(1);
        all.map(|(index, source)| (index, source.text.as_str()))
    }

    /// The text at a place.
    pub(super) fn text(&self, place: Place) -> &str {
        &self.0[place.source].text[place.start..place.end]
    }

    /// The line that a place starts on, without its end.
    pub(super) fn line(&self, place: Place) -> Range<usize> {
        let text = &self.0[place.source].text;
        let start = text[..place.start].rfind('\n').map_or(0, |at| at + 1);
        let end = text[place.start..]
            .find('\n')
            .map_or(text.len(), |at| place.start + at);
        start..start + text[start..end].trim_end_matches('\r').len()
    }
}

/// Reads an experiment file, no more of it than [`MAX_FILE_BYTES`].
///
/// # Errors
/// What is wrong, with the text in which it has its place.
pub(super) fn read(path: &Path) -> Result<String, (String, Diagnostic)> {
    let whole = |problem| (String::new(), Diagnostic::new(None, problem));
    let unreadable = |error: std::io::Error| whole(Problem::Unreadable(error.to_string()));
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if metadata.is_dir() {
        return Err(whole(Problem::Folder));
    }
    if metadata.len() > MAX_FILE_BYTES {
        return Err(whole(Problem::TooLarge));
    }
    let mut bytes = Vec::new();
    // A pipe or a device has no length to check, so the limit holds while reading as well.
    File::open(path)
        .and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(whole(Problem::TooLarge));
    }
    String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
        let line_start = text[..offset].rfind('\n').map_or(0, |at| at + 1);
        let place = Place {
            source: FILE,
            start: offset,
            end: offset + char::REPLACEMENT_CHARACTER.len_utf8(),
        };
        let problem = Problem::NotUtf8 {
            offset,
            line: 1 + text[..offset].matches('\n').count(),
            column: 1 + text[line_start..offset].chars().count(),
        };
        (text, Diagnostic::new(place, problem))
    })
}
