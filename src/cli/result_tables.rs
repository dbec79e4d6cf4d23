use super::Exit;
use crate::report::{Expected, Row, Summary, Verdict};
use comfy_table::{CellAlignment, Table, presets};

/// The answer, the ranking and the place of the report, for a terminal.
pub(super) fn render(summary: &Summary) -> String {
    let mut text = String::from("\n");
    for sentence in &summary.answer {
        text += &format!("{sentence}\n");
    }
    if !summary.ranking.is_empty() {
        text += &format!("\n{}\n", table(&summary.ranking));
    }
    if !summary.expected.is_empty() {
        text += &format!("\n{}\n", expected(&summary.expected));
    }
    for caution in &summary.cautions {
        text += &format!("\nnote: {caution}");
    }
    text += &format!("\nreport: {}\n", summary.markdown.display());
    text
}

/// How a command ends that has nothing else to say but whether the figures are met.
pub(super) fn exit(expected: &[Expected]) -> Exit {
    match expected.iter().any(|e| e.verdict == Verdict::Missed) {
        true => Exit::Missed,
        false => Exit::Success,
    }
}

/// The figures that the experiment expects.
pub(super) fn expected(figures: &[Expected]) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_header(["variant", "figure", "expected", "measured", ""]);
    for figure in figures {
        table.add_row([
            &figure.variant,
            &figure.what,
            &figure.expected,
            &figure.measured,
            figure.verdict.name(),
        ]);
    }
    for column in [2, 3] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

/// The ranking, without the columns that have nothing in them.
fn table(ranking: &[Row]) -> String {
    type Column = (&'static str, fn(&Row) -> &str);
    let columns: [Column; 9] = [
        ("", |row| &row.rank),
        ("variant", |row| &row.variant),
        ("seeds", |row| &row.seeds),
        ("validation loss", |row| &row.val_loss),
        ("bits/byte", |row| &row.bits_per_byte),
        ("to baseline", |row| &row.difference),
        ("verdict", |row| &row.verdict),
        ("tokens/s", |row| &row.tokens_per_second),
        ("time", |row| &row.time),
    ];
    let filled = |(_, cell): &&Column| ranking.iter().any(|row| !cell(row).is_empty());
    let columns: Vec<&Column> = columns.iter().filter(filled).collect();
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_header(columns.iter().map(|(name, _)| *name));
    for row in ranking {
        table.add_row(columns.iter().map(|(_, cell)| cell(row)));
    }
    for (column, (name, _)) in table.column_iter_mut().zip(&columns) {
        if !["variant", "verdict"].contains(name) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}
