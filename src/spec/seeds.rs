use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Most seeds of a variant that are given by their number.
const MAX_SEEDS: u64 = 1000;

/// Most seeds of a sequential design.
const MAX_SEQUENTIAL: u64 = 100;

/// The seeds of a sweep, in the form in which a file has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Seeds {
    /// `[1, 2, 3]`
    List(Vec<u64>),
    /// `5`: the seeds 1 to 5.
    Count(u64),
    /// `{min: 3, max: 12, until: decided}`
    Sequential(SequentialSeeds),
}

/// Seeds that are added until every comparison is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SequentialSeeds {
    /// Seeds that every variant gets.
    #[schemars(range(min = 2, max = MAX_SEQUENTIAL))]
    pub min: u64,
    /// Most seeds of a variant.
    #[schemars(range(min = 2, max = MAX_SEQUENTIAL))]
    pub max: u64,
    /// When no further seed is added.
    pub until: Until,
}

/// When no further seed is added to a variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Until {
    /// The comparison with the baseline has a verdict other than inconclusive.
    Decided,
}

impl Seeds {
    /// All seeds that a variant can get, in the order in which it gets them.
    pub fn all(&self) -> Vec<u64> {
        match self {
            Self::List(seeds) => seeds.clone(),
            Self::Count(last) | Self::Sequential(SequentialSeeds { max: last, .. }) => {
                (1..=*last).collect()
            }
        }
    }

    /// Whether their number is one that a file may have.
    pub fn are_within_limits(&self) -> bool {
        match self {
            Self::List(seeds) => !seeds.is_empty(),
            Self::Count(count) => (1..=MAX_SEEDS).contains(count),
            Self::Sequential(SequentialSeeds { min, max, .. }) => {
                2 <= *min && min <= max && *max <= MAX_SEQUENTIAL
            }
        }
    }

    /// The range of the number of seeds, if it depends on the results.
    pub fn sequential(&self) -> Option<SequentialSeeds> {
        match self {
            Self::Sequential(range) => Some(*range),
            Self::List(_) | Self::Count(_) => None,
        }
    }
}

impl JsonSchema for Seeds {
    fn schema_name() -> Cow<'static, str> {
        "Seeds".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let seed = json_schema!({ "type": "integer", "format": "uint64", "minimum": 0 });
        json_schema!({ "oneOf": [
            { "type": "array", "items": seed, "minItems": 1 },
            { "type": "integer", "minimum": 1, "maximum": MAX_SEEDS },
            generator.subschema_for::<SequentialSeeds>(),
        ] })
    }
}
