//! Which factors of a grid matter, and whether their effects depend on each other.

use super::config_diff::shown;
use super::ranking::{Ranking, Variant};
use super::tuning::setting;
use crate::report::loaded_results::Results;
use crate::spec::{Sample, Sweep};
use crate::stats::{ALPHA, ConfidenceInterval, Effect, Factorial};
use serde_json::Value;
use std::collections::{HashMap, HashSet};

/// The effects of the factors of a grid.
#[derive(Debug)]
pub(crate) struct Factors<'a> {
    pub(crate) factors: Vec<Factor<'a>>,
    /// Number of seeds, which are the blocks.
    pub(crate) seeds: usize,
    pub(crate) factorial: Factorial,
    /// Variants that are left out, because a value of a factor has no result for every run.
    pub(crate) left_out: Vec<&'a str>,
}

/// What the variants differ in, with two levels or more.
#[derive(Debug)]
pub(crate) struct Factor<'a> {
    kind: Kind<'a>,
    /// Each has a value for each path, or is the name of a variant.
    pub(crate) levels: Vec<Vec<Value>>,
}

#[derive(Debug, Clone)]
enum Kind<'a> {
    /// The named variants of the experiment, if each is combined with the same settings. The runs list all combinations
    /// of the first one, then all of the next one.
    Named {
        names: Vec<&'a str>,
        combinations: usize,
    },
    /// A path of the grid, or the paths of `zip`, whose values are taken together.
    Settings(Vec<&'a str>),
}

impl<'a> Kind<'a> {
    /// All factors of a sweep with this number of variants.
    fn all(sweep: &'a Sweep, variants: usize) -> Vec<Self> {
        let names: Vec<&str> = sweep
            .variants
            .keys()
            .filter_map(|name| name.as_str())
            .collect();
        let settings = sweep.factor_paths();
        let combinations = (variants / names.len().max(1)).max(1);
        let named = names.len() > 1 && !settings.is_empty();
        let named = named.then_some(Self::Named {
            names,
            combinations,
        });
        let settings = settings.into_iter().map(Self::Settings);
        named.into_iter().chain(settings).collect()
    }
}

/// The main effect of a factor, or the interaction of two.
#[derive(Debug)]
pub(crate) struct Term {
    /// Indices of the factors.
    pub(crate) factors: Vec<usize>,
    pub(crate) effect: Effect,
    /// Whether the effect is significant, corrected for the number of terms.
    pub(crate) is_significant: bool,
}

/// The mean over all combinations with one level of a factor.
#[derive(Debug)]
pub(crate) struct LevelMean {
    pub(crate) factor: usize,
    pub(crate) level: usize,
    pub(crate) mean: f64,
    pub(crate) interval: ConfidenceInterval,
    /// The difference from the first level of the factor, with an interval that is corrected for the number of such
    /// differences. `None` for the first level.
    pub(crate) difference: Option<(f64, ConfidenceInterval)>,
}

impl<'a> Factor<'a> {
    /// The factor with the levels that the variants have.
    fn new(kind: Kind<'a>, variants: &[&Variant]) -> Self {
        let mut factor = Self {
            kind,
            levels: Vec::new(),
        };
        for variant in variants {
            let level = factor.level_of(variant);
            if !factor.levels.contains(&level) {
                factor.levels.push(level);
            }
        }
        if factor.numbers().is_some() {
            let number = |level: &Vec<Value>| number(level).unwrap_or_default();
            factor
                .levels
                .sort_by(|a, b| number(a).total_cmp(&number(b)));
        }
        factor
    }

    fn level_of(&self, variant: &Variant) -> Vec<Value> {
        match &self.kind {
            Kind::Named {
                names,
                combinations,
            } => {
                let name = names.get(variant.position / combinations);
                vec![name.copied().into()]
            }
            Kind::Settings(paths) => {
                let paths = paths.iter();
                paths.map(|path| setting(variant.spec(), path)).collect()
            }
        }
    }

