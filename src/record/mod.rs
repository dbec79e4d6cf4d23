//! What a run leaves behind: the only thing that reports read, and the only thing training writes.

mod files;
mod folder;
mod metrics;
mod plan;
mod samples;
mod status;

pub use files::{write_atomic, write_json_atomic};
pub use folder::{MetricsWriter, RunDir};
pub use metrics::{Evaluation, Metric, StepMetric, is_logged, log_every};
pub use plan::{CorpusInfo, PlannedRun, SweepPlan};
pub use samples::SampleText;
pub(crate) use samples::longest_run;
pub use status::{Outcome, RunStatus, State};
