//! Which settings of a search matter: how the ranks of its results go together with each setting.

use super::config_diff::shown;
use super::ranking::{Ranking, Variant};
use super::tuning::{run_of, setting};
use crate::report::loaded_results::{Results, Run};
use crate::results::RunState;
use crate::spec::{RunSettings, RunSpec};
use crate::stats::{ALPHA, Association, Levels, mean, ranks};
use serde_json::Value;
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};

/// Fewest combinations with a rank. With fewer, nothing could be significant.
const FEWEST: usize = 6;

/// The settings of a search, or of random combinations, and what was tried.
#[derive(Debug)]
pub(crate) struct SettingImportance<'a> {
    /// Those with two values or more, the most important first.
    pub(crate) settings: Vec<ImportantSetting<'a>>,
    /// Every variant with every combination that has ended, in the order of the experiment.
    pub(crate) tried: Vec<Tried<'a>>,
    /// Number of different combinations with a rank.
    pub(crate) combinations: usize,
    /// Number of these in the best quarter.
    pub(crate) best_combinations: usize,
    /// Whether results are compared within each of several variants.
    pub(crate) has_variants: bool,
    /// Whether some of them diverged, or did not reach the target. Their rank is the last one.
    pub(crate) has_worst: bool,
}

/// A setting and how the results depend on it by itself.
#[derive(Debug)]
pub(crate) struct ImportantSetting<'a> {
    pub(crate) path: &'a str,
    /// `None` if it cannot be tested.
    pub(crate) association: Option<Association>,
    /// Whether the association is significant, corrected for the number of settings.
    pub(crate) is_significant: bool,
    /// Whether its numbers were drawn uniformly, so that they belong on a linear axis.
    pub(crate) is_linear: bool,
    /// What was tried, and what the best quarter of the combinations has.
    pub(crate) tried: String,
    pub(crate) best: String,
}

/// A variant with one combination.
#[derive(Debug)]
pub(crate) struct Tried<'a> {
    /// What the combination is applied to. Empty if there is only one such variant.
    pub(crate) variant: &'a str,
    /// In the order of [`SettingImportance::settings`].
    pub(crate) values: Vec<Value>,
    /// The metric. `None` if it diverged, did not reach the target, or was ended by halving.
    pub(crate) result: Option<f64>,
    /// Its rank among the combinations of its variant as a share of their number, between 0 for the best and 1.
    pub(crate) place: f64,
}

/// A result of a variant with a combination, before it has a rank.
struct Measured<'a> {
    /// Index of its variant.
    group: usize,
    variant: &'a str,
    spec: &'a RunSpec,
    /// Number of comparisons of halving that it has passed.
    rung: usize,
    /// The metric. `None` if it diverged or did not reach the target, which is worse than any number.
    result: Option<f64>,
    /// Whether it has all steps.
    is_complete: bool,
}

