//! Results that the earlier table has and the later one lacks.

use super::compared_rows::{are_seed_free, rows_of, values};
use super::gate::GateResult;
use crate::report::recorded_summary::SummaryRow;
use crate::results::RunState;
use crate::spec::CompareMetric;
use schemars::JsonSchema;
use serde::Serialize;

/// The seeds with which a variant had a value of a metric before and has none after.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct LostResults {
    pub variant: String,
    pub metric: CompareMetric,
    /// In the order of the earlier table.
    pub seeds: Vec<LostSeed>,
    /// `worse` if a run failed or diverged, `undecided` if none did, and `not_tested` without a gate.
    pub result: GateResult,
}

/// A seed without a value after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LostSeed {
    pub seed: u64,
    /// The state of its run after.
    pub state: LostState,
}

/// Why a seed has no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LostState {
    Failed,
    Diverged,
    /// The run was stopped, or has not started.
    NotDone,
    /// The run is done, and its value is not a finite number.
    NoValue,
    /// The later table has no such run.
    Absent,
}

impl LostState {
    fn of(row: &SummaryRow) -> Self {
        let states = [
            (RunState::Failed, Self::Failed),
            (RunState::Diverged, Self::Diverged),
            (RunState::Done, Self::NoValue),
        ];
        let mut states = states.into_iter();
        let found = states.find(|(state, _)| row.status == state.name());
        found.map_or(Self::NotDone, |(_, lost)| lost)
    }

    /// The state in words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Diverged => "diverged",
            Self::NotDone => "not done",
            Self::NoValue => "done without a finite value",
            Self::Absent => "absent",
        }
    }
}

/// The lost results of a variant. `None` if it has lost none.
pub(super) fn lost_results(
    [before, after]: [&[SummaryRow]; 2],
    variant: &str,
    metric: CompareMetric,
    has_gate: bool,
) -> Option<LostResults> {
    let still = values(after, variant, metric);
    // A value that is the same with every seed is not lost with a seed.
    if are_seed_free(after, variant, metric) && !still.is_empty() {
        return None;
    }
    let is_lost = |seed: &u64| still.iter().all(|(other, _)| other != seed);
    let state = |seed| {
        let row = rows_of(after, variant).find(|row| row.seed == Some(seed));
        row.map_or(LostState::Absent, LostState::of)
    };
    let before = values(before, variant, metric).into_iter();
    let seeds: Vec<LostSeed> = before
        .map(|(seed, _)| seed)
        .filter(is_lost)
        .map(|seed| LostSeed {
            seed,
            state: state(seed),
        })
        .collect();
    (!seeds.is_empty()).then(|| LostResults {
        variant: variant.to_owned(),
        metric,
        result: result(&seeds, has_gate),
        seeds,
    })
}

fn result(seeds: &[LostSeed], has_gate: bool) -> GateResult {
    let is_failure =
        |lost: &LostSeed| matches!(lost.state, LostState::Failed | LostState::Diverged);
    match has_gate {
        false => GateResult::NotTested,
        true if seeds.iter().any(is_failure) => GateResult::Worse,
        true => GateResult::Undecided,
    }
}
