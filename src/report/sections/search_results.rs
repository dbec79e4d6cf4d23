use super::Findings;
use crate::report::analysis::tuning::{Beyond, TunedVariant, Tuning, run_of, values};
use crate::report::page_blocks::{Align, Block, Column, Row, Table, Text};
use crate::report::plots::Placement;
use crate::report::ranking_columns::in_heading;
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
        blocks.extend(trainings(findings, tuning).map(Block::Table));
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
    let combinations = match tuning.chosen {
        None => format!("each of {} combinations", tuning.combinations),
        Some(chosen) => format!("{chosen} of {} combinations", tuning.combinations),
    };
    let paths = tuning.paths_in_words();
    let seeds = units::plural(tuning.seeds as usize, "seed");
    let search = match tuning.has_comparison {
        true => format!(
            "Every variant was trained with {combinations} of {paths}, with {seeds} that the comparison does not use. Each variant is then trained with its best values and compared with the baseline."
        ),
        false => format!(
            "The model was trained with {combinations} of {paths}, with {seeds} that its other runs do not use. It is then trained with the best of these values."
        ),
    };
    let halving = halving(tuning);
    let chosen = match tuning.chosen {
        None => "",
        Some(_) => {
            " The combinations were chosen by tree-structured Parzen estimators: after the first ones, those that look most like the best \
             ones so far, for each variant by its own results."
        }
    };
    format!(
        "{search}{halving}{chosen} The search has {} and took {}{share}.",
        units::plural(tuning.runs, "run"),
        units::duration(tuning.seconds),
    )
}

/// How many combinations are trained for how long. Empty without halving.
fn halving(tuning: &Tuning) -> String {
    let one = |(steps, combinations): &(u64, usize)| {
        format!(
            "{} with {} steps",
            units::plural(*combinations, "combination"),
            units::exact(*steps)
        )
    };
    match &tuning.halving[..] {
        [] => String::new(),
        all => format!(
            " The search is by successive halving: {}, and the best of them with all steps. A combination that ends early \
             has no result and enters no mean.",
            units::list(&all.iter().map(one).collect::<Vec<_>>())
        ),
    }
}

fn table(findings: &Findings, tuning: &Tuning) -> Table {
    let metric = findings.ranking.metric;
    let baseline = in_heading(findings.ranking.baseline);
    let best = tuning.paths.iter().map(|path| format!("Best {path}"));
    let mut columns = vec![Column::left("Variant")];
    columns.extend(best.map(|heading| Column::new(heading, Align::Right)));
    let heading = format!("In the search: {}", metric.title());
    columns.push(Column::new(heading, Align::Right));
    let has_shared = has_shared(tuning);
    if tuning.has_comparison {
        let kinds = [has_shared.then_some("shared"), Some("own")];
        for values in kinds.into_iter().flatten() {
            let heading = format!("Difference to {baseline} in the search, {values} values");
            columns.push(Column::new(heading, Align::Right));
        }
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
            cells.extend(has_shared.then(|| difference(tuned.shared_difference)));
            cells.push(difference(tuned.own_difference));
        }
        Row::new(cells)
    };
    Table {
        columns,
        rows: tuning.variants.iter().map(row).collect(),
    }
}

/// Most rows of the table of a search by halving.
const MOST_TRAININGS: usize = 60;

/// How far halving trained each value of a single setting, and the result there. With several settings, the section about
/// the settings shows the combinations.
fn trainings(findings: &Findings, tuning: &Tuning) -> Option<Table> {
    let metric = findings.ranking.metric;
    if tuning.halving.is_empty() || tuning.paths.len() != 1 {
        return None;
    }
    let mut rows = Vec::new();
    for variant in &findings.ranking.variants {
        let Some((search, runs)) = &variant.search else {
            continue;
        };
        for reached in &search.reached {
            let run = run_of(runs, reached.combination)?;
            let steps = match tuning.halving.get(reached.rung) {
                Some((steps, _)) => units::exact(*steps),
                None => "all".to_owned(),
            };
            let mut cells = vec![Text::from(variant.name)];
            cells.extend(values(run, &tuning.paths).iter().map(Text::from));
            cells.push(steps.into());
            let mean = reached.mean;
            cells.push(
                mean.map_or(NO_VALUE.to_owned(), |mean| metric.value(mean))
                    .into(),
            );
            rows.push(Row::new(cells));
        }
    }
    let columns = vec![
        Column::left("Variant"),
        Column::right(tuning.paths[0]),
        Column::right("Steps"),
        Column::new(format!("Then: {}", metric.title()), Align::Right),
    ];
    (1..=MOST_TRAININGS)
        .contains(&rows.len())
        .then_some(Table { columns, rows })
}

/// Whether a variant was trained with the best values of the baseline. Searches that choose their combinations at
/// random or by results can have no combination in common.
fn has_shared(tuning: &Tuning) -> bool {
    let mut variants = tuning.variants.iter();
    variants.any(|tuned| tuned.shared_difference.is_some())
}

fn explanation(tuning: &Tuning) -> String {
    let seeds = units::plural(tuning.seeds as usize, "seed");
    match &tuning.of_baseline {
        Some(_) if !has_shared(tuning) => format!(
            "Each variant has its best values. No other variant was trained with the best values of the baseline in the search. The differences are those of {seeds}, and they are not tested. The verdicts are those of the ranking, with other seeds."
        ),
        Some(values) => format!(
            "With shared values, all variants have the best {} of the baseline ({}). With own values, each variant has its best values. These differences are those of {seeds}, and they are not tested. Those with shared values favor the baseline. The verdicts are those of the ranking, with other seeds.",
            tuning.paths_in_words(),
            units::list(values),
        ),
        None => {
            "The search of the baseline has no result, so nothing is compared with it.".to_owned()
        }
    }
}

/// Best values at the end of the values that were tried, where values beyond them hardly matter.
fn edges_without_effect(tuning: &Tuning) -> Option<String> {
    let sentences = |beyond: Beyond, consequence: &str| -> Vec<String> {
        let edges = tuning.edges(beyond).into_iter();
        edges
            .map(|(edge, names)| format!("{} {consequence}", edge.sentence(&names)))
            .collect()
    };
    let all = [
        sentences(
            Beyond::Little,
            "The last step to this value gained at most the margin, so values beyond it probably change the result by less.",
        ),
        sentences(
            Beyond::NotTheVerdict,
            "The variant is so far from the baseline that values beyond it would hardly change the verdict.",
        ),
    ]
    .concat();
    (!all.is_empty()).then(|| all.join(" "))
}
