use crate::spec::{Claim, Compare, Seeds, Tune};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// How a plan compared its variants, with results that were known afterwards.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EarlierDesign {
    /// The start of the identity of each variant and combination, without its seed.
    pub(super) variants: BTreeSet<String>,
    pub seeds: Seeds,
    pub compare: Compare,
    pub baseline: String,
    pub tune: Option<Tune>,
    pub claims: Vec<Claim>,
    /// Number of comparisons with the baseline.
    pub(super) comparisons: usize,
}
