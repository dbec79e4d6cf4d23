use super::Findings;
use crate::report::analysis::cost::{self, Cost, pareto_front, reached};
use crate::report::analysis::ranking::{Ranking, Variant};
use crate::report::page_blocks::{Block, Column, Row, Table, Text};
use crate::report::plots::Placement;
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
fn comparison(ranking: &Ranking) -> Option<[Block; 2]> {
    let baseline = ranking.baseline()?;
    if !ranking.has_comparison() || baseline.mean_bits_per_byte().is_none() {
        return None;
    }
    let of_baseline = reached(baseline, baseline).and_then(Result::ok)?;
    let row = |variant: &Variant| {
        let mut cells = vec![
            variant.name.into(),
            text(variant.mean_bits_per_byte(), units::loss),
            text(cost::flops(variant), units::count),
        ];
        cells.extend(match reached(variant, baseline) {
            None => [NO_VALUE, NO_VALUE, NO_VALUE].map(Text::from),
            Some(Err((0, _))) => ["not reached", NO_VALUE, NO_VALUE].map(Text::from),
            Some(Err((some, all))) => {
                let text = format!("reached by {some} of {all} seeds");
                [text.as_str(), NO_VALUE, NO_VALUE].map(Text::from)
            }
            Some(Ok(own)) => {
                let with_change = |value: f64, other: f64, format: fn(f64) -> String| {
                    let change = value / other - 1.0;
                    match variant.is_baseline || !change.is_finite() {
                        true => format(value),
                        false => format!("{} ({})", format(value), units::change(change)),
                    }
                };
                [
                    with_change(own.steps, of_baseline.steps, units::rounded).into(),
                    with_change(own.tokens, of_baseline.tokens, units::count).into(),
                    with_change(own.seconds, of_baseline.seconds, units::measured_duration).into(),
                ]
            }
        });
        Row {
            is_highlighted: variant.is_baseline,
            ..Row::new(cells)
        }
    };
    let to_the_loss = format!("to the final loss of {}", ranking.baseline);
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
    Some([Block::Table(table), Block::paragraph(fronts(ranking))])
}

fn text(value: Option<f64>, format: fn(f64) -> String) -> Text {
    value.map_or(NO_VALUE.to_owned(), format).into()
}

/// The variants that no other beats, for each cost.
fn fronts(ranking: &Ranking) -> String {
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
    let fronts = Cost::ALL.map(of);
    format!(
        "Variants that no other beats in both the mean loss and the cost, from the cheapest to the best: {}. Means \
         that are close can change places with other seeds.",
        fronts.join("; ")
    )
}
