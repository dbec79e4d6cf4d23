//! Which settings of a search matter: how the ranks of its results go together with each setting.

use super::config_diff::shown;
use super::ranking::{Ranking, Variant};
use super::tuning::{run_of, setting};
use crate::config;
use crate::report::loaded_results::{Results, Run};
use crate::results::RunState;
use crate::spec::{RandomCombinations, RunSpec, Sweep};
use crate::stats::{ALPHA, Association, Levels, mean, ranks};
use serde_json::Value;
use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, HashMap};

/// Fewest combinations with a result. Fewer say hardly anything.
const FEWEST: usize = 6;

/// The settings of a search, or of random combinations, and what was tried.
#[derive(Debug)]
pub(crate) struct SettingImportance<'a> {
    /// Those with two values or more, the most important first.
    pub(crate) settings: Vec<ImportantSetting>,
    /// Every variant with every combination that has a result or diverged, in the order of the experiment.
    pub(crate) tried: Vec<Tried<'a>>,
    /// Number of different combinations among these.
    pub(crate) combinations: usize,
    /// Number of these in the best quarter.
    pub(crate) best_combinations: usize,
    /// Whether the combinations were chosen by results, so that nothing can be tested.
    pub(crate) is_chosen: bool,
    /// Whether there are several variants, each with the combinations.
    pub(crate) has_variants: bool,
    /// Whether some diverged, or did not reach the target. They rank behind all that were trained as long.
    pub(crate) has_worst: bool,
}

/// A setting and how the results depend on it by itself.
#[derive(Debug)]
pub(crate) struct ImportantSetting {
    /// Its path, or the paths of `zip`, whose values are taken together.
    pub(crate) path: String,
    /// Number of combinations to which it applies.
    pub(crate) combinations: usize,
    /// Share of the variation of the ranks of these that it explains. `None` with fewer than [`FEWEST`].
    pub(crate) share: Option<f64>,
    /// Probability of such a share without an effect. `None` if it cannot be tested.
    pub(crate) p: Option<f64>,
    /// Whether the effect is significant, corrected for the number of settings.
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
    /// What the combination is applied to: the name of a variant of the experiment file. Empty if there is only one.
    pub(crate) variant: &'a str,
    /// In the order of [`SettingImportance::settings`]. `None` if a setting does not apply.
    pub(crate) values: Vec<Option<Value>>,
    /// The metric. `None` if it diverged, did not reach the target, or was ended by halving.
    pub(crate) result: Option<f64>,
    /// Its rank among the combinations of its variant as a share of their number, between 0 for the best and 1.
    pub(crate) place: f64,
}

/// A result of a variant with a combination, before it has a rank.
struct Measured<'a> {
    variant: &'a str,
    spec: &'a RunSpec,
    /// Number of comparisons of halving that it has passed.
    rung: usize,
    /// The metric. `None` if it diverged or did not reach the target, which is worse than any number.
    result: Option<f64>,
    /// Whether it has all steps.
    is_complete: bool,
}

/// What a search varies.
struct Searched<'a> {
    /// Those of each setting: one, or those of `zip`.
    paths: Vec<Vec<&'a str>>,
    random: Option<&'a RandomCombinations>,
    is_chosen: bool,
    measured: Vec<Measured<'a>>,
}

/// Values at the paths of a search, and the mean place over the variants.
type Combination = (Vec<Option<Value>>, f64);

