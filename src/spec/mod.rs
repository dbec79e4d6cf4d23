//! The options of an experiment, as plain types.
//!
//! All other modules use these types, and this module uses none of theirs. The doc comments on the
//! fields are the reference for users: `experiments/README.md` and `experiments/schema.json` are
//! generated from them. Files are checked against that schema.
//!
//! There is one file per section. An option has its type, default, range, documentation and former
//! name in one place, and the type of a choice says which keys apply with it ([`Choice`]).

mod checkpoint_interval;
mod choice;
mod claims;
mod compare_settings;
mod data;
mod early_stop;
mod every;
mod expect;
mod former_names;
mod match_settings;
mod mlp_hidden;
mod model;
mod optimizer;
mod percent;
mod random_search;
mod run_settings;
mod run_spec;
mod run_yaml;
mod sample_settings;
mod scale;
mod seeds;
mod sweep_settings;
mod tokenizer;
mod train;
mod training_length;
mod tune;

pub use checkpoint_interval::CheckpointInterval;
pub use choice::Choice;
pub use claims::{Claim, ClaimMetric, ComparisonTest, Statement};
pub use compare_settings::{Compare, CompareMetric, Margin};
pub use data::{Data, Source};
pub use early_stop::EarlyStop;
pub use every::Every;
pub use expect::{Expect, Measure};
pub use former_names::{RENAMED_CHOICES, RENAMED_KEYS, RenamedChoice, RenamedKey};
pub use match_settings::{Match, MatchedQuantity, MatchedSetting};
pub use mlp_hidden::MlpHidden;
pub use model::{
    BiasOverrides, Biases, Dropouts, Init, InitKind, Mlp, Model, ModelKind, Norm, NormPosition,
    PositionKind, Positions,
};
pub(crate) use optimizer::optimizer_rules;
pub use optimizer::{
    Group, Groups, Muon, MuonScale, Optimizer, OptimizerKind, Schedule, ScheduleKind,
};
pub use percent::Percent;
pub use random_search::{Distribution, RandomCombinations};
pub use run_settings::{RunSettings, shortest};
pub use run_spec::{RunSpec, sequences_per_epoch};
pub use run_yaml::{YamlLine, yaml_lines};
pub use sample_settings::Sample;
pub use scale::{RunPart, Scale};
pub use seeds::{Seeds, SequentialSeeds, Until};
pub use sweep_settings::{Report, Sweep};
pub use tokenizer::{Encoding, Tokenizer, TokenizerKind};
pub use train::{
    BatchOrder, EvaluatedWeights, Precision, Train, is_logged, is_logged_of_open_run, log_every,
};
pub use training_length::TrainingLength;
pub use tune::{Halving, Tpe, Tune, TunedRun};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// One experiment: a question, and everything that is needed to answer it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// Name of the experiment and of its folder under `results/`. At most 64 letters, digits, `-` and
    /// `_`; the first is a letter or digit.
    #[schemars(regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"))]
    pub name: String,
    /// Experiment files that this one extends: a path or a list of paths, relative to the folder of this file. They can
    /// extend others. A later file of the list is merged over the earlier ones, and this file over all of them: mappings
    /// key by key, while anything else, such as a list, is replaced. `name` and `description` are not taken over. A file
    /// that is reached twice is merged once, at its first place.
    #[serde(default, skip_serializing)]
    #[schemars(schema_with = "extends_schema")]
    pub extends: Vec<String>,
    /// The question in one or two sentences. The report starts with it.
    #[serde(default)]
    pub description: String,
    /// The text to train on.
    #[serde(default)]
    pub data: Data,
    /// How the text is divided into tokens.
    #[serde(default)]
    pub tokenizer: Tokenizer,
    /// The model.
    #[serde(default)]
    pub model: Model,
    /// How the weights are updated.
    #[serde(default)]
    pub optimizer: Optimizer,
    /// Duration, batches, and the intervals of evaluations and checkpoints.
    #[serde(default)]
    pub train: Train,
    /// The samples that are generated from each model for the report.
    #[serde(default)]
    pub sample: Sample,
    /// Values that are known in advance and are compared with the measured ones.
    #[serde(default)]
    pub expect: Vec<Expect>,
    /// Statements about means over the seeds, which are tested statistically after the runs.
    #[serde(default)]
    pub claims: Vec<Claim>,
    /// How the variants are compared.
    #[serde(default)]
    pub compare: Compare,
    /// Settings of the report.
    #[serde(default)]
    pub report: Report,
    /// The variants that are compared, and the seeds. Without it, the experiment is a single run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sweep: Option<Sweep>,
}

fn extends_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "oneOf": [
            { "type": "string", "minLength": 1 },
            { "type": "array", "items": { "type": "string", "minLength": 1 } }
        ],
        "default": []
    })
}
