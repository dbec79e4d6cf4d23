//! The runs of an experiment by the names of their variants.

use crate::spec::RunSpec;
use std::collections::HashMap;

/// The runs of each variant. An experiment can have thousands of variants, and thousands of values that
/// name one, so that a run is not searched one by one.
pub(super) struct VariantSpecs<'a> {
    /// Each once, in the order of the file.
    names: Vec<&'a str>,
    by_name: HashMap<&'a str, Vec<&'a RunSpec>>,
}

impl<'a> VariantSpecs<'a> {
    pub(super) fn new(specs: &[&'a RunSpec]) -> Self {
        let mut names = Vec::new();
        let mut by_name: HashMap<&str, Vec<&RunSpec>> = HashMap::new();
        for &spec in specs {
            let of_variant = by_name.entry(&spec.variant).or_default();
            if of_variant.is_empty() {
                names.push(spec.variant.as_str());
            }
            of_variant.push(spec);
        }
        Self { names, by_name }
    }

    /// The names of the variants.
    pub(super) fn names(&self) -> &[&'a str] {
        &self.names
    }

    /// The runs of the variant of a name. Empty if there is no such variant.
    pub(super) fn of(&self, name: &str) -> &[&'a RunSpec] {
        self.by_name.get(name).map_or(&[], Vec::as_slice)
    }

    /// The first run of the variant of a name.
    pub(super) fn first_of(&self, name: &str) -> Option<&'a RunSpec> {
        self.of(name).first().copied()
    }
}