impl<'a> SettingImportance<'a> {
    /// `None` without a search over two settings, or random combinations of two, that has ended with results of
    /// [`FEWEST`] combinations or more.
    pub(crate) fn new(results: &'a Results, ranking: &'a Ranking<'a>) -> Option<Self> {
        let sweep = results.plan.experiment.sweep.as_ref()?;
        let searched = Searched::new(sweep, ranking)?;
        let measured = &searched.measured;
        let values = |one: &Measured| -> Vec<Option<Value>> {
            let settings = searched.paths.iter();
            let value = |paths: &Vec<&str>| {
                let applies = |path: &&&str| config::applies(one.spec, path);
                let own = paths.iter().filter(applies);
                let mut own: Vec<Value> = own.map(|path| setting(one.spec, path)).collect();
                match own.len() {
                    0 | 1 => own.pop(),
                    _ => Some(Value::from(own)),
                }
            };
            settings.map(value).collect()
        };
        let all: Vec<Vec<Option<Value>>> = measured.iter().map(values).collect();
        let places = places(measured, ranking.metric.kind.is_better_higher());
        let combinations = combined(&all, &places);
        let is_varied = |&path: &usize| {
            let mut known = all.iter().filter_map(|values| values[path].as_ref());
            let first = known.next();
            known.any(|value| Some(value) != first)
        };
        let varied: Vec<usize> = (0..searched.paths.len()).filter(is_varied).collect();
        let has_result = measured.iter().any(|one| one.result.is_some());
        if varied.len() < 2 || combinations.len() < FEWEST || !has_result {
            return None;
        }
        let level = ALPHA / varied.len() as f64;
        let mut settings: Vec<(usize, ImportantSetting)> = varied
            .into_iter()
            .map(|path| (path, searched.setting(path, &combinations, level)))
            .collect();
        // The largest share first. Those without one are last.
        let share = |setting: &ImportantSetting| setting.share.unwrap_or(-1.0);
        settings.sort_by(|(_, a), (_, b)| share(b).total_cmp(&share(a)));
        let has_variants = measured
            .iter()
            .any(|one| one.variant != measured[0].variant);
        let tried = measured.iter().zip(&all).zip(places);
        Some(Self {
            tried: tried
                .map(|((measured, values), place)| Tried {
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
            best_combinations: best_quarter(&combinations).len(),
            is_chosen: searched.is_chosen,
            has_worst: measured.iter().any(|one| one.result.is_none()),
            has_variants,
            settings: settings.into_iter().map(|(_, setting)| setting).collect(),
        })
    }
}

impl<'a> Searched<'a> {
    /// `None` without a search, and before it has ended.
    fn new(sweep: &'a Sweep, ranking: &'a Ranking<'a>) -> Option<Self> {
        match (&sweep.tune, &sweep.random) {
            (Some(tune), _) => Some(Self {
                paths: tune.factor_paths(),
                random: tune.random.as_ref(),
                is_chosen: tune.tpe.is_some(),
                measured: searched(ranking)?,
            }),
            (None, Some(random)) => Some(Self {
                paths: sweep.factor_paths(),
                random: Some(random),
                is_chosen: false,
                measured: compared(sweep, ranking)?,
            }),
            (None, None) => None,
        }
    }

    /// How the combinations, the best first, depend on one setting. `level` is that of a significant p-value.
    fn setting(&self, index: usize, combinations: &[Combination], level: f64) -> ImportantSetting {
        let paths = &self.paths[index];
        let association = association(index, combinations);
        // What was chosen by results is no sample of which a test could be made.
        let p = association.filter(|_| !self.is_chosen).map(|found| found.p);
        let is_drawn = |keys: &[&str]| {
            let drawn = self.random.and_then(|random| random.settings.get(paths[0]));
            drawn.is_some_and(|drawn| keys.iter().any(|key| drawn.get(key).is_some()))
        };
        let all: Vec<&Value> = known(index, combinations).map(|(value, _)| value).collect();
        let is_range = all.iter().all(|value| value.is_number()) && !is_drawn(&["choice"]);
        let values = |combinations: &[Combination]| {
            let values = known(index, combinations).map(|(value, _)| value);
            summary(&values.collect::<Vec<_>>(), is_range)
        };
        ImportantSetting {
            path: paths.join(", "),
            combinations: known(index, combinations).count(),
            share: association.map(|found| found.share),
            p,
            is_significant: p.is_some_and(|p| p < level),
            is_linear: is_drawn(&["uniform", "integer"]),
            tried: values(combinations),
            best: values(best_quarter(combinations)),
        }
    }
}

/// Different combinations, the best first, each with its mean place over the variants.
fn combined(all: &[Vec<Option<Value>>], places: &[f64]) -> Vec<Combination> {
    let mut combinations: Vec<(&Vec<Option<Value>>, Vec<f64>)> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    // Counts, for example, are no combination if none of the settings applies to them.
    let is_combination =
        |(values, _): &(&Vec<Option<Value>>, &f64)| values.iter().any(Option::is_some);
    for (values, place) in all.iter().zip(places).filter(is_combination) {
        let index = *known.entry(format!("{values:?}")).or_insert_with(|| {
            combinations.push((values, Vec::new()));
            combinations.len() - 1
        });
        combinations[index].1.push(*place);
    }
    let mean = |(values, places): (&Vec<_>, Vec<f64>)| Some((values.clone(), mean(&places)?));
    let mut combinations: Vec<Combination> = combinations.into_iter().filter_map(mean).collect();
    combinations.sort_by(|(_, a), (_, b)| a.total_cmp(b));
    combinations
}

/// The best quarter of combinations that are sorted, rounded up.
fn best_quarter(combinations: &[Combination]) -> &[Combination] {
    &combinations[..combinations.len().div_ceil(4)]
}

/// The combinations of the search of each variant. `None` before all searches have ended.
fn searched<'a>(ranking: &'a Ranking<'a>) -> Option<Vec<Measured<'a>>> {
    let mut all = Vec::new();
    for variant in in_order_of_file(ranking) {
        let (search, runs) = variant.search.as_ref()?;
        if !search.has_ended {
            return None;
        }
        let last = search.reached.iter().map(|reached| reached.rung).max()?;
        for reached in &search.reached {
            let combination = reached.combination;
            let mut own = runs.iter().filter(|run| {
                let tuned = run.planned.tuned;
                tuned.is_some_and(|tuned| tuned.combination == combination)
            });
            if reached.mean.is_none() && own.any(has_failed) {
                continue;
            }
            let first = run_of(runs, combination)?;
            all.push(Measured {
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

/// The variants as combinations of values. `None` before all of them have ended.
fn compared<'a>(sweep: &'a Sweep, ranking: &'a Ranking<'a>) -> Option<Vec<Measured<'a>>> {
    let variants = in_order_of_file(ranking);
    if variants.iter().any(|variant| !variant.has_ended) {
        return None;
    }
    let diverged = |variant: &Variant| {
        let mut states = variant.runs.iter().map(|run| run.state());
        states.any(|state| state == RunState::Diverged)
    };
    // The seeds of the variant with the fewest, so that all means are over the same ones.
    let counted = variants.iter().filter(|variant| {
        !variant.values.is_empty() && !variant.is_seed_free && !diverged(variant)
    });
    let fewest = counted.min_by_key(|variant| variant.values.len());
    let is_counted = |variant: &Variant, seed: u64| {
        let mut seeds = fewest.iter().flat_map(|fewest| fewest.values);
        variant.is_seed_free || seeds.any(|(other, _)| *other == seed)
    };
    let mut all = Vec::new();
    for &variant in &variants {
        let own = variant.values.iter();
        let own = own.filter(|(seed, _)| is_counted(variant, *seed));
        let values: Vec<f64> = own.map(|(_, value)| *value).collect();
        let mean = mean(&values).filter(|mean| mean.is_finite() && !diverged(variant));
        if mean.is_none() && variant.runs.iter().any(has_failed) {
            continue;
        }
        all.push(Measured {
            variant: entry_of(sweep, variant.name),
            spec: variant.spec(),
            rung: 0,
            result: mean,
            is_complete: true,
        });
    }
    Some(all)
}

/// The entry of `sweep.variants` to which a combination is applied: its name is the first part of that of the combination.
/// Empty without one.
fn entry_of<'a>(sweep: &'a Sweep, variant: &str) -> &'a str {
    let entries = sweep.variants.keys().filter_map(|key| key.as_str());
    let is_first = |entry: &&str| {
        let rest = variant.strip_prefix(*entry);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('+'))
    };
    let longest = entries.filter(is_first).max_by_key(|entry| entry.len());
    longest.unwrap_or_default()
}

fn in_order_of_file<'a>(ranking: &'a Ranking<'a>) -> Vec<&'a Variant<'a>> {
    let mut variants: Vec<&Variant> = ranking.variants.iter().collect();
    variants.sort_by_key(|variant| variant.position);
    variants
}

fn has_failed(run: &&Run) -> bool {
    run.state() == RunState::Failed
}

/// The rank of each result among those of its variant, as a share of their number.
fn places(measured: &[Measured], is_better_higher: bool) -> Vec<f64> {
    let sign = if is_better_higher { -1.0 } else { 1.0 };
    let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, one) in measured.iter().enumerate() {
        groups.entry(one.variant).or_default().push(index);
    }
    let key = |index: usize| {
        let one = &measured[index];
        let result = one.result.map_or(f64::INFINITY, |result| sign * result);
        (Reverse(one.rung), result)
    };
    let order = |a: usize, b: usize| -> Ordering {
        let (a, b) = (key(a), key(b));
        a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
    };
    let mut places = vec![0.0; measured.len()];
    for mut group in groups.into_values() {
        group.sort_by(|&a, &b| order(a, b));
        // Equal results have equal positions, and the mean of their ranks.
        let mut positions: Vec<f64> = Vec::with_capacity(group.len());
        for (position, &index) in group.iter().enumerate() {
            let before = position.checked_sub(1).map(|before| group[before]);
            let is_equal = before.is_some_and(|before| order(before, index).is_eq());
            positions.push(match positions.last() {
                Some(last) if is_equal => *last,
                _ => position as f64,
            });
        }
        let n = group.len() as f64;
        for (index, rank) in group.into_iter().zip(ranks(&positions)) {
            places[index] = (rank - 0.5) / n;
        }
    }
    places
}

