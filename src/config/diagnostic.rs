//! Errors with the part of the text that they are about, shown as a compiler shows them.

use super::error_kind::ErrorKind;
use super::limits::{MAX_ERRORS, MAX_SHOWN_ERRORS};
use super::spans::{FILE, Sources, Span};
use crate::text::escape::visible;
use crate::text::units::list;
use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::ops::Range;
use std::sync::Arc;

/// One error and its span.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Diagnostic {
    /// `None` if the file could not be read.
    span: Option<Span>,
    kind: Box<ErrorKind>,
    /// Another span that explains the error, with a label.
    related: Option<Box<(Span, &'static str)>>,
    /// The sizes at which it was found, the smallest first. Empty in an experiment without sizes.
    sizes: Vec<AtSize>,
}

/// A size of `sweep.scale`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct AtSize {
    pub(super) index: usize,
    /// Number of sizes.
    pub(super) count: usize,
    /// What the size changes.
    pub(super) span: Span,
}

impl Diagnostic {
    pub(super) fn new(span: impl Into<Option<Span>>, kind: ErrorKind) -> Self {
        Self {
            span: span.into(),
            kind: Box::new(kind),
            related: None,
            sizes: Vec::new(),
        }
    }

    /// The error with this span, if it has none of its own.
    pub(super) fn at_least(self, span: Span) -> Self {
        Self {
            span: self.span.or(Some(span)),
            ..self
        }
    }

    /// The message, without the text that it is about.
    pub(super) fn message(&self) -> String {
        let numbers = self.own_sizes().iter().map(|size| size.index + 1);
        let numbers: Vec<String> = numbers.map(|number| number.to_string()).collect();
        match &numbers[..] {
            [] => self.kind.to_string(),
            [number] => format!("at size {number} of `sweep.scale`: {}", self.kind),
            _ => format!(
                "at the sizes {} of `sweep.scale`: {}",
                list(&numbers),
                self.kind
            ),
        }
    }

    /// The sizes that have the error, if others do not have it.
    fn own_sizes(&self) -> &[AtSize] {
        let is_of_all = |first: &AtSize| first.count == self.sizes.len();
        match self.sizes.first().is_some_and(is_of_all) {
            true => &[],
            false => &self.sizes,
        }
    }

    /// The span that explains the error: for an error of one size that is outside of what the size changes, the size.
    fn explanation(&self) -> Option<(Span, &'static str)> {
        let size = || match (self.own_sizes(), self.span) {
            ([size], Some(span)) => Some(size.span).filter(|size| !size.contains(span)),
            _ => None,
        };
        let related = self.related.as_deref().copied();
        related.or_else(|| Some((size()?, "the size")))
    }

    /// Says at which size it was found. An error that is found at all sizes does not come from one of them.
    pub(super) fn at_size(mut self, size: Option<AtSize>) -> Self {
        self.sizes = size.into_iter().collect();
        self
    }

    /// Whether it is the same mistake, possibly at another size.
    fn is_same(&self, other: &Self) -> bool {
        self.span == other.span
            && self.kind == other.kind
            && self.related == other.related
            && self.sizes.is_empty() == other.sizes.is_empty()
    }

    /// Adds the sizes of the same mistake.
    fn add_sizes(&mut self, others: Vec<AtSize>) {
        for other in others {
            if let Err(at) = self
                .sizes
                .binary_search_by_key(&other.index, |size| size.index)
            {
                self.sizes.insert(at, other);
            }
        }
    }

    pub(super) fn related(mut self, span: Span, label: &'static str) -> Self {
        self.related = Some(Box::new((span, label)));
        self
    }
}

/// A sorted list in which each mistake is once. With an alias, one mistake is found at several paths of the document,
/// and with sizes, at several of them.
fn merged_repetitions(list: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let mut merged: Vec<Diagnostic> = Vec::new();
    for diagnostic in list {
        let most = match diagnostic.sizes.is_empty() {
            true => 1,
            false => merged.len(),
        };
        let earlier = merged.iter_mut().rev().take(most);
        let mut at_span = earlier.take_while(|earlier| earlier.span == diagnostic.span);
        match at_span.find(|earlier| earlier.is_same(&diagnostic)) {
            Some(earlier) => earlier.add_sizes(diagnostic.sizes),
            None => merged.push(diagnostic),
        }
    }
    merged
}

/// All errors of an experiment, or all warnings about it, at least one, in the order of the file.
///
/// `Display` gives plain text. [`Diagnostics::eprint`] adds color on a terminal. Neither contains a
/// character of the file or its name that a terminal would carry out.
#[derive(Debug, Clone)]
pub struct Diagnostics {
    sources: Arc<Sources>,
    list: Vec<Diagnostic>,
    are_warnings: bool,
}

impl Diagnostics {
    pub(super) fn new(sources: Arc<Sources>, mut list: Vec<Diagnostic>) -> Self {
        list.sort_by_key(|diagnostic| diagnostic.span);
        Self {
            sources,
            list: merged_repetitions(list),
            are_warnings: false,
        }
    }

    /// Warnings, after which the experiment can still be run.
    pub(super) fn warnings(sources: Arc<Sources>, list: Vec<Diagnostic>) -> Self {
        Self {
            are_warnings: true,
            ..Self::new(sources, list)
        }
    }

