use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_yaml::Mapping;

/// Training of every variant at several sizes, to say whether a difference grows or shrinks with size. The
/// variants are compared at the largest size. The smaller ones show the trend.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    /// What each size changes, the smallest first:
    /// `[{model: {n_embd: 32}}, {model: {n_embd: 64}, train: {steps: 1000}}]`. What a variant changes comes
    /// after it. Four sizes or more allow a test of the prediction for the largest one.
    #[schemars(
        with = "Vec<serde_json::Map<String, serde_json::Value>>",
        length(min = 2, max = 12)
    )]
    pub sizes: Vec<Mapping>,
}

/// The part of a run in its experiment, besides its variant and its seed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RunPart {
    /// Its part in an experiment that tunes its variants.
    pub tuned: Option<super::TunedRun>,
    /// Index in [`Scale::sizes`], if it is not the largest size.
    pub smaller_size: Option<usize>,
}
