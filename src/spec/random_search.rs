use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_yaml::{Mapping, Value};

/// Random combinations of values, each drawn independently.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandomCombinations {
    /// Number of draws. Equal ones count once.
    #[schemars(range(min = 1, max = 1000))]
    pub n: u64,
    /// Seed of the draws. The draws at a path do not depend on the other paths.
    #[serde(default = "one")]
    pub seed: u64,
    /// Distributions by path: `{optimizer.lr: {log_uniform: [1.0e-4, 1.0e-1]}, model.n_layer: {choice: [1, 2, 4]}}`.
    #[schemars(with = "std::collections::BTreeMap<String, Distribution>")]
    pub settings: Mapping,
}

impl RandomCombinations {
    /// Largest `n`.
    pub const MOST: usize = 1000;
}

fn one() -> u64 {
    1
}

/// The distribution of a value. It has exactly one of these keys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Distribution {
    /// A number between two ends, rounded to a thousandth of their distance.
    #[schemars(length(min = 2, max = 2))]
    pub uniform: Option<Vec<f64>>,
    /// A number whose logarithm is uniform, between two positive ends, rounded to three digits.
    #[schemars(length(min = 2, max = 2))]
    pub log_uniform: Option<Vec<f64>>,
    /// An integer between two ends, which are included.
    #[schemars(length(min = 2, max = 2))]
    pub integer: Option<Vec<i64>>,
    /// One of these values.
    pub choice: Option<Vec<serde_json::Value>>,
}

/// The paths of each factor of combinations: one for each path of `grid` and of `random`, and one for those of `zip`, whose
/// values are taken together.
pub(super) fn factor_paths<'a>(
    grid: &'a Mapping,
    zip: &'a Mapping,
    random: Option<&'a RandomCombinations>,
) -> Vec<Vec<&'a str>> {
    let paths = |lists: &'a Mapping| lists.keys().filter_map(Value::as_str);
    let zipped = Some(paths(zip).collect()).filter(|paths: &Vec<&str>| !paths.is_empty());
    let random = random
        .into_iter()
        .flat_map(|random| paths(&random.settings));
    let alone = |path| vec![path];
    let grid = paths(grid).map(alone);
    grid.chain(zipped).chain(random.map(alone)).collect()
}
