use crate::spec::{Claim, Compare, Seeds, Tune};
use serde::{Deserialize, Serialize};
use serde_yaml::Mapping;
use std::collections::BTreeSet;

/// Most comparisons with the baseline, more than a plan can have variants.
const MAX_COMPARISONS: usize = 1_000_000;

/// How a plan compared its variants, with results that were known afterwards.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EarlierDesign {
    /// The start of the identity of each variant and combination, without its seed.
    pub(super) variants: BTreeSet<String>,
    /// The same of the smaller sizes.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) smaller_sizes: BTreeSet<String>,
    /// What each size changes, the smallest first. Empty without sizes, and `None` in a record of an earlier version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sizes: Option<Vec<Mapping>>,
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

    /// Whether it is known to have had other sizes than a later design with some of its runs.
    pub(super) fn had_other_sizes(&self, later: &Self) -> bool {
        let identities = |design: &Self| &design.variants | &design.smaller_sizes;
        self.sizes.is_some()
            && self.sizes != later.sizes
            && !identities(self).is_disjoint(&identities(later))
    }
}
