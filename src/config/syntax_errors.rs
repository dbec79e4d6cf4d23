//! Mistakes in the syntax of YAML, with their usual causes.

use super::diagnostic::Diagnostic;
use super::error_kind::{ErrorKind, shortened};
use super::lookalike::Lookalike;
use super::spans::Span;

/// The error that the parser reports at `span` with the message `info`. `text` starts at byte `offset` of
/// its source.
pub(super) fn syntax_error(info: &str, text: &str, span: Span, offset: usize) -> Diagnostic {
    if info.contains("recursion limit") {
        return Diagnostic::new(span, ErrorKind::TooDeep);
    }
    let at = span.start - offset;
    if let Some((span, found)) = lookalike_near(text, at, span.source, offset) {
        return Diagnostic::new(span, ErrorKind::Lookalike(found));
    }
    let info = info.to_owned();
    let line = text[..at].rsplit('\n').next().unwrap_or_default();
    let key = line.trim_start();
    // A single word before the colon of an indented line is a key rather than text.
    let alone = !key.is_empty() && key.len() < line.len() && !key.contains([' ', ':', ',', '{']);
    let kind = if alone && info.contains("mapping values are not allowed") {
        let key = shortened(key);
        ErrorKind::MisplacedKey { info, key }
    } else {
        ErrorKind::Syntax(info)
    };
    Diagnostic::new(span, kind)
}

/// A character that is not the syntax that it looks like, in the line of byte `at` or in the line before:
/// the parser often notices the mistake only there.
fn lookalike_near(
    text: &str,
    at: usize,
    source: usize,
    offset: usize,
) -> Option<(Span, Lookalike)> {
    let start_of_line = |at: usize| text[..at].rfind('\n').map_or(0, |end| end + 1);
    let this = start_of_line(at);
    let before = start_of_line(this.saturating_sub(1));
    let end = text[at..].find('\n').map_or(text.len(), |end| at + end);
    let mut lines = [before..this, this..end].into_iter();
    let (span, found) = lines.find_map(|line| Lookalike::find_in(text, line, source))?;
    let span = Span {
        start: offset + span.start,
        end: offset + span.end,
        ..span
    };
    Some((span, found))
}

/// The error of a document that says that it is in another version of YAML. Its values could have another
/// meaning there: in YAML 1.1, `no` is a boolean and `1e-3` is text.
pub(super) fn other_version(text: &str, source: usize, offset: usize) -> Option<Diagnostic> {
    let lines = text.split_inclusive('\n').scan(0, |start, line| {
        *start += line.len();
        Some((*start - line.len(), line))
    });
    let is_before_document = |line: &str| line.starts_with(['%', '#']) || line.trim().is_empty();
    let (start, line) = lines
        .take_while(|(_, line)| is_before_document(line))
        .find(|(_, line)| line.starts_with("%YAML"))?;
    let version = line.split_whitespace().nth(1).unwrap_or_default();
    let span = Span {
        source,
        start: offset + start,
        end: offset + start + line.trim_end().len(),
    };
    let kind = ErrorKind::YamlVersion(shortened(version));
    (version != "1.2").then(|| Diagnostic::new(span, kind))
}
