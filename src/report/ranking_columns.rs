//! The columns of the ranking. The terminal, the Markdown page, the HTML page and custom templates
//! all take their columns from [`COLUMNS`].

use super::analysis::metric::Metric;
use super::analysis::ranking::{Ranking, Variant};
use super::analysis::tuning::chosen_in_words;
use super::analysis::wording;
use super::page_blocks::{Align, Column, Row, Table, Text};
use super::text_table::TextTable;
use crate::results::Outcome;
use crate::spec::CompareMetric;
use crate::text::units::{self, NO_VALUE};
use crate::text::width::display_width;
use std::collections::BTreeMap;

/// One column of the ranking.
struct RankingColumn {
    /// Name of the value in custom templates: `ranking[0].bits_per_byte`.
    name: &'static str,
    /// Heading on a page. `{baseline}` stands for the name of the baseline, and `{metric}` for the metric
    /// of the comparison.
    heading: &'static str,
    /// Heading in the terminal. `None` leaves the column out there.
    short_heading: Option<&'static str>,
    align: Align,
    cell: fn(&Entry) -> Text,
    /// The number by which the column is sorted. `None` if the text of the cell is precise enough.
    number: fn(&Entry) -> Option<f64>,
    is_shown: fn(&Ranking) -> bool,
}

/// One variant in the ranking.
struct Entry<'a> {
    variant: &'a Variant<'a>,
    /// Number of seeds of the baseline with a result.
    baseline_seeds: usize,
    entropy_bound: Option<f64>,
    metric: Metric,
}

/// A column without a heading in the terminal, which is always shown and aligned to the right.
const COLUMN: RankingColumn = RankingColumn {
    name: "",
    heading: "",
    short_heading: None,
    align: Align::Right,
    cell: |_| Text::new(),
    number: |_| None,
    is_shown: |_| true,
};

const COLUMNS: &[RankingColumn] = &[
    RankingColumn {
        name: "rank",
        heading: "#",
        short_heading: Some("#"),
        cell: rank,
        is_shown: |ranking| ranking.has_comparison(),
        ..COLUMN
    },
    RankingColumn {
        name: "variant",
        heading: "Variant",
        short_heading: Some("variant"),
        align: Align::Left,
        cell: |entry| entry.variant.name.into(),
        ..COLUMN
    },
    RankingColumn {
        name: "seeds",
        heading: "Seeds",
        short_heading: Some("seeds"),
        cell: seeds,
        ..COLUMN
    },
    RankingColumn {
        name: "val_loss",
        heading: "Validation loss (nats/token)",
        short_heading: Some("validation loss"),
        align: Align::Left,
        cell: val_loss,
        is_shown: |ranking| ranking.same_tokens(),
        ..COLUMN
    },
    RankingColumn {
        name: "train_split_loss",
        heading: "Training split loss (nats/token)",
        cell: |entry| value(entry.variant.mean_train_split_loss(), units::loss),
        is_shown: |ranking| {
            let mut variants = ranking.variants.iter();
            ranking.same_tokens() && variants.any(|v| v.mean_train_split_loss().is_some())
        },
        ..COLUMN
    },
    RankingColumn {
        name: "bits_per_byte",
        heading: "Bits per byte",
        short_heading: Some("bits/byte"),
        cell: |entry| value(entry.variant.mean_bits_per_byte(), units::loss),
        ..COLUMN
    },
    RankingColumn {
        name: "above_entropy_bound",
        heading: "Above entropy bound",
        cell: above_entropy_bound,
        is_shown: |ranking| ranking.entropy_bound().is_some(),
        ..COLUMN
    },
    RankingColumn {
        name: "metric",
        heading: "Mean {metric}",
        short_heading: Some("metric"),
        cell: |entry| {
            let mean = entry.variant.mean().map(|mean| entry.metric.value(mean));
            mean.unwrap_or(NO_VALUE.to_owned()).into()
        },
        is_shown: |ranking| {
            let kind = ranking.metric.kind;
            matches!(kind, CompareMetric::StepsToLoss | CompareMetric::TrainLoss)
        },
        ..COLUMN
    },
    RankingColumn {
        name: "difference",
        heading: "Difference to {baseline}",
        short_heading: Some("difference"),
        align: Align::Left,
        cell: difference,
        is_shown: |ranking| ranking.has_comparison(),
        ..COLUMN
    },
    RankingColumn {
        name: "verdict",
        heading: "Verdict",
        short_heading: Some("verdict"),
        align: Align::Left,
        cell: verdict,
        is_shown: |ranking| ranking.has_comparison(),
        ..COLUMN
    },
    RankingColumn {
        name: "params",
        heading: "Parameters",
        cell: |entry| units::count(entry.variant.params() as f64).into(),
        ..COLUMN
    },
    RankingColumn {
        name: "tokens_per_second",
        heading: "Tokens/s",
        short_heading: Some("tokens/s"),
        cell: |entry| mean(entry, |o| o.tokens_per_second, units::rate),
        ..COLUMN
    },
    RankingColumn {
        name: "memory",
        heading: "Memory",
        cell: |entry| mean(entry, |o| o.peak_memory_mb, units::memory),
        ..COLUMN
    },
    RankingColumn {
        name: "time",
        heading: "Time",
        short_heading: Some("time"),
        cell: |entry| mean(entry, |o| o.seconds, units::measured_duration),
        number: |entry| entry.variant.mean_of(|outcome| Some(outcome.seconds)),
        ..COLUMN
    },
];