impl<'a> SettingImportance<'a> {
    /// `None` without a search over two settings, or random combinations of two, that has ended with results of
    /// [`FEWEST`] combinations or more.
    pub(crate) fn new(results: &'a Results, ranking: &'a Ranking<'a>) -> Option<Self> {
        let sweep = results.plan.experiment.sweep.as_ref()?;
        let (paths, random, measured): (Vec<&str>, _, _) = match (&sweep.tune, &sweep.random) {
            (Some(tune), _) => {
                let paths = tune.paths().collect();
                (paths, tune.random.as_ref(), searched(ranking)?)
            }
            (None, Some(random)) => {
                let paths: Vec<&str> = sweep.combined_paths().collect();
                let measured = compared(ranking, &paths)?;
                (paths, Some(random), measured)
            }
            (None, None) => return None,
        };
        let is_linear = |path: &str| {
            let distribution = random.and_then(|random| random.settings.get(path));
            distribution.is_some_and(|distribution| distribution.get("log_uniform").is_none())
        };
        let values = |spec: &RunSpec| -> Vec<Value> {
            paths.iter().map(|path| setting(spec, path)).collect()
        };
        let all: Vec<Vec<Value>> = measured.iter().map(|one| values(one.spec)).collect();
        let is_varied = |&path: &usize| all.iter().any(|values| values[path] != all[0][path]);
        let varied: Vec<usize> = (0..paths.len()).filter(is_varied).collect();
        let places = places(&measured, ranking.metric.kind.is_better_higher());

        // Combinations in the order of the experiment, with their places over the variants.
        let mut combinations: Vec<(&Vec<Value>, Vec<f64>)> = Vec::new();
        let mut known: HashMap<String, usize> = HashMap::new();
        for (values, place) in all.iter().zip(&places) {
            let key = Value::from(values.clone()).to_string();
            let index = *known.entry(key).or_insert_with(|| {
                combinations.push((values, Vec::new()));
                combinations.len() - 1
            });
            combinations[index].1.push(*place);
        }
        if varied.len() < 2 || combinations.len() < FEWEST {
            return None;
        }
        let mut combinations: Vec<(&Vec<Value>, f64)> = combinations
            .into_iter()
            .filter_map(|(values, places)| Some((values, mean(&places)?)))
            .collect();
        combinations.sort_by(|(_, a), (_, b)| a.total_cmp(b));
        let best = combinations.len().div_ceil(4);
        let level = ALPHA / varied.len() as f64;
        let mut settings: Vec<(usize, ImportantSetting)> = varied
            .iter()
            .map(|&path| {
                let association = association(path, &combinations);
                let values = |combinations: &[(&Vec<Value>, f64)]| {
                    let values = combinations.iter().map(|(values, _)| values[path].clone());
                    summary(values.collect())
                };
                let setting = ImportantSetting {
                    path: paths[path],
                    is_linear: is_linear(paths[path]),
                    is_significant: association.is_some_and(|found| found.p < level),
                    association,
                    tried: values(&combinations),
                    best: values(&combinations[..best]),
                };
                (path, setting)
            })
            .collect();
        let p = |setting: &ImportantSetting| setting.association.map_or(1.0, |found| found.p);
        settings.sort_by(|(_, a), (_, b)| p(a).total_cmp(&p(b)));
        let has_variants = measured.iter().any(|one| one.group > 0);
        let tried = measured.iter().zip(&all).zip(&places);
        Some(Self {
            tried: tried
                .map(|((measured, values), &place)| Tried {
                    variant: if has_variants { measured.variant } else { "" },
                    values: settings
                        .iter()
                        .map(|(path, _)| values[*path].clone())
                        .collect(),
                    result: measured.result.filter(|_| measured.is_complete),
                    place,
                })
                .collect(),
            combinations: combinations.len(),
            best_combinations: best,
            has_worst: measured.iter().any(|one| one.result.is_none()),
            has_variants,
            settings: settings.into_iter().map(|(_, setting)| setting).collect(),
        })
    }
}

/// The combinations of the search of each variant. `None` before all searches have ended.
fn searched<'a>(ranking: &'a Ranking<'a>) -> Option<Vec<Measured<'a>>> {
    let mut all = Vec::new();
    for (group, variant) in in_order_of_file(ranking).into_iter().enumerate() {
        let (search, runs) = variant.search.as_ref()?;
        if !search.has_ended {
            return None;
        }
        let last = search.reached.iter().map(|reached| reached.rung).max()?;
        for reached in &search.reached {
            let combination = reached.combination;
            let own = runs.iter().copied().filter(|run| {
                let tuned = run.planned.tuned;
                tuned.is_some_and(|tuned| tuned.combination == combination)
            });
            if reached.mean.is_none() && own.clone().any(has_failed) {
                continue;
            }
            let first = run_of(runs, combination)?;
            all.push(Measured {
                group,
                variant: variant.name,
                spec: &first.planned.spec,
                rung: reached.rung,
                result: reached.mean,
                is_complete: reached.rung == last,
            });
        }
    }
    Some(all)
}

/// The variants as combinations of the values of some settings. `None` before all of them have ended.
fn compared<'a>(ranking: &'a Ranking<'a>, paths: &[&str]) -> Option<Vec<Measured<'a>>> {
    let variants = in_order_of_file(ranking);
    if variants.iter().any(|variant| !variant.has_ended) {
        return None;
    }
    // The seeds of the variant with the fewest, so that all means are over the same ones.
    let results = variants.iter().filter(|variant| !variant.values.is_empty());
    let fewest = results.min_by_key(|variant| variant.values.len())?;
    let seeds: Vec<u64> = fewest.values.iter().map(|(seed, _)| *seed).collect();
    let mut groups: Vec<Value> = Vec::new();
    let mut all = Vec::new();
    for variant in variants {
        let is_worst = variant
            .runs
            .iter()
            .any(|run| run.state() == RunState::Diverged);
        let own = variant.values.iter();
        let values: Vec<f64> = own
            .filter(|(seed, _)| variant.is_seed_free || seeds.contains(seed))
            .map(|(_, value)| *value)
            .collect();
        let result = mean(&values).filter(|mean| mean.is_finite() && !is_worst);
        if result.is_none() && variant.runs.iter().copied().any(has_failed) {
            continue;
        }
        let base = without(variant.spec(), paths);
        let group = groups.iter().position(|other| *other == base);
        let group = group.unwrap_or_else(|| {
            groups.push(base);
            groups.len() - 1
        });
        all.push(Measured {
            group,
            variant: variant.name,
            spec: variant.spec(),
            rung: 0,
            result,
            is_complete: true,
        });
    }
    Some(all)
}