/// The value of a setting and the place of each combination to which it applies.
fn known(index: usize, combinations: &[Combination]) -> impl Iterator<Item = (&Value, f64)> {
    let combinations = combinations.iter();
    combinations.filter_map(move |(values, place)| Some((values[index].as_ref()?, *place)))
}

/// How the places depend on the values of one setting. A combination to which it does not apply says nothing about it.
fn association(index: usize, combinations: &[Combination]) -> Option<Association> {
    let (values, places): (Vec<&Value>, Vec<f64>) = known(index, combinations).unzip();
    if values.len() < FEWEST {
        return None;
    }
    let numbers: Option<Vec<f64>> = values.iter().map(|value| value.as_f64()).collect();
    let levels = match numbers {
        Some(numbers) => Levels::Numbers(numbers),
        None => {
            let mut kinds: HashMap<String, usize> = HashMap::new();
            let group = |value: &&Value| {
                let next = kinds.len();
                *kinds.entry(value.to_string()).or_insert(next)
            };
            Levels::Groups(values.iter().map(group).collect())
        }
    };
    Association::new(&levels, &places)
}

/// The range of numbers, or each value with how often it occurs.
fn summary(values: &[&Value], is_range: bool) -> String {
    let number = |value: &&&Value| value.as_f64().unwrap_or(f64::NAN);
    let by_number = |a: &&&Value, b: &&&Value| number(a).total_cmp(&number(b));
    let ends = (
        values.iter().min_by(by_number),
        values.iter().max_by(by_number),
    );
    match ends {
        (Some(low), Some(high)) if is_range => {
            return match low == high {
                true => shown(low),
                false => format!("{} to {}", shown(low), shown(high)),
            };
        }
        _ => {}
    }
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for value in values {
        *counts.entry(shown(value)).or_default() += 1;
    }
    let mut counts: Vec<(String, usize)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| Reverse(*count));
    let texts = counts
        .iter()
        .map(|(value, count)| format!("{value} ({count})"));
    texts.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::spec;

    fn measured(spec: &RunSpec, rung: usize, result: Option<f64>) -> Measured<'_> {
        Measured {
            variant: "gpt",
            spec,
            rung,
            result,
            is_complete: rung == 1,
        }
    }

    #[test]
    fn a_combination_that_was_trained_longer_has_a_better_place() {
        let spec = spec("gpt", 1);
        let all = [
            measured(&spec, 0, Some(2.0)),
            measured(&spec, 1, Some(2.5)),
            measured(&spec, 1, None),
            measured(&spec, 0, Some(2.0)),
            measured(&spec, 0, None),
        ];
        assert_eq!(places(&all, false), [0.6, 0.1, 0.3, 0.6, 0.9]);
        let higher = [measured(&spec, 0, Some(2.0)), measured(&spec, 0, Some(3.0))];
        assert_eq!(places(&higher, true), [0.75, 0.25]);
    }

    #[test]
    fn the_longest_entry_is_that_of_a_combination() {
        let variants = serde_yaml::from_str("{a: {}, a+b: {}, ab: {}}").unwrap();
        let sweep = Sweep {
            variants,
            ..Sweep::default()
        };
        let names = ["a", "a+lr-1", "a+b+lr-1", "ab+lr-1", "abc"];
        let expected = ["a", "a", "a+b", "ab", ""];
        assert_eq!(names.map(|name| entry_of(&sweep, name)), expected);
    }

    #[test]
    fn values_are_summed_up_by_their_range_or_count() {
        let summary = |json: &str| {
            let values: Vec<Value> = serde_json::from_str(json).unwrap();
            let is_range = values.iter().all(Value::is_number);
            super::summary(&values.iter().collect::<Vec<_>>(), is_range)
        };
        assert_eq!(summary("[0.01, 0.001, 0.1]"), "0.001 to 0.1");
        assert_eq!(summary("[2, 2]"), "2");
        assert_eq!(summary("[\"b\", \"a\", \"b\"]"), "b (2), a (1)");
        assert_eq!(summary("[null, 0.99]"), "0.99 (1), null (1)");
        assert_eq!(summary("[]"), "");
    }
}
