//! Errors with the part of the text that they are about, shown as a compiler shows them.

use super::error_kind::ErrorKind;
use super::limits::{MAX_ERRORS, MAX_SHOWN_ERRORS};
use super::spans::{FILE, Sources, Span};
use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use std::fmt;
use std::io::IsTerminal;
use std::ops::Range;
use std::sync::Arc;

/// One error and its span.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Diagnostic {
    /// `None` if the file could not be read.
    span: Option<Span>,
    kind: Box<ErrorKind>,
    /// Another span that explains the error, with a label.
    related: Option<(Span, &'static str)>,
}

impl Diagnostic {
    pub(super) fn new(span: impl Into<Option<Span>>, kind: ErrorKind) -> Self {
        Self {
            span: span.into(),
            kind: Box::new(kind),
            related: None,
        }
    }

    /// The message, without the text that it is about.
    pub(super) fn message(&self) -> String {
        self.kind.to_string()
    }

    pub(super) fn related(mut self, span: Span, label: &'static str) -> Self {
        self.related = Some((span, label));
        self
    }
}

/// All errors of an experiment, at least one, in the order of the file.
///
/// `Display` gives plain text. [`Diagnostics::eprint`] adds color on a terminal.
#[derive(Debug, Clone)]
pub struct Diagnostics {
    sources: Arc<Sources>,
    list: Vec<Diagnostic>,
}

impl Diagnostics {
    pub(super) fn new(sources: Arc<Sources>, mut list: Vec<Diagnostic>) -> Self {
        list.sort_by_key(|diagnostic| diagnostic.span);
        // With an alias, one mistake is found at several paths of the document.
        list.dedup();
        Self { sources, list }
    }

    /// Number of errors.
    #[expect(clippy::len_without_is_empty, reason = "there is at least one error")]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// All errors of several, which are of one document; `None` if there are none.
    pub fn merged(all: impl IntoIterator<Item = Self>) -> Option<Self> {
        let mut all = all.into_iter();
        let Self { sources, mut list } = all.next()?;
        list.extend(all.flat_map(|one| one.list));
        Some(Self::new(sources, list))
    }

    /// Writes all errors to standard error, in color on a terminal unless `NO_COLOR` is set.
    pub fn eprint(&self) {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let styled = std::io::stderr().is_terminal() && !no_color;
        eprintln!("{}", self.render(styled));
    }

    /// All errors as text, with ANSI color codes if `styled`.
    pub fn render(&self, styled: bool) -> String {
        let renderer = if styled {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        let shown = self.list.iter().take(MAX_SHOWN_ERRORS);
        let mut blocks: Vec<_> = shown.map(|d| self.render_one(d, &renderer)).collect();
        let name = &self.sources.get(FILE).name;
        match self.list.len() {
            0 | 1 => {}
            n if n >= MAX_ERRORS => blocks.push(format!(
                "{name}: at least {n} errors; the first {MAX_SHOWN_ERRORS} are shown"
            )),
            n if n > MAX_SHOWN_ERRORS => blocks.push(format!(
                "{name}: {n} errors; the first {MAX_SHOWN_ERRORS} are shown"
            )),
            n => blocks.push(format!("{name}: {n} errors")),
        }
        blocks.join("\n\n")
    }

    fn render_one(&self, diagnostic: &Diagnostic, renderer: &Renderer) -> String {
        let title = diagnostic.kind.to_string();
        let title = Level::ERROR.primary_title(title);
        let mut group = match diagnostic.span {
            None => Group::with_title(title).element(Origin::path(&self.sources.get(FILE).name)),
            Some(span) => title.elements(self.snippets(span, diagnostic.related)),
        };
        if let Some(help) = diagnostic.kind.help() {
            group = group.element(Level::HELP.message(help));
        }
        renderer.render(&[group])
    }

    /// The line of the error with a mark under its span, and the line of the related span.
    fn snippets(
        &self,
        span: Span,
        related: Option<(Span, &'static str)>,
    ) -> Vec<Snippet<'_, Annotation<'_>>> {
        let lines = self.sources.line(span);
        let Some((other, label)) = related else {
            return vec![self.snippet(span.source, lines, &[(span, None)])];
        };
        let other_lines = self.sources.line(other);
        let both = [(span, None), (other, Some(label))];
        if span.source == other.source {
            let start = lines.start.min(other_lines.start);
            let lines = start..lines.end.max(other_lines.end);
            return vec![self.snippet(span.source, lines, &both)];
        }
        vec![
            self.snippet(span.source, lines, &both[..1]),
            self.snippet(other.source, other_lines, &both[1..]),
        ]
    }

    /// Whole lines of a source with marks under spans in them. A span with a label gets the mark of
    /// an explanation, the other one that of the error. The renderer leaves out lines without a mark.
    fn snippet(
        &self,
        source: usize,
        lines: Range<usize>,
        marks: &[(Span, Option<&'static str>)],
    ) -> Snippet<'_, Annotation<'_>> {
        let source = self.sources.get(source);
        let number = 1 + source.text[..lines.start].matches('\n').count();
        let marks = marks.iter().map(|(span, label)| {
            let kind = match label {
                None => AnnotationKind::Primary,
                Some(_) => AnnotationKind::Context,
            };
            // Only the first line of a value is marked.
            let line = self.sources.line(*span);
            let start = span.start.min(line.end);
            let end = span.end.min(line.end).max(start);
            kind.span(start - lines.start..end - lines.start)
                .label(*label)
        });
        Snippet::source(&source.text[lines.clone()])
            .path(&source.name)
            .line_start(number)
            .annotations(marks)
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Diagnostics {}
