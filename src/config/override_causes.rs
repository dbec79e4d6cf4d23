//! The overrides that make two variants identical.

use super::document::Document;
use super::limits::MAX_EXPANDED_FOR_CAUSES;
use std::collections::HashMap;

/// Finds overrides without which two variants would differ.
pub(super) struct OverrideCauses<'a> {
    document: &'a Document,
    overrides: Vec<String>,
    /// The document without some of the overrides, by their indices. `None` if it would have errors. Many pairs
    /// of variants can be identical, and expanding a sweep takes long.
    reduced: HashMap<Vec<usize>, Option<Document>>,
}

impl<'a> OverrideCauses<'a> {
    /// In a large sweep, nothing is searched: it would be expanded again for each override.
    pub(super) fn new(document: &'a Document) -> Self {
        let mut overrides = document.overrides();
        if document.variants().all().len() * overrides.len() > MAX_EXPANDED_FOR_CAUSES {
            overrides.clear();
        }
        Self {
            document,
            overrides,
            reduced: HashMap::new(),
        }
    }

    /// The override without which two identical variants would differ or, if there is none, a set of which each
    /// is needed to make them identical. Empty if they are identical in the file, too.
    pub(super) fn of(&mut self, first: &str, second: &str) -> Vec<String> {
        let all: Vec<usize> = (0..self.overrides.len()).collect();
        let mut differ_without = |removed: &[usize]| {
            let document = self.without(removed);
            document.is_some_and(|document| document.are_distinct(first, second))
        };
        let alone = all.iter().find(|&&one| differ_without(&[one]));
        let causes = match alone {
            Some(&one) => vec![one],
            None if all.is_empty() || !differ_without(&all) => Vec::new(),
            None => all.iter().fold(all.clone(), |causes, returned| {
                let fewer = causes.iter().copied().filter(|cause| cause != returned);
                let fewer: Vec<usize> = fewer.collect();
                if differ_without(&fewer) {
                    fewer
                } else {
                    causes
                }
            }),
        };
        let causes = causes.into_iter();
        causes.map(|cause| self.overrides[cause].clone()).collect()
    }

    fn without(&mut self, removed: &[usize]) -> Option<&Document> {
        let Self {
            document,
            overrides,
            reduced,
        } = self;
        let reduce = || {
            let kept = overrides.iter().enumerate();
            let kept = kept.filter(|(index, _)| !removed.contains(index));
            let kept: Vec<String> = kept.map(|(_, text)| text.clone()).collect();
            document.with_overrides(&kept)
        };
        let document = reduced.entry(removed.to_vec()).or_insert_with(reduce);
        document.as_ref()
    }
}
