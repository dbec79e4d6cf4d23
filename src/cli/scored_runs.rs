//! The runs that are scored on the test split: those of the seeds on which the verdict compares.

use super::Error;
use super::confirm_error::ConfirmError;
use crate::results::{PlannedRun, RunResult, SweepPlan, VariantComparison};
use crate::sweep::Store;

/// The scored runs of the variant and of the baseline. A run that does not depend on the seed is scored once.
pub(super) struct ScoredRuns<'a> {
    pub(super) variant: Vec<&'a PlannedRun>,
    pub(super) baseline: Vec<&'a PlannedRun>,
    /// Whether neither depends on the seed, so that their difference is exact.
    is_exact: bool,
}

/// The runs on which the verdict depends: those of the variant, and of the baseline with the same seeds.
///
/// # Errors
/// If the search for the best settings has not ended, or has found none.
pub(super) fn needed_runs(
    [variant, baseline]: [&VariantComparison; 2],
) -> Result<Vec<usize>, ConfirmError> {
    for compared in [variant, baseline] {
        if compared
            .search
            .as_ref()
            .is_some_and(|search| !search.has_ended)
        {
            return Err(ConfirmError::IsSearching(compared.variant.clone()));
        }
        if compared.runs.is_empty() {
            return Err(ConfirmError::no_pair([variant, baseline]));
        }
    }
    Ok([&variant.runs, variant.runs_of_baseline(baseline)].concat())
}

impl<'a> ScoredRuns<'a> {
    /// # Errors
    /// If a needed run has not ended, if no seed has two finished runs, or if a record cannot be read.
    pub(super) fn new(
        store: &Store,
        plan: &'a SweepPlan,
        results: &[RunResult],
        compared: [&VariantComparison; 2],
    ) -> Result<Self, Error> {
        let needed = needed_runs(compared)?;
        if let Some(&open) = needed.iter().find(|run| results[**run] == RunResult::Open) {
            return Err(ConfirmError::NotDone(plan.runs[open].name.clone()).into());
        }
        let [variant, baseline] = compared;
        let mut scored = Self {
            variant: Vec::new(),
            baseline: Vec::new(),
            is_exact: variant.is_seed_free && baseline.is_seed_free,
        };
        for (seed, _) in &variant.differences {
            let pair = compared.map(|compared| run_with_seed(plan, compared, *seed));
            let [Some(own), Some(base)] = pair else {
                continue;
            };
            if is_done(store, own)? && is_done(store, base)? {
                add(&mut scored.variant, own);
                add(&mut scored.baseline, base);
            }
        }
        match scored.variant.is_empty() {
            true => Err(ConfirmError::no_pair(compared).into()),
            false => Ok(scored),
        }
    }

    /// The variant's runs and then those of the baseline.
    pub(super) fn all(&self) -> impl Iterator<Item = &'a PlannedRun> {
        self.variant.iter().chain(&self.baseline).copied()
    }

    /// Whether the difference can have an interval, or is exact.
    pub(super) fn can_be_decided(&self) -> bool {
        self.is_exact || self.variant.len().max(self.baseline.len()) > 1
    }
}

fn run_with_seed<'a>(
    plan: &'a SweepPlan,
    compared: &VariantComparison,
    seed: u64,
) -> Option<&'a PlannedRun> {
    let mut runs = compared.runs.iter().map(|&run| &plan.runs[run]);
    runs.find(|run| compared.is_seed_free || run.spec.seed == seed)
}

fn is_done(store: &Store, run: &PlannedRun) -> Result<bool, Error> {
    Ok(store.record(run)?.is_some_and(|record| record.is_done()))
}

/// Adds a run, unless it is the last one already.
fn add<'a>(runs: &mut Vec<&'a PlannedRun>, run: &'a PlannedRun) {
    if runs.last().is_none_or(|last| last.name != run.name) {
        runs.push(run);
    }
}
