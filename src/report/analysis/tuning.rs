//! The search for the best settings of each variant.

use super::config_diff::shown;
use super::ranking::{Ranking, Variant};
use crate::config;
use crate::report::loaded_results::{Results, Run};
use crate::results::Search;
use crate::spec::{RunSettings, RunSpec, Tune};
use crate::stats::{Comparison, Verdict};
use crate::text::units::{NO_VALUE, list};
use serde_json::Value;
use std::collections::HashSet;

/// What the search of an experiment found.
pub(crate) struct Tuning<'a> {
    /// The paths that it varies.
    pub(crate) paths: Vec<&'a str>,
    /// Whether there is more than one variant.
    pub(crate) has_comparison: bool,
    /// Number of combinations of their values.
    pub(crate) combinations: usize,
    /// Number of these that each variant tries, if most are chosen by results. `None` if all are tried.
    pub(crate) chosen: Option<usize>,
    /// Number of seeds of each combination.
    pub(crate) seeds: u64,
    /// (steps, number of combinations) of each training by halving, the shortest first: the most over the variants. Empty
    /// without halving.
    pub(crate) halving: Vec<(u64, usize)>,
    /// Number of runs of the search.
    pub(crate) runs: usize,
    /// Time of these runs, and of all runs, in seconds.
    pub(crate) seconds: f64,
    pub(crate) all_seconds: f64,
    /// The best values of the baseline, in the order of the paths.
    pub(crate) of_baseline: Option<Vec<String>>,
    /// In the order of the ranking.
    pub(crate) variants: Vec<TunedVariant<'a>>,
    /// Variants of which no run of the search has a result.
    pub(crate) failed: Vec<&'a str>,
}

/// What the search found for one variant.
pub(crate) struct TunedVariant<'a> {
    pub(crate) variant: &'a Variant<'a>,
    /// The best values, in the order of the paths.
    pub(crate) best: Vec<String>,
    /// Mean of the metric with these values, over the seeds of the search.
    pub(crate) mean: f64,
    /// Difference from the baseline over the seeds of the search, both with the best values of the
    /// baseline. `None` for the baseline, and if the variant has no result with these values.
    pub(crate) shared_difference: Option<f64>,
    /// The same, each with its own best values.
    pub(crate) own_difference: Option<f64>,
    /// Paths whose best value is the smallest or the largest that was tried.
    pub(crate) edges: Vec<Edge<'a>>,
}

/// A best value at the end of the values that were tried.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Edge<'a> {
    pub(crate) path: &'a str,
    pub(crate) value: String,
    pub(crate) is_largest: bool,
    pub(crate) beyond: Beyond,
}

/// What values beyond those that were tried may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beyond {
    /// The result, by more than the margin.
    Result,
    /// Little, because the best value is better than its neighbor by at most the margin.
    Little,
    /// Not the verdict, because the variant is far worse than the baseline.
    NotTheVerdict,
}

impl Edge<'_> {
    /// That the best value of these variants is at the end of the values that were tried.
    pub(crate) fn sentence(&self, variants: &[&str]) -> String {
        let end = match self.is_largest {
            true => "largest",
            false => "smallest",
        };
        format!(
            "The best {} of {} is the {end} value tried ({}).",
            self.path,
            list(variants),
            self.value
        )
    }
}

