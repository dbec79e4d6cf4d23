use super::random_search::{RandomCombinations, factor_paths};
use super::{Match, Scale, Seeds, Tune};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_yaml::{Mapping, Value};

/// Settings of the report.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Report {
    /// Path of a minijinja template that replaces the built-in template of `report.md`, relative to the
    /// folder of the experiment file. Before training, it is rendered with made-up results.
    pub template: Option<String>,
}

/// The variants that are compared, and the seeds with which each is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Sweep {
    /// Every variant is trained once with each seed: a list, or a number `n` for the seeds 1 to n.
    /// Variants with the same seed are trained on the same batches, so that they can be compared in
    /// pairs. With `{min: 3, max: 12, until: decided}`, every variant gets `min` seeds, and then the
    /// undecided variants and the baseline get more, one at a time, until every variant has a verdict
    /// or `max` seeds.
    pub seeds: Seeds,
    /// Name of the variant that the others are compared with. `null` means the first one.
    pub baseline: Option<String>,
    /// Variants by name, each with what it changes: `rmsnorm: {model: {norm: rmsnorm}}`.
    #[schemars(
        with = "std::collections::BTreeMap<String, serde_json::Map<String, serde_json::Value>>"
    )]
    pub variants: Mapping,
    /// Lists of values by path. Every combination is a variant:
    /// `{model.norm: [layernorm, rmsnorm], model.mlp: [gelu_tanh, swiglu]}`. If there are `variants`
    /// too, every variant is combined with every combination.
    #[schemars(with = "std::collections::BTreeMap<String, Vec<serde_json::Value>>")]
    pub grid: Mapping,
    /// Lists of values by path, all of the same length, whose values are taken together:
    /// `{model.n_layer: [2, 4], model.n_embd: [64, 128]}` is two combinations. They are combined with
    /// those of the grid.
    #[schemars(with = "std::collections::BTreeMap<String, Vec<serde_json::Value>>")]
    #[serde(skip_serializing_if = "Mapping::is_empty")]
    pub zip: Mapping,
    /// Random combinations, which are combined with those of the grid. `null` means none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub random: Option<RandomCombinations>,
    /// Combinations that are added to the grid, each a mapping from paths to values.
    #[schemars(with = "Vec<serde_json::Map<String, serde_json::Value>>")]
    pub include: Vec<Value>,
    /// Combinations that are removed from the grid: those that have all the values of an entry.
    #[schemars(with = "Vec<serde_json::Map<String, serde_json::Value>>")]
    pub exclude: Vec<Value>,
    /// A search for the best values of some settings, for each variant by itself. `null` means none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tune: Option<Tune>,
    /// Training at several sizes. `null` means one size. It cannot be combined with `tune`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale: Option<Scale>,
    /// Makes a quantity of every variant equal to that of the baseline, by choosing the value of one
    /// setting for each variant: `{what: params, by: model.mlp_hidden}`. Variants of another model kind
    /// than the baseline are matched in `tokens` only, and n-gram models are not matched.
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    pub matching: Option<Match>,
}

impl Default for Sweep {
    fn default() -> Self {
        Self {
            seeds: Seeds::List(vec![1]),
            baseline: None,
            variants: Mapping::new(),
            grid: Mapping::new(),
            zip: Mapping::new(),
            random: None,
            include: Vec::new(),
            exclude: Vec::new(),
            tune: None,
            scale: None,
            matching: None,
        }
    }
}

impl Sweep {
    /// The paths whose values are combined: those of `grid`, `zip` and `random`.
    pub fn combined_paths(&self) -> impl Iterator<Item = &str> {
        self.factor_paths().into_iter().flatten()
    }

    /// The paths of each factor of the combinations. Those of `zip` are one factor.
    pub fn factor_paths(&self) -> Vec<Vec<&str>> {
        factor_paths(&self.grid, &self.zip, self.random.as_ref())
    }

    /// The paths that the search for the best settings varies. Empty if the variants are not tuned.
    pub fn tuned_paths(&self) -> impl Iterator<Item = &str> {
        self.tune.iter().flat_map(Tune::paths)
    }
}
