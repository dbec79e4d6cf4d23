//! The combinations of `grid`, `zip` and `random`.

use super::diagnostic::Diagnostic;
use super::error_kind::{AxisPath, ErrorKind};
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

/// The combinations of `grid`, `zip` and `random` without those of `exclude`, followed by those of `include`; `None`
/// without any of the three. If there are too many, or if the lists contradict each other, that is an error and the
/// list is empty, so that no error follows from combinations that are not meant.
pub(super) fn combinations<'a>(
    sweep: &'a Node,
    runs_per_combination: usize,
    errors: &mut Vec<Diagnostic>,
) -> Option<Vec<Combination<'a>>> {
    let lists = ["include", "exclude"].map(|key| sweep.entry(key));
    let before = errors.len();
    let axes = Axis::all(sweep, errors);
    check_overlaps(&axes, errors);
    if errors.len() > before {
        return Some(Vec::new());
    }
    let Some(span) = axes.first().map(|axis| axis.span) else {
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
    let lengths = axes.iter().map(|axis| axis.choices.len() as u128);
    let size = lengths.fold(1, u128::saturating_mul);
    if !check_run_count(size, runs_per_combination.min(1), span, errors) {
        return Some(Vec::new());
    }
    let mut combinations = product(&axes, span);
    exclude_from(&mut combinations, exclude, &axes, errors);
    if combinations.is_empty() && !exclude.is_empty() {
        errors.push(Diagnostic::new(span, ErrorKind::NothingLeft));
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
        span,
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

/// What varies independently of the rest: a list of the grid, the lists of `zip`, or the draws of `random`.
struct Axis<'a> {
    /// The key of the sweep that has it.
    key: &'a str,
    /// The part of the file that asks for it.
    span: Span,
    paths: Vec<(&'a str, Span)>,
    choices: Vec<Combination<'a>>,
}

impl<'a> Axis<'a> {
    fn all(sweep: &'a Node, errors: &mut Vec<Diagnostic>) -> Vec<Self> {
        let grid = sweep.entry("grid");
        let mut axes: Vec<Self> = grid
            .into_iter()
            .flat_map(|grid| {
                let axes = grid.value.entries().iter();
                axes.map(move |axis| Self::of(grid, std::slice::from_ref(axis)))
            })
            .collect();
        for key in ["zip", "random"] {
            let Some(entry) = sweep
                .entry(key)
                .filter(|entry| !entry.value.entries().is_empty())
            else {
                continue;
            };
            let lists = entry.value.entries();
            let length = |list: &Entry| list.value.items().len();
            if lists.iter().any(|list| length(list) != length(&lists[0])) {
                let lengths = lists
                    .iter()
                    .map(|list| format!("{} has {}", list.key, length(list)));
                let kind = ErrorKind::ZipLengths(lengths.collect::<Vec<_>>().join(", "));
                errors.push(Diagnostic::new(entry.key_span, kind));
                continue;
            }
            axes.push(Self::of(entry, lists));
        }
        axes
    }

    /// An axis of lists of the same length, whose values are taken together. `entry` has the key of the sweep.
    fn of(entry: &'a Entry, lists: &'a [Entry]) -> Self {
        let length = lists.first().map_or(0, |list| list.value.items().len());
        let choice = |index: usize| {
            let settings = lists
                .iter()
                .map(|list| Setting::new(list, &list.value.items()[index]));
            let settings: Vec<Setting> = settings.collect();
            Combination {
                span: settings[0].value.span,
                settings,
            }
        };
        Self {
            key: &entry.key,
            span: entry.key_span,
            paths: lists
                .iter()
                .map(|list| (list.key.as_str(), list.key_span))
                .collect(),
            choices: (0..length).map(choice).collect(),
        }
    }
}

/// Reports a path that sets what another path sets, or a part of it.
fn check_overlaps(axes: &[Axis], errors: &mut Vec<Diagnostic>) {
    let of_axis = |axis: &Axis| {
        let path = |&(path, span): &(&str, Span)| {
            let (key, path) = (axis.key.to_owned(), path.to_owned());
            (AxisPath { key, path }, span)
        };
        axis.paths.iter().map(path).collect::<Vec<_>>()
    };
    let paths: Vec<(AxisPath, Span)> = axes.iter().flat_map(of_axis).collect();
    for (index, (outer, outer_span)) in paths.iter().enumerate() {
        let prefix = format!("{}.", outer.path);
        let is_inner = |(other, (inner, _)): &(usize, &(AxisPath, Span))| {
            inner.path.starts_with(&prefix) || inner.path == outer.path && *other > index
        };
        for (_, (inner, inner_span)) in paths.iter().enumerate().filter(is_inner) {
            let (outer, inner) = (outer.clone(), inner.clone());
            let diagnostic = Diagnostic::new(*inner_span, ErrorKind::Overlap { outer, inner });
            errors.push(diagnostic.related(*outer_span, "set here"));
        }
    }
}

/// All combinations. The last axis changes fastest.
fn product<'a>(axes: &[Axis<'a>], span: Span) -> Vec<Combination<'a>> {
    let mut combinations = vec![Combination {
        settings: Vec::new(),
        span,
    }];
    for axis in axes {
        let longer = |combination: &Combination<'a>| {
            let head = combination.settings.clone();
            let lengthened = axis.choices.iter().map(move |choice| Combination {
                settings: [&head[..], &choice.settings[..]].concat(),
                span: choice.span,
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
    axes: &[Axis],
    errors: &mut Vec<Diagnostic>,
) {
    let mut excluded = vec![false; combinations.len()];
    for entry in exclude {
        let not_in_grid = |key: &&Entry| {
            let mut paths = axes.iter().flat_map(|axis| &axis.paths);
            !paths.any(|(path, _)| *path == key.key)
        };
        let unknown: Vec<_> = entry.entries().iter().filter(not_in_grid).collect();
        for key in &unknown {
            let mut keys: Vec<String> = axes.iter().map(|axis| axis.key.to_owned()).collect();
            keys.dedup();
            let path = key.key.clone();
            let kind = ErrorKind::ExcludeNotInGrid { path, keys };
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
