//! The text of an experiment file.

use super::diagnostic::Diagnostic;
use super::error_kind::ErrorKind;
use super::limits::MAX_FILE_BYTES;
use super::spans::Span;
use crate::regular_file;
use std::path::Path;

/// Reads an experiment file of at most [`MAX_FILE_BYTES`], as the source with this index.
///
/// # Errors
/// What is wrong, with the text that its span is in.
pub(super) fn read(path: &Path, source: usize) -> Result<String, (String, Diagnostic)> {
    let without_span = |kind| (String::new(), Diagnostic::new(None, kind));
    let unreadable = |error: std::io::Error| without_span(ErrorKind::Unreadable(error.to_string()));
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if metadata.is_dir() {
        return Err(without_span(ErrorKind::Folder));
    }
    if metadata.len() > MAX_FILE_BYTES {
        return Err(without_span(ErrorKind::TooLarge));
    }
    let bytes = regular_file::read_at_most(path, MAX_FILE_BYTES + 1).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(without_span(ErrorKind::TooLarge));
    }
    String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
        let line_start = text[..offset].rfind('\n').map_or(0, |at| at + 1);
        let span = Span {
            source,
            start: offset,
            end: offset + char::REPLACEMENT_CHARACTER.len_utf8(),
        };
        let kind = ErrorKind::NotUtf8 {
            offset,
            line: 1 + text[..offset].matches('\n').count(),
            column: 1 + text[line_start..offset].chars().count(),
        };
        (text, Diagnostic::new(span, kind))
    })
}
