use super::Findings;
use crate::report::analysis::reproduction::{CheckResult, MetricCheck};
use crate::report::page_blocks::{Block, Column, Row, Table, Text};

/// The metrics that the experiment expects, with their measured values.
pub(super) fn blocks(findings: &Findings) -> Vec<Block> {
    let checks = findings.checks;
    if checks.is_empty() {
        return Vec::new();
    }
    let has_sources = checks.iter().any(|check| !check.source.is_empty());
    let mut columns = vec![
        Column::left("Variant"),
        Column::left("Metric"),
        Column::right("Expected"),
        Column::right("Measured"),
        Column::left("Result"),
    ];
    if has_sources {
        columns.push(Column::left("Source").wrapping());
    }
    let row = |check: &MetricCheck| {
        let mut cells = vec![
            (&check.variant).into(),
            (&check.metric).into(),
            (&check.expected).into(),
            (&check.measured).into(),
            result(check.result),
        ];
        if has_sources {
            cells.push((&check.source).into());
        }
        Row::new(cells)
    };
    let rows = checks.iter().map(row).collect();
    vec![
        Block::heading(2, "Expected metrics"),
        Block::Table(Table { columns, rows }),
    ]
}

fn result(result: CheckResult) -> Text {
    match result {
        CheckResult::Met => Text::new().success(result.name()),
        CheckResult::Missed => Text::new().failure(result.name()),
        CheckResult::Pending => result.name().into(),
    }
}
