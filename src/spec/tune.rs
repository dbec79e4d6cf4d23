use super::random_search::{RandomCombinations, combined_paths};
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
    /// Number of seeds of each combination in the search. They are the numbers from 1001, without those of
    /// `sweep.seeds`.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 20))]
    pub seeds: u64,
}

fn one() -> u64 {
    1
}

impl Tune {
    /// The paths that the search varies.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        combined_paths([&self.grid, &self.zip], self.random.as_ref())
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_search_has_other_seeds_than_the_comparison() {
        let tune = Tune {
            grid: Mapping::new(),
            zip: Mapping::new(),
            random: None,
            seeds: 3,
        };
        assert_eq!(tune.search_seeds(&[1, 2, 3]), [1001, 1002, 1003]);
        assert_eq!(tune.search_seeds(&[7, 1002]), [1001, 1003, 1004]);
    }
}
