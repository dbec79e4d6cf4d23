//! The files of a run. Training writes them, and reports read nothing else.

mod atomic_files;
mod changed_design;
mod earlier_design;
mod metrics;
mod run_dir;
mod run_result;
mod run_state;
mod sample_files;
mod sample_text;
mod samples_markdown;
mod seed_rounds;
mod status;
mod sweep_plan;
#[cfg(test)]
pub(crate) mod testing;
mod variant_runs;

pub use atomic_files::{remove_partial_files, write_atomic, write_json_atomic};
pub use earlier_design::EarlierDesign;
pub use metrics::{Evaluation, Metric, StepMetric};
pub use run_dir::{MetricsWriter, RunDir};
pub use run_result::RunResult;
pub use run_state::RunState;
pub use sample_text::SampleText;
pub use seed_rounds::VariantComparison;
pub use status::{Outcome, RunStatus};
pub use sweep_plan::{ChosenValue, CorpusInfo, MatchedVariant, PlannedRun, SweepPlan};
pub use variant_runs::Search;
