use crate::spec::{Claim, Compare, Seeds, Tune};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Most comparisons with the baseline, more than a plan can have variants.
const MAX_COMPARISONS: usize = 1_000_000;

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

impl EarlierDesign {
    /// Whether its numbers are those that a plan can have.
    pub fn is_within_limits(&self) -> bool {
        self.seeds.are_within_limits() && self.comparisons <= MAX_COMPARISONS
    }
}
