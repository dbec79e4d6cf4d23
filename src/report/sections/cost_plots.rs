use super::Findings;
use crate::report::analysis::cost::{
    self, Cost, Reached, differing_costs, is_left_out, pareto_front, reached,
};
use crate::report::analysis::ranking::{Ranking, Variant};
use crate::report::analysis::wording::shortened;
use crate::report::page_blocks::{Block, Column, Row, Table, Text};
use crate::report::plots::Placement;
use crate::report::ranking_columns::in_heading;
use crate::text::units::{self, NO_VALUE};

/// What the loss costs: the plots against model size, FLOPs and training time, and when each variant reaches the loss
/// of the baseline.
pub(super) fn blocks(findings: &Findings) -> Vec<Block> {
    let mut blocks: Vec<Block> = findings.figures(Placement::Cost).collect();
    blocks.extend(comparison(findings.ranking).into_iter().flatten());
    if !blocks.is_empty() {
        blocks.insert(0, Block::heading(2, "Cost"));
    }
    blocks
}

/// A table of costs, and the variants that no other beats.
fn comparison(ranking: &Ranking) -> Option<Vec<Block>> {
    let baseline = ranking.baseline()?;
    if !ranking.has_comparison() || baseline.mean_bits_per_byte().is_none() {
        return None;
    }
    let Reached::Always {
        steps,
        tokens,
        seconds,
    } = reached(baseline, baseline)
    else {
        return None;
    };
    let of_baseline = [steps, tokens, seconds];
    let per_step = |variant: &Variant| variant.representative.tokens_per_step();
    let has_equal_batches = ranking
        .ranked()
        .all(|variant| per_step(variant) == per_step(baseline));
    let row = |variant: &Variant| {
        let mut cells = vec![
            variant.name.into(),
            text(variant.mean_bits_per_byte(), units::loss),
            text(cost::flops(variant), units::count),
        ];
        cells.extend(match reached(variant, baseline) {
            Reached::NotCompared => [NO_VALUE; 3].map(Text::from),
            Reached::Sometimes { reached: 0, .. } => {
                ["not reached", NO_VALUE, NO_VALUE].map(Text::from)
            }
            Reached::Sometimes { reached, seeds } => {
                let text = format!("reached by {reached} of {seeds} seeds");
                [text.as_str(), NO_VALUE, NO_VALUE].map(Text::from)
            }
            Reached::Always {
                steps,
                tokens,
                seconds,
            } => {
                let formats: [fn(f64) -> String; 3] =
                    [units::rounded, units::count, units::measured_duration];
                let own = [steps, tokens, seconds];
                [0, 1, 2].map(|index| {
                    let text = formats[index](own[index]);
                    let change = own[index] / of_baseline[index];
                    // The change of the tokens is then that of the steps.
                    let is_repeated = index == 1 && has_equal_batches;
                    match variant.is_baseline || is_repeated || !change.is_finite() {
                        true => text.into(),
                        false => format!("{text} ({})", units::change(change)).into(),
                    }
                })
            }
        });
        Row {
            is_highlighted: variant.is_baseline,
            ..Row::new(cells)
        }
    };
    let to_the_loss = format!("to the final loss of {}", in_heading(ranking.baseline));
    let table = Table {
        columns: vec![
            Column::left("Variant"),
            Column::right("Bits per byte"),
            Column::right("FLOPs of training"),
            Column::right(&format!("Steps {to_the_loss}")),
            Column::right(&format!("Tokens {to_the_loss}")),
            Column::right(&format!("Training time {to_the_loss}")),
        ],
        rows: ranking.ranked().map(row).collect(),
    };
    let mut blocks = vec![Block::Table(table)];
    blocks.extend(fronts(ranking).map(Block::paragraph));
    Some(blocks)
}

fn text(value: Option<f64>, format: fn(f64) -> String) -> Text {
    value.map_or(NO_VALUE.to_owned(), format).into()
}

/// The variants that no other beats, for each cost. `None` if no cost differs.
fn fronts(ranking: &Ranking) -> Option<String> {
    /// Most variants that are named.
    const MOST: usize = 8;
    let of = |cost: Cost| {
        let mut front: Vec<String> = pareto_front(ranking, cost)
            .into_iter()
            .map(str::to_owned)
            .collect();
        let more = front.len().saturating_sub(MOST);
        front.truncate(MOST);
        if more > 0 {
            front.push(format!("{more} more"));
        }
        format!("{} ({})", units::list(&front), cost.name())
    };
    let fronts: Vec<String> = differing_costs(ranking).into_iter().map(of).collect();
    if fronts.is_empty() {
        return None;
    }
    let on_same_seeds = match ranking.has_different_seeds() {
        true => {
            " Variants with different numbers of seeds are compared as in the ranking: by the mean of the baseline plus the mean difference on the seeds that both have."
        }
        false => "",
    };
    let left_out = ranking
        .ranked()
        .filter(|variant| is_left_out(ranking, variant));
    let left_out: Vec<String> = left_out.map(|variant| variant.name.to_owned()).collect();
    let left_out = match left_out.is_empty() {
        true => String::new(),
        false => format!(
            " Left out, because not every seed has a result: {}.",
            shortened(left_out)
        ),
    };
    Some(format!(
        "Variants that no other beats in both the mean loss and the cost, from the cheapest to the best: {}.{on_same_seeds}{left_out} \
         Means that are close can change places with other seeds.",
        fronts.join("; ")
    ))
}

#[cfg(test)]
mod tests {
    use crate::report::testing::Folder;

    #[test]
    fn the_loss_of_the_baseline_is_reached_sooner_later_or_never() {
        let folder = Folder::new("cost");
        for seed in [1, 2] {
            let curves: [(&str, &[(u64, f64)]); 3] = [
                ("gpt", &[(0, 3.0), (250, 2.0), (500, 1.5)]),
                ("fast", &[(0, 3.0), (250, 1.0), (500, 0.9)]),
                ("slow", &[(0, 3.0), (250, 2.5), (500, 2.0)]),
            ];
            for (params, (name, curve)) in (1000..).zip(curves) {
                let run = folder.run(name, seed).params(params);
                run.evaluations(curve).done();
            }
        }
        folder.write();
        let page = folder.read("report.md");
        let cells = |variant: &str| -> Vec<&str> {
            let table = page.split("## Cost").nth(1).unwrap();
            let row = table
                .lines()
                .find(|line| line.starts_with(&format!("| {variant} |")));
            row.unwrap().split(" | ").collect()
        };
        // From 3.0 to 1.0 in 250 steps, 1.5 is reached after three quarters of them.
        assert_eq!(cells("fast")[3], "188 (−62 %)");
        assert_eq!(cells("gpt")[3], "500");
        assert_eq!(cells("slow")[3], "not reached");
        let fronts = page
            .lines()
            .find(|line| line.starts_with("Variants that no other beats"));
        let fronts = fronts.unwrap();
        assert!(fronts.contains("gpt and fast (parameters)"), "{fronts}");
        // All have as many tokens.
        assert!(!fronts.contains("tokens"), "{fronts}");
    }
}