impl<'a> Tuning<'a> {
    /// `None` if the variants of the experiment are not tuned.
    pub(crate) fn new(results: &'a Results, ranking: &'a Ranking<'a>) -> Option<Self> {
        let tune = results.plan.experiment.sweep.as_ref()?.tune.as_ref()?;
        let paths = ranking.tuned_paths.clone();
        let baseline = ranking
            .baseline()
            .and_then(|variant| variant.search.as_ref());
        let variants = ranking.variants.iter();
        let searches = results
            .comparisons
            .iter()
            .filter_map(|c| c.search.as_ref().map(|s| (c, s)));
        let failed = searches
            .clone()
            .filter(|(_, s)| s.has_ended && s.best.is_none());
        let searched: Vec<&Run> = searches
            .flat_map(|(_, search)| &search.runs)
            .map(|&run| &results.runs[run])
            .collect();
        // Equal draws of a random search are one combination.
        let combinations = results.plan.runs.iter().filter_map(|run| run.tuned);
        let combinations: HashSet<usize> = combinations.map(|tuned| tuned.combination).collect();
        let seconds = |run: &Run| run.outcome().map_or(0.0, |outcome| outcome.seconds);
        Some(Self {
            has_comparison: results.comparisons.len() > 1,
            combinations: combinations.len(),
            chosen: tune.tpe.map(|tpe| tpe.n_trials.min(combinations.len())),
            seeds: tune.seeds,
            halving: halving(results, tune),
            runs: searched.len(),
            seconds: searched.iter().map(|run| seconds(run)).sum(),
            all_seconds: results.runs.iter().map(seconds).sum(),
            of_baseline: baseline.and_then(|(search, runs)| {
                let best = run_of(runs, search.best?)?;
                Some(values(best, &paths))
            }),
            variants: variants
                .filter_map(|variant| TunedVariant::new(variant, baseline, &paths, results.margin))
                .collect(),
            failed: failed
                .map(|(compared, _)| compared.variant.as_str())
                .collect(),
            paths,
        })
    }

    /// What is varied, in words: `optimizer.lr and optimizer.weight_decay`.
    pub(crate) fn paths_in_words(&self) -> String {
        list(&self.paths)
    }

    /// The best values at the end of the values that were tried, each with the names of its variants, by what
    /// values beyond it may change.
    pub(crate) fn edges(&self, beyond: Beyond) -> Vec<(&Edge<'a>, Vec<&str>)> {
        let mut groups: Vec<(&Edge, Vec<&str>)> = Vec::new();
        for tuned in &self.variants {
            for edge in tuned.edges.iter().filter(|edge| edge.beyond == beyond) {
                match groups.iter_mut().find(|(known, _)| *known == edge) {
                    Some((_, names)) => names.push(tuned.variant.name),
                    None => groups.push((edge, vec![tuned.variant.name])),
                }
            }
        }
        groups
    }
}

fn halving(results: &Results, tune: &Tune) -> Vec<(u64, usize)> {
    let steps = tune.halving.iter().flat_map(|halving| &halving.steps);
    let searches = || results.comparisons.iter().filter_map(|c| c.search.as_ref());
    let trained = |(rung, &steps): (usize, &u64)| {
        let of_rung = searches().filter_map(|search| search.trained.get(rung).copied());
        (steps, of_rung.max().unwrap_or(0))
    };
    steps.enumerate().map(trained).collect()
}

type Searched<'a> = (&'a Search, Vec<&'a Run>);

impl<'a> TunedVariant<'a> {
    fn new(
        variant: &'a Variant<'a>,
        baseline: Option<&Searched<'a>>,
        paths: &[&'a str],
        margin: Option<f64>,
    ) -> Option<Self> {
        let (search, runs) = variant.search.as_ref()?;
        let best = run_of(runs, search.best?)?;
        let mean = mean_of(search, search.best?)?;
        let of_baseline = baseline.filter(|_| !variant.is_baseline);
        let of_baseline = of_baseline.and_then(|(search, _)| Some((search, search.best?)));
        let difference = |mean: f64, (search, combination): (&&Search, usize)| {
            Some(mean - mean_of(search, combination)?)
        };
        Some(Self {
            variant,
            best: values(best, paths),
            mean,
            shared_difference: of_baseline
                .and_then(|base| difference(mean_of(search, base.1)?, base)),
            own_difference: of_baseline.and_then(|base| difference(mean, base)),
            edges: paths
                .iter()
                .filter_map(|path| {
                    let (edge, gain) = edge(search, runs, path)?;
                    let beyond = match margin {
                        _ if gain == 0.0 => return None,
                        _ if is_far_worse(variant, gain) => Beyond::NotTheVerdict,
                        Some(margin) if gain <= margin => Beyond::Little,
                        _ => Beyond::Result,
                    };
                    Some(Edge { beyond, ..edge })
                })
                .collect(),
        })
    }
}

/// Whether a variant is so much worse than the baseline that another value would hardly change the verdict, if
/// the last step to a better value gained `gain`.
fn is_far_worse(variant: &Variant, gain: f64) -> bool {
    const FAR: f64 = 10.0;
    let is_worse = |c: &&Comparison| c.verdict == Verdict::Worse;
    let comparison = variant.comparison.filter(is_worse);
    comparison.is_some_and(|c| c.mean.abs() > FAR * gain)
}

/// The first run of a combination.
pub(crate) fn run_of<'a>(runs: &[&'a Run], combination: usize) -> Option<&'a Run> {
    let is_of = |run: &&&Run| {
        run.planned
            .tuned
            .is_some_and(|t| t.combination == combination)
    };
    runs.iter().find(is_of).copied()
}

