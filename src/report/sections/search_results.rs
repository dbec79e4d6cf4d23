use super::Findings;
use crate::report::analysis::tuning::{TunedVariant, Tuning};
use crate::report::analysis::wording;
use crate::report::page_blocks::{Align, Block, Column, Row, Table, Text};
use crate::report::plots::Placement;
use crate::text::units::{self, NO_VALUE};

/// The search for the best settings of each variant: what it tried, what it found, and what it cost.
pub(super) fn blocks(findings: &Findings) -> Vec<Block> {
    let Some(tuning) = findings.tuning else {
        return Vec::new();
    };
    let mut blocks = vec![
        Block::heading(2, "Tuning"),
        Block::paragraph(introduction(tuning)),
    ];
    if !tuning.variants.is_empty() {
        blocks.push(Block::Table(table(findings, tuning)));
        if tuning.has_comparison {
            blocks.push(Block::paragraph(explanation(tuning)));
        }
        blocks.extend(edges_without_effect(tuning).map(Block::paragraph));
    }
    blocks.extend(findings.figures(Placement::Tuning));
    blocks
}

fn introduction(tuning: &Tuning) -> String {
    let share = match tuning.all_seconds > 0.0 {
        true => format!(
            ", {} of the time of all runs",
            units::share(tuning.seconds / tuning.all_seconds)
        ),
        false => String::new(),
    };
    let combinations = tuning.combinations;
    let paths = tuning.paths_in_words();
    let seeds = units::plural(tuning.seeds as usize, "seed");
    let search = match tuning.has_comparison {
        true => format!(
            "Every variant was trained with each of {combinations} combinations of {paths}, with {seeds} that the comparison does not use. Each variant is then trained with its best values and compared with the baseline."
        ),
        false => format!(
            "The model was trained with each of {combinations} combinations of {paths}, with {seeds} that its other runs do not use. It is then trained with the best of these values."
        ),
    };
    format!(
        "{search} The search has {} and took {}{share}.",
        units::plural(tuning.runs, "run"),
        units::duration(tuning.seconds),
    )
}

fn table(findings: &Findings, tuning: &Tuning) -> Table {
    let metric = findings.ranking.metric;
    let baseline = findings.ranking.baseline;
    let best = tuning.paths.iter().map(|path| format!("Best {path}"));
    let mut columns = vec![Column::left("Variant")];
    columns.extend(best.map(|heading| Column::new(heading, Align::Right)));
    let heading = format!("In the search: {}", metric.title());
    columns.push(Column::new(heading, Align::Right));
    if tuning.has_comparison {
        for values in ["shared", "own"] {
            let heading = format!("Difference to {baseline}, {values} values");
            columns.push(Column::new(heading, Align::Right));
        }
        columns.push(Column::left("Verdict"));
    }
    let difference = |value: Option<f64>| -> Text {
        value
            .map_or(NO_VALUE.to_owned(), |value| metric.difference(value))
            .into()
    };
    let row = |tuned: &TunedVariant| {
        let mut cells = vec![Text::from(tuned.variant.name)];
        cells.extend(tuned.best.iter().map(Text::from));
        cells.push(metric.value(tuned.mean).into());
        if tuning.has_comparison {
            cells.push(difference(tuned.shared_difference));
            cells.push(difference(tuned.variant.comparison.map(|c| c.mean)));
            cells.push(wording::verdict(tuned.variant).into());
        }
        Row::new(cells)
    };
    Table {
        columns,
        rows: tuning.variants.iter().map(row).collect(),
    }
}

fn explanation(tuning: &Tuning) -> String {
    let seeds = units::plural(tuning.seeds as usize, "seed");
    let shared = match &tuning.of_baseline {
        Some(values) => format!(
            "With shared values, all variants have the best {} of the baseline ({}), and the difference is that of {seeds} of the search. This difference is not tested, and it favors the baseline, whose values were chosen by the same runs.",
            tuning.paths_in_words(),
            units::list(values),
        ),
        None => {
            "The search of the baseline has no result, so nothing is compared with it.".to_owned()
        }
    };
    format!(
        "{shared} With own values, each variant has its best values, and the difference and the verdict are those of the ranking."
    )
}

/// Best values at the end of the values that were tried, where values beyond them hardly matter.
fn edges_without_effect(tuning: &Tuning) -> Option<String> {
    let edges = tuning.edges(false);
    let sentences = edges.iter().map(|(edge, names)| edge.sentence(names));
    let sentences: Vec<String> = sentences.collect();
    (!sentences.is_empty()).then(|| {
        format!(
            "{} The last step to this value gained less than the margin, or less than a tenth of the difference of a variant that is worse. Values beyond it would therefore hardly change a verdict.",
            sentences.join(" ")
        )
    })
}
