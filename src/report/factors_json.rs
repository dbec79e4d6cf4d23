//! The factors of a grid in `report.json`.

use super::analysis::factors::{Factors, LevelMean, Term};
use schemars::JsonSchema;
use serde::Serialize;

/// The effects of the factors: of the settings of a grid, and of the variants that are combined with them.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct FactorsJson<'a> {
    /// Number of seeds, which are the blocks.
    seeds: usize,
    /// The main effect of each factor, and the interaction of each two, the largest first.
    effects: Vec<EffectJson>,
    /// All values of all factors, each with the mean over all combinations that have it.
    levels: Vec<LevelJson>,
    /// Variants that the effects leave out, because a value that they have lacks results for some runs.
    left_out: &'a [&'a str],
}

#[derive(Debug, Serialize, JsonSchema)]
struct EffectJson {
    /// One factor, or the two of an interaction: the path of a setting, the paths of `zip`, or `variant`.
    factors: Vec<String>,
    /// Share of the variation between the combinations, without the variation between the seeds.
    share: f64,
    /// p-value of the effect, without a correction.
    p: f64,
    /// Corrected for the number of effects.
    significant: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
struct LevelJson {
    factor: String,
    value: String,
    /// Mean of the metric.
    mean: f64,
    /// The ends of its 95 % interval, without what all combinations with a seed have in common.
    low: f64,
    high: f64,
    /// Difference to the first value of the factor. Null for the first one.
    difference: Option<f64>,
    /// The ends of its interval, at a level that is corrected for the number of such differences.
    difference_low: Option<f64>,
    difference_high: Option<f64>,
}

impl<'a> FactorsJson<'a> {
    pub(super) fn new(factors: &'a Factors) -> Self {
        let effect = |term: Term| EffectJson {
            factors: term
                .factors
                .iter()
                .map(|&factor| factors.factors[factor].name())
                .collect(),
            share: term.effect.share,
            p: term.effect.p,
            significant: term.is_significant,
        };
        let level = |level: LevelMean| {
            let factor = &factors.factors[level.factor];
            let interval = level.difference.map(|(_, interval)| interval);
            LevelJson {
                factor: factor.name(),
                value: factor.level_names().swap_remove(level.level),
                mean: level.mean,
                low: level.interval.low,
                high: level.interval.high,
                difference: level.difference.map(|(mean, _)| mean),
                difference_low: interval.map(|interval| interval.low),
                difference_high: interval.map(|interval| interval.high),
            }
        };
        Self {
            seeds: factors.seeds,
            effects: factors.terms().into_iter().map(effect).collect(),
            levels: factors.level_means().into_iter().map(level).collect(),
            left_out: &factors.left_out,
        }
    }
}
