//! The rows of a table of runs that compare a variant.

use crate::report::recorded_summary::SummaryRow;
use crate::spec::CompareMetric;

/// The names of the variants, in the order of the table.
pub(super) fn variants(rows: &[SummaryRow]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for row in rows.iter().filter(|row| row.is_compared) {
        let name = row.variant.as_str();
        if names.last() != Some(&name) && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// The rows of a variant, without those of a search and of smaller sizes.
pub(super) fn rows_of<'a>(
    rows: &'a [SummaryRow],
    variant: &str,
) -> impl Iterator<Item = &'a SummaryRow> {
    rows.iter()
        .filter(move |row| row.is_compared && row.variant == variant)
}

/// (seed, value) of the finished runs of a variant with a finite value.
pub(super) fn values(rows: &[SummaryRow], variant: &str, metric: CompareMetric) -> Vec<(u64, f64)> {
    let value = |row: &SummaryRow| Some((row.seed?, row.result(metric)?));
    rows_of(rows, variant).filter_map(value).collect()
}

/// Whether the values of a variant are the same with every seed. False without a row.
pub(super) fn are_seed_free(rows: &[SummaryRow], variant: &str, metric: CompareMetric) -> bool {
    let mut of_variant = rows_of(rows, variant).peekable();
    of_variant.peek().is_some() && of_variant.all(|row| row.is_seed_free(metric))
}
