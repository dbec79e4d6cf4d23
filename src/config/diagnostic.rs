//! Errors with their places, shown as a compiler shows them.

use super::error_kind::Problem;
use super::spans::{FILE, Place, Sources};
use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use std::fmt;
use std::io::IsTerminal;
use std::ops::Range;
use std::sync::Arc;

/// Most errors written out; more than that say nothing new.
const SHOWN: usize = 20;

/// Most errors looked for in a document: a suggestion for each of many thousands takes long.
pub(super) const MOST_FOUND: usize = 1000;

/// One error and its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Diagnostic {
    /// `None` where the file could not be read at all.
    place: Option<Place>,
    problem: Box<Problem>,
    /// Another place that explains the error, with a label.
    related: Option<(Place, &'static str)>,
}

impl Diagnostic {
    pub(super) fn new(place: impl Into<Option<Place>>, problem: Problem) -> Self {
        Self {
            place: place.into(),
            problem: Box::new(problem),
            related: None,
        }
    }

    pub(super) fn related(mut self, place: Place, label: &'static str) -> Self {
        self.related = Some((place, label));
        self
    }
}

/// Everything found wrong with an experiment, at least one error, in the order of the file.
///
/// `Display` writes plain text; [`Diagnostics::eprint`] uses colour where standard error takes it.
#[derive(Debug, Clone)]
pub struct Diagnostics {
    sources: Arc<Sources>,
    list: Vec<Diagnostic>,
}

impl Diagnostics {
    pub(super) fn new(sources: Arc<Sources>, mut list: Vec<Diagnostic>) -> Self {
        list.sort_by_key(|diagnostic| diagnostic.place);
        // An alias brings the same mistake to several places of the document.
        list.dedup();
        Self { sources, list }
    }

    /// Number of errors.
    #[expect(clippy::len_without_is_empty, reason = "there is at least one error")]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// These errors and those of `other`, which are of the same document.
    pub fn and(self, other: Self) -> Self {
        let list = self.list.into_iter().chain(other.list).collect();
        Self::new(self.sources, list)
    }

    /// Writes all errors to standard error, in colour on a terminal unless `NO_COLOR` is set.
    pub fn eprint(&self) {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let styled = std::io::stderr().is_terminal() && !no_color;
        eprintln!("{}", self.render(styled));
    }

    /// All errors as text, with ANSI colours if `styled`.
    pub fn render(&self, styled: bool) -> String {
        let renderer = if styled {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        let shown = self.list.iter().take(SHOWN);
        let mut blocks: Vec<_> = shown.map(|d| self.render_one(d, &renderer)).collect();
        let name = &self.sources.get(FILE).name;
        match self.list.len() {
            0 | 1 => {}
            n if n >= MOST_FOUND => {
                blocks.push(format!(
                    "{name}: {n} errors or more, the first {SHOWN} of them shown"
                ));
            }
            n if n > SHOWN => {
                blocks.push(format!(
                    "{name}: {n} errors, the first {SHOWN} of them shown"
                ));
            }
            n => blocks.push(format!("{name}: {n} errors")),
        }
        blocks.join("\n\n")
    }

    fn render_one(&self, diagnostic: &Diagnostic, renderer: &Renderer) -> String {
        let title = diagnostic.problem.to_string();
        let title = Level::ERROR.primary_title(title);
        let mut group = match diagnostic.place {
            None => Group::with_title(title).element(Origin::path(&self.sources.get(FILE).name)),
            Some(place) => title.elements(self.snippets(place, diagnostic.related)),
        };
        if let Some(help) = diagnostic.problem.help() {
            group = group.element(Level::HELP.message(help));
        }
        renderer.render(&[group])
    }

    /// The line of the error with a caret, and that of the place that explains it.
    fn snippets(
        &self,
        place: Place,
        related: Option<(Place, &'static str)>,
    ) -> Vec<Snippet<'_, Annotation<'_>>> {
        let lines = self.sources.line(place);
        let Some((other, label)) = related else {
            return vec![self.snippet(place.source, lines, &[(place, None)])];
        };
        let other_lines = self.sources.line(other);
        let both = [(place, None), (other, Some(label))];
        if place.source == other.source {
            let start = lines.start.min(other_lines.start);
            let lines = start..lines.end.max(other_lines.end);
            return vec![self.snippet(place.source, lines, &both)];
        }
        vec![
            self.snippet(place.source, lines, &both[..1]),
            self.snippet(other.source, other_lines, &both[1..]),
        ]
    }

    /// Whole lines of a source with marks under places in them: a primary mark, or, with a label,
    /// one that explains. The renderer leaves out lines between that have no mark.
    fn snippet(
        &self,
        source: usize,
        lines: Range<usize>,
        marks: &[(Place, Option<&'static str>)],
    ) -> Snippet<'_, Annotation<'_>> {
        let source = self.sources.get(source);
        let number = 1 + source.text[..lines.start].matches('\n').count();
        let marks = marks.iter().map(|(place, label)| {
            let kind = match label {
                None => AnnotationKind::Primary,
                Some(_) => AnnotationKind::Context,
            };
            // A value of several lines is marked on its first: more of it says little.
            let line = self.sources.line(*place);
            let start = place.start.min(line.end);
            let end = place.end.min(line.end).max(start);
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