fn in_order_of_file<'a>(ranking: &'a Ranking<'a>) -> Vec<&'a Variant<'a>> {
    let mut variants: Vec<&Variant> = ranking.variants.iter().collect();
    variants.sort_by_key(|variant| variant.position);
    variants
}

fn has_failed(run: &Run) -> bool {
    run.state() == RunState::Failed
}

/// The settings of a run without some of them.
fn without(spec: &RunSpec, paths: &[&str]) -> Value {
    let mut sections = RunSettings::of(spec).into_sections();
    for path in paths {
        let pointer = format!("/{}", path.replace('.', "/"));
        if let Some(value) = sections.pointer_mut(&pointer) {
            *value = Value::Null;
        }
    }
    sections
}

/// The rank of each result among those of its variant, as a share of their number.
fn places(measured: &[Measured], is_better_higher: bool) -> Vec<f64> {
    let sign = if is_better_higher { -1.0 } else { 1.0 };
    let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (index, one) in measured.iter().enumerate() {
        groups.entry(one.group).or_default().push(index);
    }
    let key = |one: &Measured| {
        let result = one.result.map_or(f64::INFINITY, |result| sign * result);
        (std::cmp::Reverse(one.rung), result)
    };
    let order = |&a: &usize, &b: &usize| -> Ordering {
        let (a, b) = (key(&measured[a]), key(&measured[b]));
        a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
    };
    let mut places = vec![0.0; measured.len()];
    for mut group in groups.into_values() {
        group.sort_by(order);
        // Equal results have equal keys, and the mean of their ranks.
        let mut classes: Vec<f64> = Vec::with_capacity(group.len());
        for (position, index) in group.iter().enumerate() {
            let is_equal = position > 0 && order(&group[position - 1], index).is_eq();
            let class = match classes.last() {
                Some(last) if is_equal => *last,
                _ => position as f64,
            };
            classes.push(class);
        }
        let n = group.len() as f64;
        for (index, rank) in group.into_iter().zip(ranks(&classes)) {
            places[index] = (rank - 0.5) / n;
        }
    }
    places
}

/// How the places depend on the values at one path. Combinations that have no such setting say nothing about it.
fn association(path: usize, combinations: &[(&Vec<Value>, f64)]) -> Option<Association> {
    let known = combinations.iter();
    let known = known.filter(|(values, _)| !values[path].is_null());
    let (values, places): (Vec<&Value>, Vec<f64>) =
        known.map(|(values, place)| (&values[path], *place)).unzip();
    let numbers: Option<Vec<f64>> = values.iter().map(|value| value.as_f64()).collect();
    let levels = match numbers {
        Some(numbers) => Levels::Numbers(numbers),
        None => {
            let mut kinds: Vec<&Value> = Vec::new();
            for value in &values {
                if !kinds.contains(value) {
                    kinds.push(value);
                }
            }
            let index = |value: &&Value| kinds.iter().position(|kind| kind == value);
            Levels::Groups(values.iter().filter_map(index).collect())
        }
    };
    Association::new(&levels, &places)
}

/// The range of numbers, or each value with how often it occurs.
fn summary(values: Vec<Value>) -> String {
    let values: Vec<Value> = values.into_iter().filter(|v| !v.is_null()).collect();
    let by_number = |a: &&Value, b: &&Value| {
        let numbers = [a, b].map(|value| value.as_f64().unwrap_or(f64::NAN));
        numbers[0].total_cmp(&numbers[1])
    };
    if values.iter().all(Value::is_number) {
        let (low, high) = (
            values.iter().min_by(by_number),
            values.iter().max_by(by_number),
        );
        return match (low, high) {
            (Some(low), Some(high)) if low == high => shown(low),
            (Some(low), Some(high)) => format!("{} to {}", shown(low), shown(high)),
            _ => String::new(),
        };
    }
    let mut counts: Vec<(String, usize)> = Vec::new();
    for value in values.iter().map(shown) {
        match counts.iter_mut().find(|(known, _)| *known == value) {
            Some((_, count)) => *count += 1,
            None => counts.push((value, 1)),
        }
    }
    counts.sort_by(|(a, m), (b, n)| n.cmp(m).then(a.cmp(b)));
    let texts = counts.iter().map(|(value, n)| format!("{value} ({n})"));
    texts.collect::<Vec<_>>().join(", ")
}
