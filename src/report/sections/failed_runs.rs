use super::Findings;
use crate::report::loaded_results::{Results, Run};
use crate::report::page_blocks::{Block, Column, Row, Table, Text};
use crate::results::RunState;
use serde::Serialize;

/// A run that has no complete result.
#[derive(Debug, Serialize)]
pub(in crate::report) struct FailedRun {
    run: String,
    state: &'static str,
    reason: String,
}

/// The runs without a complete result, and why.
pub(super) fn blocks(findings: &Findings) -> Vec<Block> {
    let runs = FailedRun::all(findings.results);
    if runs.is_empty() {
        return Vec::new();
    }
    let columns = vec![
        Column::left("Run"),
        Column::left("State"),
        Column::left("Reason").wrapping(),
    ];
    let row = |run: FailedRun| {
        let name = Text::new().code(run.run);
        Row::new(vec![name, run.state.into(), run.reason.into()])
    };
    let rows = runs.into_iter().map(row).collect();
    vec![
        Block::heading(2, "Failed and unfinished runs"),
        Block::Table(Table { columns, rows }),
    ]
}

impl FailedRun {
    pub(in crate::report) fn all(results: &Results) -> Vec<Self> {
        let is_complete = |run: &&Run| match run.state() {
            RunState::Done => run.result().is_some() && run.reason().is_empty(),
            // In a search for the best settings, a run that diverges is a result.
            RunState::Diverged => run.planned.is_search(),
            _ => false,
        };
        let failed = results.runs.iter().filter(|run| !is_complete(run));
        failed
            .map(|run| Self {
                run: run.planned.title(),
                state: run.state_name(),
                reason: match run.reason() {
                    reason if reason.is_empty() && run.state() == RunState::Done => {
                        "no validation loss".to_owned()
                    }
                    reason => reason,
                },
            })
            .collect()
    }
}