fn value(value: Option<f64>, format: fn(f64) -> String) -> Text {
    value.map_or(NO_VALUE.to_owned(), format).into()
}

/// Mean over the runs with a result.
fn mean(entry: &Entry, of: fn(&Outcome) -> f64, format: fn(f64) -> String) -> Text {
    value(entry.variant.mean_of(|outcome| Some(of(outcome))), format)
}

fn rank(entry: &Entry) -> Text {
    let rank = entry.variant.rank;
    rank.map_or(Text::new(), |rank| rank.to_string().into())
}

/// Number of seeds with a result, and of all where some have none: `3`, `2 of 3`. `any` if the result does not
/// depend on the seed.
fn seeds(entry: &Entry) -> Text {
    let finished = entry.variant.values.len();
    match entry.variant.runs.len() {
        1 if entry.variant.is_seed_free && finished == 1 => "any".into(),
        all if all == finished => finished.to_string().into(),
        all => format!("{finished} of {all}").into(),
    }
}

/// Mean over the seeds and standard deviation.
fn val_loss(entry: &Entry) -> Text {
    let Some(mean) = entry.variant.mean_of(|o| o.val_loss) else {
        return NO_VALUE.into();
    };
    let sd = entry.variant.sd_of(|o| o.val_loss);
    let Some(sd) = sd.filter(|_| entry.variant.is_trained()) else {
        return units::loss(mean).into();
    };
    let decimals = units::decimals_to_show(&[sd], units::LOSS_DECIMALS);
    let [mean, sd] = [mean, sd].map(|value| units::fixed(value, decimals));
    format!("{mean} ± {sd}").into()
}

fn above_entropy_bound(entry: &Entry) -> Text {
    let bits = entry.variant.mean_bits_per_byte();
    let above = bits.zip(entry.entropy_bound).map(|(b, bound)| b - bound);
    value(above, units::loss)
}

/// Mean difference from the baseline, its corrected 95 % interval, and the number of seeds if it is less
/// than that of the variant, or of the baseline if the variant does not depend on the seed.
fn difference(entry: &Entry) -> Text {
    let Some(comparison) = entry.variant.comparison else {
        return NO_VALUE.into();
    };
    let difference = wording::difference(entry.metric, comparison);
    let mut text: Text = difference.mean.into();
    if let Some((low, high)) = difference.interval {
        text = text.plain(" ").interval(low, high);
    }
    let (all, noun) = match entry.variant.is_seed_free {
        true => (entry.baseline_seeds, "seed"),
        false => (entry.variant.values.len(), "pair"),
    };
    match comparison.pairs {
        _ if comparison.is_exact => text.plain(" (exact)"),
        pairs if pairs == all => text,
        pairs => text.plain(format!(" ({})", units::plural(pairs, noun))),
    }
}

fn verdict(entry: &Entry) -> Text {
    let text = Text::new();
    match wording::verdict(entry.variant) {
        verdict @ "better" => text.success(verdict),
        verdict @ "worse" => text.warning(verdict),
        verdict => text.plain(verdict),
    }
}