    /// `model.n_embd`, `model.n_layer, model.n_embd` for values that are taken together, or `variant`.
    pub(crate) fn name(&self) -> String {
        match &self.kind {
            Kind::Named { .. } => "variant".to_owned(),
            Kind::Settings(paths) => paths.join(", "),
        }
    }

    pub(crate) fn level_names(&self) -> Vec<String> {
        let name = |level: &Vec<Value>| level.iter().map(shown).collect::<Vec<_>>().join(", ");
        self.levels.iter().map(name).collect()
    }

    /// The levels, if they are numbers.
    pub(crate) fn numbers(&self) -> Option<Vec<f64>> {
        self.levels.iter().map(|level| number(level)).collect()
    }
}

/// Removes all variants that have a value of a factor that a variant without a result for every seed has, and returns
/// their names. The value with the most such variants goes first, of the factor with the most values left.
fn leave_out_incomplete<'a>(kinds: &[Kind], variants: &mut Vec<&'a Variant<'a>>) -> Vec<&'a str> {
    let mut left_out = Vec::new();
    while variants.iter().any(|variant| variant.is_incomplete()) {
        let factors = kinds.iter().map(|kind| Factor::new(kind.clone(), variants));
        let factors: Vec<Factor> = factors.collect();
        let levels = factors
            .iter()
            .flat_map(|factor| factor.levels.iter().map(move |level| (factor, level)));
        let worst = levels.max_by_key(|(factor, level)| {
            let has_level = |variant: &&&Variant| factor.level_of(variant) == **level;
            let incomplete = variants.iter().filter(|variant| variant.is_incomplete());
            (incomplete.filter(has_level).count(), factor.levels.len())
        });
        let Some((factor, level)) = worst else {
            break;
        };
        let (removed, kept): (Vec<&Variant>, _) = variants
            .iter()
            .partition(|variant| factor.level_of(variant) == *level);
        left_out.extend(removed.into_iter().map(|variant| variant.name));
        *variants = kept;
    }
    left_out
}

/// The number of a level with one value.
fn number(level: &[Value]) -> Option<f64> {
    match level {
        [value] => value.as_f64(),
        _ => None,
    }
}

/// Whether the variants of a sweep are the combinations of several factors. Random combinations are not.
pub(crate) fn has_factors(sweep: &Sweep) -> bool {
    let named = usize::from(sweep.variants.len() > 1);
    sweep.random.is_none() && named + sweep.factor_paths().len() > 1
}

/// Whether all variants differ in more than their samples, which change no result. Otherwise a result would count as if it
/// were measured twice.
fn are_measured_once(variants: &[&Variant]) -> bool {
    let mut all = HashSet::new();
    variants.iter().all(|variant| {
        let mut spec = variant.spec().clone();
        spec.seed = 0;
        spec.sample = Sample::default();
        all.insert(spec.result_settings())
    })
}

