//! The vocabulary of an experiment: what the YAML says, as plain types.
//!
//! Everything above this module speaks these types and this module speaks none of theirs. The doc
//! comment on each field is the reference: `experiments/README.md` and `experiments/schema.json`
//! are generated from it, and every structural check of a file (unknown key, wrong type, value out
//! of range) is made against that schema.
//!
//! One file an area; an option keeps its type, default, range and documentation in one place.

mod data;
mod every;
mod expect;
mod mlp_hidden;
mod model;
mod optimizer;
mod run_spec;
mod sample_settings;
mod sweep_settings;
mod tokenizer;
mod train;

pub use data::{Data, Source};
pub use every::Every;
pub use expect::{Expect, Measure};
pub use mlp_hidden::MlpHidden;
pub use model::{
    BiasIn, Biases, Dropouts, Init, InitKind, Mlp, Model, ModelKind, Norm, NormPosition,
    PositionKind, Positions,
};
pub(crate) use optimizer::optimizer_rules;
pub use optimizer::{
    Group, Groups, Muon, MuonScale, Optimizer, OptimizerKind, Schedule, ScheduleKind,
};
pub use run_spec::{RunSpec, sequences_per_epoch};
pub use sample_settings::Sample;
pub use sweep_settings::{Report, Sweep};
pub use tokenizer::{Encoding, Tokenizer, TokenizerKind};
pub use train::{BatchOrder, Train};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One experiment: a question, and everything needed to answer it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// Name of the experiment, and of its folder under `results/`: letters, digits, `-` and `_`, at
    /// most 64, the first a letter or digit.
    #[schemars(regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"))]
    pub name: String,
    /// The question in a sentence or two. The report opens with it.
    #[serde(default)]
    pub description: String,
    /// The text to train on.
    #[serde(default)]
    pub data: Data,
    /// How the text becomes tokens.
    #[serde(default)]
    pub tokenizer: Tokenizer,
    /// The network.
    #[serde(default)]
    pub model: Model,
    /// How the weights are updated.
    #[serde(default)]
    pub optimizer: Optimizer,
    /// How long, on what batches, and how often to look.
    #[serde(default)]
    pub train: Train,
    /// The text drawn from each trained model for the report.
    #[serde(default)]
    pub sample: Sample,
    /// Figures that are known beforehand, to be held against those that are measured.
    #[serde(default)]
    pub expect: Vec<Expect>,
    /// How the report is rendered.
    #[serde(default)]
    pub report: Report,
    /// The variants to compare and the seeds to repeat them with. Without it the file is one run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sweep: Option<Sweep>,
}
