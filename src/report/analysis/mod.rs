//! What the results of a sweep mean: comparisons, checks and sentences, independent of any page.

pub(crate) mod answer;
mod batch_pairing;
pub(crate) mod cautions;
pub(crate) mod config_diff;
mod fairness;
pub(crate) mod generated_text;
pub(crate) mod matched_variants;
pub(crate) mod ranking;
pub(crate) mod reproduction;
pub(crate) mod tokenizer_table;
pub(crate) mod wording;
mod written_settings;