    /// Number of errors.
    #[expect(clippy::len_without_is_empty, reason = "there is at least one error")]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// All errors of several, which are of one document; `None` if there are none.
    pub fn merged(all: impl IntoIterator<Item = Self>) -> Option<Self> {
        let mut all = all.into_iter();
        let mut merged = all.next()?;
        merged.list.extend(all.flat_map(|one| one.list));
        Some(Self {
            are_warnings: merged.are_warnings,
            ..Self::new(merged.sources, merged.list)
        })
    }

    /// The errors as those of all sizes: of something that no size changes, and that was looked at once.
    pub(crate) fn at_every_size(mut self) -> Self {
        self.list.iter_mut().for_each(|one| one.sizes.clear());
        self
    }

    /// Writes all errors to standard error, in color on a terminal unless `NO_COLOR` is set. What cannot be
    /// written is dropped.
    pub fn eprint(&self) {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let styled = std::io::stderr().is_terminal() && !no_color;
        let _ = writeln!(io::stderr(), "{}", self.render(styled));
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
        let kind = if self.are_warnings {
            "warnings"
        } else {
            "errors"
        };
        match self.list.len() {
            0 | 1 => {}
            n if n >= MAX_ERRORS => blocks.push(format!(
                "{name}: at least {n} {kind}; the first {MAX_SHOWN_ERRORS} are shown"
            )),
            n if n > MAX_SHOWN_ERRORS => blocks.push(format!(
                "{name}: {n} {kind}; the first {MAX_SHOWN_ERRORS} are shown"
            )),
            n => blocks.push(format!("{name}: {n} {kind}")),
        }
        blocks.join("\n\n")
    }

    fn render_one(&self, diagnostic: &Diagnostic, renderer: &Renderer) -> String {
        let level = if self.are_warnings {
            Level::WARNING
        } else {
            Level::ERROR
        };
        let title = level.primary_title(visible(&diagnostic.message()));
        let mut group = match diagnostic.span {
            None => Group::with_title(title).element(Origin::path(&self.sources.get(FILE).name)),
            Some(span) => title.elements(self.snippets(span, diagnostic.explanation())),
        };
        let base = diagnostic.span.map_or(FILE, |span| span.source);
        if base != FILE && self.sources.is_file(base) {
            let [base, main] = [base, FILE].map(|source| &self.sources.get(source).name);
            let note = format!("{main} extends {base}");
            group = group.element(Level::NOTE.message(note));
        }
        if let Some(help) = diagnostic.kind.help() {
            group = group.element(Level::HELP.message(visible(&help)));
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
        let shown_offset = |offset: usize| printable(&source.text[lines.start..offset]).len();
        let marks = marks.iter().map(|(span, label)| {
            let kind = match label {
                None => AnnotationKind::Primary,
                Some(_) => AnnotationKind::Context,
            };
            // Only the first line of a value is marked.
            let line = self.sources.line(*span);
            let start = span.start.min(line.end);
            let end = span.end.min(line.end).max(start);
            kind.span(shown_offset(start)..shown_offset(end))
                .label(*label)
        });
        Snippet::source(printable(&source.text[lines.clone()]))
            .path(&source.name)
            .line_start(number)
            .annotations(marks)
    }
}

/// A text for a terminal. Every character that a terminal would carry out or not show is replaced by one
/// character, so that the columns stay as they are in the file.
fn printable(text: &str) -> String {
    if visible(text) == text {
        return text.to_owned();
    }
    let replaced = |character: char| {
        let shown = visible(character.encode_utf8(&mut [0; 4]));
        let mut shown = shown.chars();
        match (shown.next(), shown.next()) {
            (Some(only), None) => only,
            _ => char::REPLACEMENT_CHARACTER,
        }
    };
    text.replace("\r\n", "\n").chars().map(replaced).collect()
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Diagnostics {}

#[cfg(test)]
mod tests {
    use crate::config::from_text;

    /// Whether a terminal would carry out or hide a character of a text.
    fn is_unsafe(text: &str) -> bool {
        let is_harmful = |c: char| {
            let is_direction = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
            is_direction || (c.is_control() && c != '\n')
        };
        text.contains(is_harmful)
    }

    #[test]
    fn characters_that_a_terminal_carries_out_are_replaced() {
        for character in [
            "\u{1b}[31m",
            "\u{7}",
            "\u{9b}31m",
            "\u{202e}",
            "\u{2066}",
            "\u{85}",
        ] {
            let name = format!("a{character}.yaml");
            let key = format!("name: a\n? \"k{character}\"\n: 1\nmodel: {{x: 1}}");
            let value = format!("name: a\ndescription: \"{character}\"\nmodel: {{x: 1}}");
            let escaped = "name: a\n\"k\\e[31m\\u202e\": 1\ntokenizer: {kind: \"\\e\"}";
            for text in [key.as_str(), &value, escaped] {
                let error = from_text(&name, text, &[format!("{character}=1")]);
                let error = error.unwrap_err().to_string();
                assert!(!is_unsafe(&error), "{error:?}");
            }
        }
    }

    /// The escape character and the direction mark are each shown as one character.
    #[test]
    fn columns_are_those_of_the_file() {
        let text = "name: x\nmodel: {\u{202e}: 1, n_layer: 0}";
        let error = from_text("x.yaml", text, &[]).unwrap_err().to_string();
        assert!(error.contains("--> x.yaml:2:9\n"), "{error}");
        assert!(error.contains("--> x.yaml:2:24\n"), "{error}");
        assert!(
            error.contains("2 | model: {\u{fffd}: 1, n_layer: 0}\n"),
            "{error}"
        );
    }
}
