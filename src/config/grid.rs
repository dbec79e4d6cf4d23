//! The combinations that a grid stands for.

use super::diagnostic::Diagnostic;
use super::error_kind::Problem;
use super::merge::merge;
use super::spans::Place;
use super::tree::{Entry, Layer, Node, Value};

/// Most runs of a sweep: far more than anybody waits for.
pub(super) const MAX_RUNS: u128 = 10_000;

/// One combination of the grid, or an entry of `include`.
pub(super) struct Combination {
    /// Values by path, as written.
    pub(super) values: Vec<(String, Node)>,
    /// Where it was asked for.
    pub(super) place: Place,
}

/// The combinations of the grid, less those excluded, then those included; `None` without a grid.
/// Too many are an error and become none.
pub(super) fn combinations(
    sweep: &Node,
    runs_each: usize,
    found: &mut Vec<Diagnostic>,
) -> Option<Vec<Combination>> {
    let lists = ["include", "exclude"].map(|key| sweep.entry(key));
    let Some(grid) = sweep.entry("grid") else {
        for (name, entry) in ["include", "exclude"].into_iter().zip(lists) {
            if let Some(entry) = entry.filter(|entry| !entry.value.items().is_empty()) {
                found.push(Diagnostic::new(entry.key_place, Problem::WithoutGrid(name)));
            }
        }
        let few = check_run_count(1, runs_each, sweep.place, found);
        return (!few).then(Vec::new);
    };
    let [include, exclude] = lists.map(|entry| entry.map_or(&[][..], |entry| entry.value.items()));
    let axes = grid.value.entries();
    check_overlaps(axes, found);
    let lengths = axes.iter().map(|axis| axis.value.items().len() as u128);
    let size = lengths.fold(1, u128::saturating_mul);
    if !check_run_count(size, runs_each.min(1), grid.key_place, found) {
        return Some(Vec::new());
    }
    let mut combinations = product(axes, grid.key_place);
    exclude_from(&mut combinations, exclude, axes, found);
    if combinations.is_empty() && !exclude.is_empty() {
        found.push(Diagnostic::new(grid.key_place, Problem::NothingLeft));
    }
    combinations.extend(include.iter().map(|entry| {
        Combination {
            values: entry
                .entries()
                .iter()
                .map(|entry| (entry.key.clone(), entry.value.clone()))
                .collect(),
            place: entry.place,
        }
    }));
    if !check_run_count(combinations.len() as u128, runs_each, grid.key_place, found) {
        return Some(Vec::new());
    }
    Some(combinations)
}

fn check_run_count(
    combinations: u128,
    runs_each: usize,
    place: Place,
    found: &mut Vec<Diagnostic>,
) -> bool {
    let runs = combinations.saturating_mul(runs_each as u128);
    if runs > MAX_RUNS {
        found.push(Diagnostic::new(place, Problem::TooManyRuns(runs)));
    }
    runs <= MAX_RUNS
}

/// One axis must not set a part of what another sets.
fn check_overlaps(axes: &[Entry], found: &mut Vec<Diagnostic>) {
    for outer in axes {
        let prefix = format!("{}.", outer.key);
        for inner in axes.iter().filter(|axis| axis.key.starts_with(&prefix)) {
            let problem = Problem::GridOverlap {
                outer: outer.key.clone(),
                inner: inner.key.clone(),
            };
            let diagnostic = Diagnostic::new(inner.key_place, problem);
            found.push(diagnostic.related(outer.key_place, "also set here"));
        }
    }
}

/// All combinations, the last axis changing fastest.
fn product(axes: &[Entry], place: Place) -> Vec<Combination> {
    let mut combinations = vec![Combination {
        values: Vec::new(),
        place,
    }];
    for axis in axes {
        let longer = |combination: &Combination| {
            let head = combination.values.clone();
            let lengthened = axis.value.items().iter().map(move |value| {
                let mut values = head.clone();
                values.push((axis.key.clone(), value.clone()));
                Combination {
                    values,
                    place: value.place,
                }
            });
            lengthened.collect::<Vec<_>>()
        };
        combinations = combinations.iter().flat_map(longer).collect();
    }
    combinations
}

fn exclude_from(
    combinations: &mut Vec<Combination>,
    exclude: &[Node],
    axes: &[Entry],
    found: &mut Vec<Diagnostic>,
) {
    let mut excluded = vec![false; combinations.len()];
    for entry in exclude {
        let off_grid = |key: &&Entry| !axes.iter().any(|axis| axis.key == key.key);
        let strangers: Vec<_> = entry.entries().iter().filter(off_grid).collect();
        for stranger in &strangers {
            let problem = Problem::ExcludeOffGrid(stranger.key.clone());
            found.push(Diagnostic::new(stranger.key_place, problem));
        }
        let mut matched = false;
        for (combination, excluded) in combinations.iter().zip(&mut excluded) {
            if combination.agrees(entry) {
                matched = true;
                *excluded = true;
            }
        }
        if !matched && strangers.is_empty() {
            found.push(Diagnostic::new(entry.place, Problem::ExcludesNothing));
        }
    }
    let mut excluded = excluded.into_iter();
    combinations.retain(|_| !excluded.next().unwrap_or(false));
}

impl Combination {
    /// Whether it has all the values of an entry of `exclude`.
    fn agrees(&self, entry: &Node) -> bool {
        entry.entries().iter().all(|wanted| {
            let mut values = self.values.iter();
            values.any(|(path, value)| *path == wanted.key && value.same_value(&wanted.value))
        })
    }

    /// The combination written over a variant.
    pub(super) fn over(&self, tree: &Node) -> Node {
        self.values
            .iter()
            .fold(tree.clone(), |tree, (path, value)| {
                let nested = path.rsplit('.').fold(value.clone(), |value, key| Node {
                    place: value.place,
                    value: Value::Map(vec![Entry {
                        key: key.to_owned(),
                        key_place: value.place,
                        layer: Layer::Grid,
                        value,
                    }]),
                });
                merge(&tree, &nested, Layer::Grid)
            })
    }
}
