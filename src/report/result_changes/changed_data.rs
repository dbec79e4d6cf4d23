//! Variants that were trained on another text, or with another tokenizer, than before.

use super::compared_rows::rows_of;
use crate::report::recorded_summary::SummaryRow;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeSet;

/// What has changed of the data of a variant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ChangedData {
    pub variant: String,
    /// Whether the text is another one.
    pub text: bool,
    /// Whether the tokenizer is another one.
    pub tokenizer: bool,
}

/// What has changed of the data of a variant. `None` if nothing has, and for tables of earlier versions, which do not
/// have the hashes.
pub(super) fn changed_data(tables: [&[SummaryRow]; 2], variant: &str) -> Option<ChangedData> {
    let text = differs(tables, variant, |row| row.data_sha256.as_deref());
    let tokenizer = differs(tables, variant, |row| row.tokenizer_sha256.as_deref());
    (text || tokenizer).then(|| ChangedData {
        variant: variant.to_owned(),
        text,
        tokenizer,
    })
}

/// Whether both tables have the hash and differ in it.
fn differs(
    tables: [&[SummaryRow]; 2],
    variant: &str,
    hash: impl Fn(&SummaryRow) -> Option<&str>,
) -> bool {
    let [before, after] =
        tables.map(|rows| -> BTreeSet<&str> { rows_of(rows, variant).filter_map(&hash).collect() });
    !before.is_empty() && !after.is_empty() && before != after
}
