//! The combinations of a grid.

use super::diagnostic::Diagnostic;
use super::error_kind::ErrorKind;
use super::limits::MAX_RUNS;
use super::merge::merge;
use super::spans::Span;
use super::tree::{Entry, Layer, Node, Value};

/// One combination of the grid, or an entry of `include`.
pub(super) struct Combination<'a> {
    /// In the order of the file.
    pub(super) settings: Vec<Setting<'a>>,
    /// The part of the file that asks for it.
    pub(super) span: Span,
}

/// A value at a path of a run.
#[derive(Clone, Copy)]
pub(super) struct Setting<'a> {
    pub(super) path: &'a str,
    pub(super) path_span: Span,
    pub(super) value: &'a Node,
}

impl<'a> Setting<'a> {
    fn new(entry: &'a Entry, value: &'a Node) -> Self {
        Self {
            path: &entry.key,
            path_span: entry.key_span,
            value,
        }
    }
}

/// The combinations of the grid without those of `exclude`, followed by those of `include`; `None`
/// without a grid. If there are too many, that is an error and the list is empty.
pub(super) fn combinations<'a>(
    sweep: &'a Node,
    runs_per_combination: usize,
    errors: &mut Vec<Diagnostic>,
) -> Option<Vec<Combination<'a>>> {
    let lists = ["include", "exclude"].map(|key| sweep.entry(key));
    let Some(grid) = sweep.entry("grid") else {
        for (name, entry) in ["include", "exclude"].into_iter().zip(lists) {
            if let Some(entry) = entry.filter(|entry| !entry.value.items().is_empty()) {
                errors.push(Diagnostic::new(
                    entry.key_span,
                    ErrorKind::WithoutGrid(name),
                ));
            }
        }
        let few = check_run_count(1, runs_per_combination, sweep.span, errors);
        return (!few).then(Vec::new);
    };
    let [include, exclude] = lists.map(|entry| entry.map_or(&[][..], |entry| entry.value.items()));
    let axes = grid.value.entries();
    check_overlaps(axes, errors);
    let lengths = axes.iter().map(|axis| axis.value.items().len() as u128);
    let size = lengths.fold(1, u128::saturating_mul);
    if !check_run_count(size, runs_per_combination.min(1), grid.key_span, errors) {
        return Some(Vec::new());
    }
    let mut combinations = product(axes, grid.key_span);
    exclude_from(&mut combinations, exclude, axes, errors);
    if combinations.is_empty() && !exclude.is_empty() {
        errors.push(Diagnostic::new(grid.key_span, ErrorKind::NothingLeft));
    }
    combinations.extend(include.iter().map(|entry| {
        Combination {
            settings: entry
                .entries()
                .iter()
                .map(|entry| Setting::new(entry, &entry.value))
                .collect(),
            span: entry.span,
        }
    }));
    if !check_run_count(
        combinations.len() as u128,
        runs_per_combination,
        grid.key_span,
        errors,
    ) {
        return Some(Vec::new());
    }
    Some(combinations)
}

fn check_run_count(
    combinations: u128,
    runs_per_combination: usize,
    span: Span,
    errors: &mut Vec<Diagnostic>,
) -> bool {
    let runs = combinations.saturating_mul(runs_per_combination as u128);
    if runs > MAX_RUNS {
        errors.push(Diagnostic::new(span, ErrorKind::TooManyRuns(runs)));
    }
    runs <= MAX_RUNS
}

/// Reports an axis that sets a part of what another axis sets.
fn check_overlaps(axes: &[Entry], errors: &mut Vec<Diagnostic>) {
    for outer in axes {
        let prefix = format!("{}.", outer.key);
        for inner in axes.iter().filter(|axis| axis.key.starts_with(&prefix)) {
            let kind = ErrorKind::GridOverlap {
                outer: outer.key.clone(),
                inner: inner.key.clone(),
            };
            let diagnostic = Diagnostic::new(inner.key_span, kind);
            errors.push(diagnostic.related(outer.key_span, "set here"));
        }
    }
}

/// All combinations. The last axis changes fastest.
fn product<'a>(axes: &'a [Entry], span: Span) -> Vec<Combination<'a>> {
    let mut combinations = vec![Combination {
        settings: Vec::new(),
        span,
    }];
    for axis in axes {
        let longer = |combination: &Combination<'a>| {
            let head = combination.settings.clone();
            let lengthened = axis.value.items().iter().map(move |value| {
                let mut settings = head.clone();
                settings.push(Setting::new(axis, value));
                Combination {
                    settings,
                    span: value.span,
                }
            });
            lengthened.collect::<Vec<_>>()
        };
        combinations = combinations.iter().flat_map(longer).collect();
    }
    combinations
}

fn exclude_from(
    combinations: &mut Vec<Combination<'_>>,
    exclude: &[Node],
    axes: &[Entry],
    errors: &mut Vec<Diagnostic>,
) {
    let mut excluded = vec![false; combinations.len()];
    for entry in exclude {
        let not_in_grid = |key: &&Entry| !axes.iter().any(|axis| axis.key == key.key);
        let unknown: Vec<_> = entry.entries().iter().filter(not_in_grid).collect();
        for key in &unknown {
            let kind = ErrorKind::ExcludeNotInGrid(key.key.clone());
            errors.push(Diagnostic::new(key.key_span, kind));
        }
        let mut matched = false;
        for (combination, excluded) in combinations.iter().zip(&mut excluded) {
            if combination.matches(entry) {
                matched = true;
                *excluded = true;
            }
        }
        if !matched && unknown.is_empty() {
            errors.push(Diagnostic::new(entry.span, ErrorKind::ExcludesNothing));
        }
    }
    let mut excluded = excluded.into_iter();
    combinations.retain(|_| !excluded.next().unwrap_or(false));
}

impl Combination<'_> {
    /// Whether it has all the values of an entry of `exclude`.
    fn matches(&self, entry: &Node) -> bool {
        entry.entries().iter().all(|wanted| {
            let mut settings = self.settings.iter();
            settings.any(|own| own.path == wanted.key && own.value.same_value(&wanted.value))
        })
    }

    /// A variant with the values of the combination.
    pub(super) fn applied_to(&self, tree: &Node) -> Node {
        self.settings.iter().fold(tree.clone(), |tree, setting| {
            let keys = setting.path.rsplit('.');
            let nested = keys.fold(setting.value.clone(), |value, key| Node {
                span: value.span,
                value: Value::Map(vec![Entry {
                    key: key.to_owned(),
                    key_span: value.span,
                    layer: Layer::Grid,
                    value,
                }]),
            });
            merge(&tree, &nested, Layer::Grid)
        })
    }
}
