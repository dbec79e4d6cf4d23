use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_yaml::{Mapping, Value};

/// How the report is rendered.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Report {
    /// Path of a minijinja template that replaces the built-in `report.md` template.
    pub template: Option<String>,
}

/// The variants to compare and the seeds to repeat them with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Sweep {
    /// Seeds, each of which repeats every variant. Variants with the same seed see the same
    /// batches, so that their difference is a paired one.
    #[schemars(length(min = 1))]
    pub seeds: Vec<u64>,
    /// Name of the variant that the others are compared with. `null` means the first one.
    pub baseline: Option<String>,
    /// Named variants, each an overlay on the document above: `rmsnorm: {model: {norm: rmsnorm}}`.
    #[schemars(
        with = "std::collections::BTreeMap<String, serde_json::Map<String, serde_json::Value>>"
    )]
    pub variants: Mapping,
    /// Lists of values by path; the variants are all combinations:
    /// `{model.norm: [layernorm, rmsnorm], model.mlp: [gelu, swiglu]}`. With `variants` as well,
    /// every combination is taken of every named variant.
    #[schemars(with = "std::collections::BTreeMap<String, Vec<serde_json::Value>>")]
    pub grid: Mapping,
    /// Combinations added to the grid, each a mapping of paths to values.
    #[schemars(with = "Vec<serde_json::Map<String, serde_json::Value>>")]
    pub include: Vec<Value>,
    /// Combinations taken out of the grid: every one that agrees with all the values of an entry.
    #[schemars(with = "Vec<serde_json::Map<String, serde_json::Value>>")]
    pub exclude: Vec<Value>,
}

impl Default for Sweep {
    fn default() -> Self {
        Self {
            seeds: vec![1],
            baseline: None,
            variants: Mapping::new(),
            grid: Mapping::new(),
            include: Vec::new(),
            exclude: Vec::new(),
        }
    }
}
