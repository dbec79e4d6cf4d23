//! What the results of a sweep mean: comparisons, checks and sentences, independent of any page.

pub(crate) mod answer;
pub(crate) mod cautions;
pub(crate) mod config_diff;
pub(crate) mod generated_text;
pub(crate) mod matched_variants;
pub(crate) mod ranking;
pub(crate) mod reproduction;
pub(crate) mod tokenizer_table;
pub(crate) mod wording;
