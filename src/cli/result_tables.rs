use super::Exit;
use crate::report::{CheckResult, ClaimResult, MetricCheck, Summary, TestedClaim, TextTable};
use crate::text::escape::visible;
use crate::text::units;
use comfy_table::{CellAlignment, Table, presets};

/// The answer, the tables, the cautions and the path of a report, for a terminal.
pub(super) fn render(summary: &Summary) -> String {
    let mut text = String::from("\n");
    for sentence in &summary.answer {
        text += &format!("{sentence}\n");
    }
    if !summary.ranking.rows.is_empty() {
        text += &format!("\n{}\n", layout(&summary.ranking));
    }
    if !summary.claims.is_empty() {
        text += &format!("\n{}\n", claims(&summary.claims));
    }
    if !summary.checks.is_empty() {
        text += &format!("\n{}\n", checks(&summary.checks));
    }
    for caution in &summary.cautions {
        text += &format!("\nnote: {caution}");
    }
    text += &format!("\nreport: {}\n", summary.markdown.display());
    text
}

/// The exit code of a command that succeeds unless a check is missed or a claim does not hold, and one line
/// that says why it does not succeed.
pub(super) fn exit(checks: &[MetricCheck], claims: &[TestedClaim]) -> (Exit, Option<String>) {
    let count = |result: &dyn Fn(&TestedClaim) -> bool| claims.iter().filter(|c| result(c)).count();
    let failed = count(&|claim| claim.result == ClaimResult::Fails);
    let open = count(&|claim| claim.result == ClaimResult::Open && !claim.waits_for_runs);
    let missed = checks
        .iter()
        .filter(|check| check.result == CheckResult::Missed);
    let missed = of_all(
        missed.count(),
        checks.len(),
        "expected value",
        ["was", "were"],
    );
    let exit = match (&missed, failed, open) {
        (None, 0, 0) => return (Exit::Success, None),
        (None, 0, _) => Exit::Undecided,
        _ => Exit::Missed,
    };
    let reasons = [
        missed.map(|missed| missed + " missed"),
        of_all(failed, claims.len(), "claim", ["fails", "fail"]),
        of_all(open, claims.len(), "claim", ["is open", "are open"]),
    ];
    let reasons: Vec<String> = reasons.into_iter().flatten().collect();
    let reason = format!("{} (exit code {})", reasons.join(", "), exit as u8);
    (exit, Some(reason))
}

/// `1 of 3 claims fails`, or nothing for 0.
fn of_all(some: usize, all: usize, what: &str, [one, several]: [&str; 2]) -> Option<String> {
    let verb = if some == 1 { one } else { several };
    (some > 0).then(|| format!("{some} of {} {verb}", units::plural(all, what)))
}

/// The claims of the experiment with their results.
fn claims(claims: &[TestedClaim]) -> String {
    let row = |claim: &TestedClaim| {
        vec![
            claim.claim.clone(),
            claim.difference.clone(),
            claim.statistic.clone(),
            claim.p.clone(),
            claim.result.name().to_owned(),
        ]
    };
    layout(&TextTable {
        headings: vec!["claim", "difference", "statistic", "p", "result"],
        right_aligned: vec![false, true, true, true, false],
        rows: claims.iter().map(row).collect(),
    })
}

/// The metrics that the experiment expects.
pub(super) fn checks(checks: &[MetricCheck]) -> String {
    let row = |check: &MetricCheck| {
        vec![
            check.variant.clone(),
            check.metric.clone(),
            check.expected.clone(),
            check.measured.clone(),
            check.result.name().to_owned(),
        ]
    };
    layout(&TextTable {
        headings: vec!["variant", "metric", "expected", "measured", "result"],
        right_aligned: vec![false, false, true, true, false],
        rows: checks.iter().map(row).collect(),
    })
}

/// Lays out a table. Invisible characters are made visible first, because they change the width of a
/// cell.
fn layout(contents: &TextTable) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_header(&contents.headings);
    for row in &contents.rows {
        table.add_row(row.iter().map(|cell| visible(cell)));
    }
    for (column, right) in table.column_iter_mut().zip(&contents.right_aligned) {
        if *right {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}
