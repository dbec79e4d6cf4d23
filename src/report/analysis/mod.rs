//! What the results of a sweep mean: comparisons, checks and sentences, independent of any page.

pub(crate) mod answer;
mod batch_pairing;
pub(crate) mod cautions;
mod claim_evidence;
pub(crate) mod claim_results;
pub(crate) mod claim_summary;
pub(crate) mod config_diff;
pub(crate) mod cost;
pub(crate) mod design_cautions;
mod environment_cautions;
mod evaluated_weights;
pub(crate) mod factors;
mod fairness;
pub(crate) mod generated_text;
mod headline;
pub(crate) mod matched_variants;
pub(crate) mod metric;
mod rank_order;
pub(crate) mod ranking;
mod record_cautions;
pub(crate) mod reproduction;
pub(crate) mod scaling;
pub(crate) mod tokenizer_table;
pub(crate) mod tuning;
pub(crate) mod variant_verdict;
pub(crate) mod wording;
mod written_settings;
