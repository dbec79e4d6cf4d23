//! The files of a run. Training writes them, and reports read nothing else.

mod atomic_files;
mod changed_design;
mod death;
mod earlier_design;
mod environment;
mod file_digest;
mod line_digest;
mod metric_lines;
mod metrics;
pub(crate) mod partial_folder;
mod parzen_choice;
mod record_error;
mod run_dir;
mod run_record;
mod run_result;
mod run_state;
mod sample_files;
mod sample_text;
mod samples_markdown;
mod sealed_json;
mod search;
mod seed_free_runs;
mod seed_rounds;
mod status;
mod sweep_plan;
mod test_comparison;
mod test_uses;
#[cfg(test)]
pub(crate) mod testing;
mod variant_runs;

pub(crate) use atomic_files::remove_any;
pub use atomic_files::{
    create_folder, create_folders, remove_if_exists, remove_partial_files, replace_file,
    sync_folder, write_atomic, write_atomic_with,
};
pub use earlier_design::EarlierDesign;
pub use environment::Environment;
pub use file_digest::FileDigest;
pub use metrics::{Evaluation, Metric, StepMetric};
pub use partial_folder::PartialFolder;
pub use record_error::RecordError;
pub use run_dir::{MetricsWriter, RunDir};
pub use run_record::{RunRecord, Thoroughness};
pub use run_result::RunResult;
pub use run_state::RunState;
pub use sample_text::SampleText;
pub use sealed_json::{SealError, Sealed, from_sealed_json, write_sealed_json};
pub use search::Search;
pub use seed_rounds::VariantComparison;
pub use status::{Outcome, RunStatus};
pub use sweep_plan::{ChosenValue, CorpusInfo, MatchedVariant, PlannedRun, SweepPlan};
pub use test_comparison::TestComparison;
pub use test_uses::{CountedUse, TestUse, TestUses};
