use super::random_search::{RandomCombinations, factor_paths};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_yaml::Mapping;

/// First of the numbers that are tried as seeds of a search.
const FIRST_SEARCH_SEED: u64 = 1001;

/// A search for the best values of some settings, for each variant by itself. Every variant is trained
/// with every combination of the values. The variants are then compared, each with its best combination,
/// on seeds that the search has not used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tune {
    /// Lists of values by path: `{optimizer.lr: [0.001, 0.002, 0.004]}`. All variants are searched over
    /// the same combinations, so that their searches cost the same.
    #[schemars(with = "std::collections::BTreeMap<String, Vec<serde_json::Value>>")]
    #[serde(default, skip_serializing_if = "Mapping::is_empty")]
    pub grid: Mapping,
    /// Lists of values by path whose values are taken together, as in `sweep.zip`.
    #[schemars(with = "std::collections::BTreeMap<String, Vec<serde_json::Value>>")]
    #[serde(default, skip_serializing_if = "Mapping::is_empty")]
    pub zip: Mapping,
    /// Random combinations, which cost less than a grid of several settings. All variants get the same ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub random: Option<RandomCombinations>,
    /// Ends the training of combinations that are behind the others. `null` trains every combination to the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub halving: Option<Halving>,
    /// Chooses which of the random combinations are trained. `null` trains all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tpe: Option<Tpe>,
    /// Number of seeds of each combination in the search. They are the numbers from 1001, without those of
    /// `sweep.seeds`.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 20))]
    pub seeds: u64,
}

fn is_zero(rung: &usize) -> bool {
    *rung == 0
}

fn one() -> u64 {
    1
}

/// Successive halving (Jamieson and Talwalkar 2016): every combination of a variant is trained for a few steps, the best
/// ones for more steps, and the best of these to the end. A combination that ends early has no result in the search.
/// Each training has its own learning rate schedule. With a schedule that does not depend on the number of steps, a
/// longer training continues the shorter one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Halving {
    /// The steps after which the combinations are compared, in increasing order: `[100, 300]`. The last training has
    /// all steps of the run.
    #[schemars(length(min = 1, max = 6), inner(range(min = 1)))]
    pub steps: Vec<u64>,
    /// After each comparison, one of so many combinations is trained further, rounded up.
    #[serde(default = "three")]
    #[schemars(range(min = 2, max = 10))]
    pub factor: usize,
}

fn three() -> usize {
    3
}

impl Halving {
    /// Number of the combinations that are trained further, out of `n` with a result.
    pub fn kept(&self, n: usize) -> usize {
        n.div_ceil(self.factor.max(1)) // a plan from somebody else can hold any numbers
    }
}

/// Tree-structured Parzen estimator (Bergstra et al. 2011): each variant is trained with the first random combinations,
/// and then with those that look most like its best ones so far and least like the others.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tpe {
    /// Number of combinations that are trained for each variant, out of the `n` of `random`.
    #[schemars(range(min = 2, max = 200))]
    pub n_trials: usize,
    /// Number of these that are trained first, before there are results: the first ones of `random`. `null` means 8, or
    /// `n_trials` if that is less.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 200))]
    pub n_startup: Option<usize>,
    /// Number of combinations that are chosen from the same results, and can be trained side by side.
    #[serde(default = "four")]
    #[schemars(range(min = 1, max = 200))]
    pub batch: usize,
}

fn four() -> usize {
    4
}

impl Tpe {
    /// Most combinations that are trained for each variant.
    pub const MOST_TRIALS: usize = 200;

    /// Number of the combinations that are trained first.
    pub fn startup(&self) -> usize {
        self.n_startup.unwrap_or(8).min(self.n_trials)
    }
}

impl Tune {
    /// The paths that the search varies.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.factor_paths().into_iter().flatten()
    }

    /// The paths of each factor of the combinations. Those of `zip` are one factor.
    pub fn factor_paths(&self) -> Vec<Vec<&str>> {
        factor_paths(&self.grid, &self.zip, self.random.as_ref())
    }

    /// The seeds of the search, given those of the comparison.
    pub fn search_seeds(&self, compared: &[u64]) -> Vec<u64> {
        let free = (FIRST_SEARCH_SEED..).filter(|seed| !compared.contains(seed));
        free.take(self.seeds as usize).collect()
    }
}

/// The part of a run in an experiment that tunes its variants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TunedRun {
    /// Number of the combination of [`Tune::grid`], in the order of the grid.
    pub combination: usize,
    /// Whether it belongs to the search. The others compare the variants.
    pub is_search: bool,
    /// Index in [`Halving::steps`], or their number for a run with all steps. 0 without halving.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rung: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_least_one_combination_is_kept() {
        let halving = Halving {
            steps: vec![10],
            factor: three(),
        };
        assert_eq!([0, 1, 3, 9, 10].map(|n| halving.kept(n)), [0, 1, 1, 3, 4]);
    }

    #[test]
    fn the_search_has_other_seeds_than_the_comparison() {
        let tune = Tune {
            grid: Mapping::new(),
            zip: Mapping::new(),
            random: None,
            halving: None,
            tpe: None,
            seeds: 3,
        };
        assert_eq!(tune.search_seeds(&[1, 2, 3]), [1001, 1002, 1003]);
        assert_eq!(tune.search_seeds(&[7, 1002]), [1001, 1003, 1004]);
    }
}