fn entries<'a>(ranking: &'a Ranking<'a>) -> impl Iterator<Item = Entry<'a>> {
    let entropy_bound = ranking.entropy_bound();
    let baseline_seeds = ranking.baseline().map_or(0, |v| v.values.len());
    let variants = ranking.variants.iter();
    variants.map(move |variant| Entry {
        variant,
        baseline_seeds,
        entropy_bound,
        metric: ranking.metric,
    })
}

fn shown<'a>(ranking: &'a Ranking) -> impl Iterator<Item = &'static RankingColumn> + 'a {
    COLUMNS.iter().filter(|column| (column.is_shown)(ranking))
}

/// Longest name of a baseline in a heading, in columns of text.
const MAX_COLUMNS: usize = 16;

/// How the heading of a column names the baseline. A long name would make the column wide.
pub(super) fn in_heading(baseline: &str) -> &str {
    match display_width(baseline) <= MAX_COLUMNS {
        true => baseline,
        false => "the baseline",
    }
}

/// The ranking for a page.
pub(super) fn page_table(ranking: &Ranking) -> Table {
    let metric = ranking.metric.title();
    let heading = |column: &RankingColumn| {
        let baseline = in_heading(ranking.baseline);
        let heading = column.heading.replace("{baseline}", baseline);
        match column.name {
            "difference" if !ranking.metric.is_bits_per_byte() => format!("{heading}: {metric}"),
            _ => heading.replace("{metric}", &metric),
        }
    };
    let column = |column| Column::new(heading(column), column.align);
    let row = |entry: Entry| Row {
        cells: shown(ranking).map(|c| (c.cell)(&entry)).collect(),
        values: shown(ranking).map(|c| (c.number)(&entry)).collect(),
        is_highlighted: entry.variant.is_baseline && ranking.has_comparison(),
    };
    Table {
        columns: shown(ranking).map(column).collect(),
        rows: entries(ranking).map(row).collect(),
    }
}

/// The ranking for a terminal, without the intervals, for which a terminal is too narrow. The last column has the values
/// that a search chose.
pub(super) fn terminal_table(ranking: &Ranking) -> TextTable {
    let shown = || shown(ranking).filter_map(|c| Some((c.short_heading?, c)));
    let row = |entry: Entry| {
        let cell = |(_, c): (_, &RankingColumn)| (c.cell)(&entry).without_intervals();
        shown().map(cell).collect()
    };
    let mut table = TextTable {
        headings: shown().map(|(heading, _)| heading).collect(),
        right_aligned: shown().map(|(_, c)| c.align == Align::Right).collect(),
        rows: entries(ranking).map(row).collect(),
    };
    let chosen = |variant: &Variant| chosen_in_words(variant, &ranking.tuned_paths);
    let chosen: Vec<String> = ranking.variants.iter().map(chosen).collect();
    if chosen.iter().any(|text| !text.is_empty()) {
        table.add_column("chosen by the search", chosen);
    }
    table
}

/// The values of each variant by column name, for custom templates.
pub(super) fn template_rows(ranking: &Ranking) -> Vec<BTreeMap<&'static str, String>> {
    let row = |entry: Entry| {
        let value = |c: &RankingColumn| (c.name, (c.cell)(&entry).without_intervals());
        let comparison = entry.variant.comparison;
        let interval = comparison.and_then(|c| wording::difference(entry.metric, c).interval);
        let interval = interval.map(|(low, high)| format!("[{low}, {high}]"));
        let mut row: BTreeMap<_, _> = COLUMNS.iter().map(value).collect();
        row.insert("interval", interval.unwrap_or_default());
        row
    };
    entries(ranking).map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_heading_has_no_long_name() {
        let names = ["gpt", "lr-1.0e-3+layernorm+gelu_tanh"].map(in_heading);
        assert_eq!(names, ["gpt", "the baseline"]);
    }

    #[test]
    fn column_names_and_headings_are_distinct() {
        let names: BTreeSet<_> = COLUMNS.iter().map(|column| column.name).collect();
        let headings: BTreeSet<_> = COLUMNS.iter().map(|column| column.heading).collect();
        assert_eq!(
            (names.len(), headings.len()),
            (COLUMNS.len(), COLUMNS.len())
        );
        assert!(!names.contains("") && !headings.contains(""));
    }
}