fn mean_of(search: &Search, combination: usize) -> Option<f64> {
    let mut all = search.combinations.iter();
    all.find(|(index, _)| *index == combination)?.1
}

/// The run of a search with the values that it chose. `None` without a search, and before it has ended.
pub(crate) fn chosen_run<'a>(variant: &Variant<'a>) -> Option<&'a Run> {
    let (search, runs) = variant.search.as_ref()?;
    run_of(runs, search.best?)
}

/// The values that the search of a variant chose, in words: `optimizer.lr 0.003, model.n_layer 2`. Empty without them.
pub(crate) fn chosen_in_words(variant: &Variant, paths: &[&str]) -> String {
    let Some(run) = chosen_run(variant) else {
        return String::new();
    };
    let values = config::values_at(&run.planned.spec, paths);
    let text = |path: &&str| Some(format!("{path} {}", shown(values.get(path)?)));
    paths.iter().filter_map(text).collect::<Vec<_>>().join(", ")
}

/// The values of a run at the paths of the search. A setting that does not apply has none.
pub(crate) fn values(run: &Run, paths: &[&str]) -> Vec<String> {
    let spec = &run.planned.spec;
    let text = |path: &&str| match config::applies(spec, path) {
        true => shown(&setting(spec, path)),
        false => NO_VALUE.to_owned(),
    };
    paths.iter().map(text).collect()
}

/// The value of a run at a path.
pub(crate) fn setting(spec: &RunSpec, path: &str) -> Value {
    let value = RunSettings::of(spec).at(path).cloned();
    value.unwrap_or(Value::Null)
}

/// The value of a run at a path, if it applies to the run and is a number.
pub(crate) fn number_at(run: &Run, path: &str) -> Option<f64> {
    let spec = &run.planned.spec;
    setting(spec, path)
        .as_f64()
        .filter(|_| config::applies(spec, path))
}

/// The end of the tried values at which the best one lies, and by how much the best value is better than its
/// neighbor. `None` if it lies between two of them, and for a path without numbers.
fn edge<'a>(search: &Search, runs: &[&Run], path: &'a str) -> Option<(Edge<'a>, f64)> {
    let best = run_of(runs, search.best?)?;
    let own = number_at(best, path)?;
    // (value, mean) of each combination. A path with a value that is no number has no ends.
    let applies = |combination: usize| {
        let run = run_of(runs, combination);
        run.is_none_or(|run| config::applies(&run.planned.spec, path))
    };
    let tried: Option<Vec<(f64, Option<f64>)>> = search
        .combinations
        .iter()
        .filter(|(combination, _)| applies(*combination))
        .map(|(combination, mean)| Some((number_at(run_of(runs, *combination)?, path)?, *mean)))
        .collect();
    let tried = tried?;
    let smaller = tried.iter().any(|(value, _)| *value < own);
    let larger = tried.iter().any(|(value, _)| *value > own);
    if smaller == larger {
        return None;
    }
    let distance = |value: f64| (value - own).abs();
    let others = tried.iter().filter(|(value, _)| *value != own);
    let nearest = others
        .clone()
        .map(|(value, _)| distance(*value))
        .reduce(f64::min)?;
    let neighbors = others.filter(|(value, _)| distance(*value) == nearest);
    let loss = mean_of(search, search.best?)?;
    let gains = neighbors.filter_map(|(_, mean)| Some((mean.as_ref()? - loss).abs()));
    let gain = gains.reduce(f64::min).unwrap_or(f64::INFINITY);
    let edge = Edge {
        path,
        value: shown(&setting(&best.planned.spec, path)),
        is_largest: smaller,
        beyond: Beyond::Result,
    };
    Some((edge, gain))
}
