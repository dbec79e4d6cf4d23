//! The differences from the baseline as lines of text, for a comment, which cannot show a file.

use super::axis::Axis;
use super::difference_range::{Reach, range};
use super::forest;
use super::legend::Legend;
use crate::report::analysis::ranking::{Ranking, Variant};
use crate::report::analysis::wording;
use crate::stats::Comparison;
use crate::text::width::{display_width, pad};

/// Columns of the drawing.
const COLUMNS: usize = 45;

/// A drawing and what its marks mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::report) struct TextForest {
    pub(in crate::report) text: String,
    pub(in crate::report) caption: String,
}

/// The differences of the best variants, one line for each of at most `most`. `None` without a difference.
pub(in crate::report) fn text_forest(ranking: &Ranking, most: usize) -> Option<TextForest> {
    let rows: Vec<(&Variant, &Comparison)> = forest::compared(ranking).take(most).collect();
    let (low, high) = range(rows.iter().map(|(v, c)| Reach::of(v, c)).collect())?;
    let margin = ranking
        .absolute_margin
        .filter(|margin| *margin <= high.max(-low));
    let margins = margin.into_iter().flat_map(|margin| [-margin, margin]);
    let ends = rows.iter().flat_map(|(_, comparison)| {
        let interval = comparison.corrected.map(|i| [i.low, i.high]);
        interval.into_iter().flatten().chain([comparison.mean])
    });
    let shown = ends.map(|end| end.clamp(low, high));
    let axis = Axis::linear(shown.chain(margins.clone()).chain([0.0]))?;
    let background: Vec<(usize, char)> = margins
        .map(|margin| (column(&axis, margin), '┊'))
        .chain([(column(&axis, 0.0), '│')])
        .collect();
    let legend = Legend::new(ranking);
    let names = || rows.iter().map(|(variant, _)| legend.name(variant.name));
    let widest = names().map(display_width).max()?;
    let lines = rows
        .iter()
        .zip(names())
        .map(|((variant, comparison), name)| {
            let drawn = draw(&axis, &background, comparison);
            let numbers = forest::label(ranking, variant, comparison);
            format!("{}  {drawn}  {numbers}", pad(name, widest))
        });
    let lines: Vec<String> = lines.collect();
    let text = lines.join("\n");
    Some(TextForest {
        caption: caption(ranking, margin.is_some(), text.contains(['◄', '►'])),
        text,
    })
}

/// The column of a value. What lies outside of the axis is at its end.
fn column(axis: &Axis, value: f64) -> usize {
    (axis.share(value).clamp(0.0, 1.0) * (COLUMNS - 1) as f64).round() as usize
}

fn draw(axis: &Axis, background: &[(usize, char)], comparison: &Comparison) -> String {
    let mut cells = [' '; COLUMNS];
    for &(column, mark) in background {
        cells[column] = mark;
    }
    if let Some(interval) = comparison.corrected {
        let (low, high) = (column(axis, interval.low), column(axis, interval.high));
        cells[low..=high.max(low)].fill('─');
        cells[low] = if axis.share(interval.low) < 0.0 {
            '◄'
        } else {
            '├'
        };
        cells[high] = if axis.share(interval.high) > 1.0 {
            '►'
        } else {
            '┤'
        };
    }
    let share = axis.share(comparison.mean);
    cells[column(axis, comparison.mean)] = match share {
        share if share < 0.0 => '◄',
        share if share > 1.0 => '►',
        _ => '●',
    };
    cells.iter().collect()
}

fn caption(ranking: &Ranking, has_margin: bool, has_arrow: bool) -> String {
    let direction = match ranking.metric.kind.is_better_higher() {
        true => "higher",
        false => "lower",
    };
    let title = ranking.metric.title();
    let mut caption = format!(
        "Difference from {} ({title}, {direction} is better), paired by seed. ● is the mean",
        ranking.baseline
    );
    if ranking.corrected_comparisons() > 0 {
        caption += ", ├─┤ its 95 % interval";
        let correction = wording::correction(ranking);
        if let Some(correction) = correction.strip_prefix(", ") {
            caption += &format!(" ({correction})");
        }
    }
    caption += ", │ no difference";
    if has_margin {
        caption += ", ┊ the margin";
    }
    if has_arrow {
        caption += ", ◄ and ► point to what lies outside";
    }
    caption + "."
}