impl<'a> Factors<'a> {
    /// `None` without two factors of which every combination has results for all seeds, which are two or
    /// more. Values of a factor with failed or diverged runs are left out if a grid remains. Also `None` if the number
    /// of seeds depends on the results: the p-values would not hold.
    pub(crate) fn new(results: &'a Results, ranking: &'a Ranking<'a>) -> Option<Self> {
        let sweep = results.plan.experiment.sweep.as_ref()?;
        let has_ended = ranking.variants.iter().all(|variant| variant.has_ended);
        if ranking.sequential.is_some() || !has_ended || !has_factors(sweep) {
            return None;
        }
        let mut variants: Vec<&'a Variant<'a>> = ranking.variants.iter().collect();
        variants.sort_by_key(|variant| variant.position);
        let kinds = Kind::all(sweep, results.comparisons.len());
        let left_out = leave_out_incomplete(&kinds, &mut variants);
        let factors = kinds.into_iter();
        let mut factors: Vec<Factor> = factors.map(|kind| Factor::new(kind, &variants)).collect();
        factors.retain(|factor| factor.levels.len() > 1);
        let has_values = |factor: &Factor| !factor.levels.iter().flatten().any(Value::is_object);
        let have_values = factors.iter().all(has_values);
        if factors.len() < 2 || !have_values || !are_measured_once(&variants) {
            return None;
        }
        let seeds = variants.first()?.values.iter();
        let seeds: Vec<u64> = seeds.map(|(seed, _)| *seed).collect();
        let mut cells: HashMap<Vec<usize>, Vec<f64>> = HashMap::new();
        for variant in &variants {
            let combination = factors.iter().map(|factor| {
                let level = factor.level_of(variant);
                factor.levels.iter().position(|other| *other == level)
            });
            let value = |seed: &u64| {
                let mut values = variant.values.iter();
                values.find(|(own, _)| own == seed).map(|(_, value)| *value)
            };
            let values = seeds.iter().filter_map(value).collect();
            // A second variant with the same levels differs in something that is no factor.
            if cells
                .insert(combination.collect::<Option<_>>()?, values)
                .is_some()
            {
                return None;
            }
        }
        let levels: Vec<usize> = factors.iter().map(|factor| factor.levels.len()).collect();
        let mut values = Vec::new();
        for number in 0..levels
            .iter()
            .try_fold(1_usize, |all, n| all.checked_mul(*n))?
        {
            let mut rest = number;
            let mut combination = vec![0; levels.len()];
            for factor in (0..levels.len()).rev() {
                combination[factor] = rest % levels[factor];
                rest /= levels[factor];
            }
            values.push(cells.remove(&combination)?);
        }
        Some(Self {
            seeds: seeds.len(),
            factorial: Factorial::new(&levels, values)?,
            factors,
            left_out,
        })
    }

    /// Main effects and interactions of two factors, the largest first.
    pub(crate) fn terms(&self) -> Vec<Term> {
        let all = 0..self.factors.len();
        let mut sets: Vec<Vec<usize>> = all.clone().map(|factor| vec![factor]).collect();
        for first in all.clone() {
            sets.extend((first + 1..all.end).map(|second| vec![first, second]));
        }
        let level = ALPHA / sets.len() as f64;
        let mut terms: Vec<Term> = sets
            .into_iter()
            .map(|factors| {
                let effect = self.factorial.effect(&factors);
                Term {
                    is_significant: effect.p < level,
                    factors,
                    effect,
                }
            })
            .collect();
        terms.sort_by(|a, b| b.effect.share.total_cmp(&a.effect.share));
        terms
    }

    /// The means of all levels of all factors.
    pub(crate) fn level_means(&self) -> Vec<LevelMean> {
        let differences: usize = self
            .factors
            .iter()
            .map(|factor| factor.levels.len() - 1)
            .sum();
        let level = ALPHA / differences as f64;
        let factors = self.factors.iter().enumerate();
        let means = factors.flat_map(|(factor, levels)| {
            (0..levels.levels.len()).map(move |own| LevelMean {
                factor,
                level: own,
                mean: self.factorial.mean(&[(factor, own)]),
                interval: self.factorial.mean_interval(&[(factor, own)], ALPHA),
                difference: (own > 0).then(|| self.factorial.difference(factor, [own, 0], level)),
            })
        });
        means.collect()
    }

    /// The name of a factor or an interaction.
    pub(crate) fn name(&self, term: &Term) -> String {
        let names: Vec<String> = term
            .factors
            .iter()
            .map(|&factor| self.factors[factor].name())
            .collect();
        names.join(" × ")
    }

    /// The two factors with the largest interaction.
    pub(crate) fn strongest_pair(&self) -> Option<[usize; 2]> {
        let terms = self.terms();
        let pair = terms.iter().find(|term| term.factors.len() == 2)?;
        Some([pair.factors[0], pair.factors[1]])
    }

    /// The first two factors whose levels are numbers.
    pub(crate) fn numeric_pair(&self) -> Option<[usize; 2]> {
        let factors = self.factors.iter().enumerate();
        let mut numeric = factors.filter(|(_, factor)| factor.numbers().is_some());
        let (first, second) = (numeric.next()?.0, numeric.next()?.0);
        Some([first, second])
    }
}
