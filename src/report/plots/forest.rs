use super::axis::Axis;
use super::canvas::{BODY, Canvas, Error, Frame, SMALL, WIDTH, svg, text_width};
use super::labels::shorten;
use super::palette::{GRID, INK, MUTED};
use super::{Drawing, Drawn};
use crate::report::analysis::ranking::{Ranking, Variant};
use crate::report::analysis::wording;
use crate::stats::{Comparison, ConfidenceInterval, Verdict};
use crate::text::units;
use plotters::style::RGBColor;
use plotters::style::text_anchor::HPos;

const ROW: i32 = 58;
const TOP: i32 = 100;
const BELOW: i32 = 130;
const BETTER: RGBColor = RGBColor(0x00, 0x72, 0xb2);
const WORSE: RGBColor = RGBColor(0xd5, 0x5e, 0x00);
/// A row that reaches this many times further than the previous one is cut off, because it would
/// leave too little room for all other rows.
const FAR: f64 = 4.0;

/// The differences from the baseline with their intervals, best first.
pub(super) fn difference(ranking: &Ranking) -> Drawn {
    let rows: Vec<(&Variant, &Comparison)> = ranking
        .ranked()
        .filter_map(|variant| Some((variant, variant.comparison.as_ref()?)))
        .collect();
    let reach = scale(rows.iter().map(|(_, comparison)| *comparison).collect())?;
    let shown = rows
        .iter()
        .flat_map(|(variant, comparison)| ends(variant, comparison));
    let shown = shown.filter(|end| end.abs() <= reach).chain([0.0]);
    let widest = |texts: &mut dyn Iterator<Item = i32>| texts.max().unwrap_or(0);
    let names = widest(&mut rows.iter().map(|(v, _)| text_width(&shorten(v.name), BODY)));
    let numbers = widest(&mut rows.iter().map(|(v, c)| text_width(&label(v, c), SMALL)));
    let bottom = TOP + rows.len() as i32 * ROW;
    let (left, right) = (60 + names, WIDTH - 50 - numbers);
    let frame = Frame {
        left,
        right,
        top: TOP,
        bottom,
        x: Axis::linear(shown)?.with_steps(f64::from((right - left) / 150).clamp(2.0, 6.0)),
        y: Axis::linear([0.0])?,
    };
    let title = format!(
        "Difference from {} (bits per byte)",
        shorten(ranking.baseline)
    );
    let svg = svg(&title, bottom + BELOW, |canvas| {
        scaffold(canvas, &frame)?;
        for (index, (variant, comparison)) in rows.iter().enumerate() {
            let y = TOP + index as i32 * ROW + ROW / 2;
            row(canvas, &frame, y, variant, comparison)?;
        }
        Ok(())
    });
    let lines = line_captions(ranking);
    let finish = |svg| Drawing {
        title: title.to_owned(),
        caption: format!(
            "Paired differences, one row per variant. Each dot is one seed, and the square is the mean.{lines}"
        ),
        svg,
    };
    Some(svg.map(finish))
}

/// What the lines of a row mean.
fn line_captions(ranking: &Ranking) -> String {
    if ranking.corrected_comparisons() == 0 {
        return String::new();
    }
    let correction = wording::correction(ranking);
    let correction = correction.trim_start_matches(',');
    let (mut text, line) = if ranking.sequential.is_some() || correction.is_empty() {
        (
            format!(" The line is the 95 % interval of the mean{correction}."),
            "line",
        )
    } else {
        let text = format!(
            " The thick line is the 95 % interval of the mean. The thin line is the interval{correction}."
        );
        (text, "thin line")
    };
    if ranking.margin.is_none() {
        text += &format!(" If the {line} crosses 0, the result is inconclusive.");
    }
    text
}

/// Largest distance from 0 that the axis must contain. Rows that reach much further than the others
/// end in an arrow.
fn scale(comparisons: Vec<&Comparison>) -> Option<f64> {
    let mut reaches: Vec<f64> = comparisons
        .iter()
        .map(|c| {
            c.interval
                .map_or(c.mean.abs(), |i| i.low.abs().max(i.high.abs()))
        })
        .collect();
    reaches.sort_by(f64::total_cmp);
    let widest = |comparison: &Comparison| {
        let interval = comparison.corrected.unwrap_or(ConfidenceInterval {
            low: comparison.mean,
            high: comparison.mean,
        });
        interval.low.abs().max(interval.high.abs())
    };
    // At most half of the rows are cut off; otherwise the plot would hide most of its data.
    let half = reaches.len() / 2;
    let gap = (half..reaches.len().saturating_sub(1))
        .find(|&index| reaches[index] > 0.0 && reaches[index + 1] > FAR * reaches[index]);
    let Some(gap) = gap else {
        return comparisons.into_iter().map(widest).reduce(f64::max);
    };
    let near = comparisons.iter().filter(|c| c.mean.abs() <= reaches[gap]);
    // The corrected interval of another row may also reach far, and is then cut off as well.
    near.map(|c| widest(c).min(2.5 * reaches[gap]))
        .reduce(f64::max)
}

/// The positions of everything that a row draws.
fn ends<'a>(variant: &'a Variant, comparison: &'a Comparison) -> impl Iterator<Item = f64> + 'a {
    let intervals = [comparison.interval, comparison.corrected]
        .into_iter()
        .flatten();
    let seeds = variant
        .differences
        .iter()
        .map(|(_, difference)| *difference);
    intervals
        .flat_map(|i| [i.low, i.high])
        .chain(seeds)
        .chain([comparison.mean])
}

/// Mean difference, interval and verdict.
fn label(variant: &Variant, comparison: &Comparison) -> String {
    let interval = wording::interval_ends(comparison);
    let interval = interval.map_or(String::new(), |(low, high)| format!(" [{low}, {high}]"));
    let verdict = wording::verdict(variant);
    format!("{}{interval} {verdict}", units::difference(comparison.mean))
}

fn scaffold(canvas: &Canvas, frame: &Frame) -> Result<(), Error> {
    let decimals = frame.x.decimals();
    for &tick in &frame.x.ticks {
        let x = frame.x(tick);
        canvas.line(vec![(x, frame.top), (x, frame.bottom)], GRID, 2)?;
        let text = match tick.abs() < 1e-12 {
            true => "0".to_owned(),
            false => format!("{tick:+.decimals$}").replace('-', "−"),
        };
        canvas.text(&text, (x, frame.bottom + 30), HPos::Center, SMALL, MUTED)?;
    }
    let zero = frame.x(0.0);
    canvas.line(vec![(zero, frame.top), (zero, frame.bottom)], INK, 3)?;
    let y = frame.bottom + 76;
    canvas.text("← better", (frame.left, y), HPos::Left, SMALL, MUTED)?;
    canvas.text("worse →", (frame.right, y), HPos::Right, SMALL, MUTED)
}

fn row(
    canvas: &Canvas,
    frame: &Frame,
    y: i32,
    variant: &Variant,
    comparison: &Comparison,
) -> Result<(), Error> {
    let color = match comparison.verdict {
        Verdict::Better => BETTER,
        Verdict::Worse => WORSE,
        Verdict::Equivalent | Verdict::Inconclusive => MUTED,
    };
    canvas.text(&shorten(variant.name), (36, y), HPos::Left, BODY, INK)?;
    let numbers = label(variant, comparison);
    canvas.text(&numbers, (frame.right + 24, y), HPos::Left, SMALL, MUTED)?;
    for (interval, width) in [(comparison.corrected, 3), (comparison.interval, 9)] {
        if let Some(interval) = interval {
            whisker(canvas, frame, y, interval, color, width)?;
        }
    }
    let inside = |x: i32| (frame.left..=frame.right).contains(&x);
    for (_, difference) in &variant.differences {
        let x = frame.x(*difference);
        if inside(x) {
            canvas.dot((x, y - 16), 5, color, 0.55)?;
        }
    }
    let mean = frame.x(comparison.mean);
    if inside(mean) {
        return canvas.square((mean, y), 10, color);
    }
    arrow(canvas, frame, y, mean > frame.right, color)
}

/// A horizontal line over an interval, cut at the edges of the frame with an arrow.
fn whisker(
    canvas: &Canvas,
    frame: &Frame,
    y: i32,
    interval: ConfidenceInterval,
    color: RGBColor,
    width: u32,
) -> Result<(), Error> {
    let (low, high) = (frame.x(interval.low), frame.x(interval.high));
    if high < frame.left || low > frame.right {
        return Ok(());
    }
    let ends = vec![(low.max(frame.left), y), (high.min(frame.right), y)];
    canvas.line(ends, color, width)?;
    if low < frame.left {
        arrow(canvas, frame, y, false, color)?;
    }
    if high > frame.right {
        arrow(canvas, frame, y, true, color)?;
    }
    Ok(())
}

/// An arrow at the edge, for what continues beyond it.
fn arrow(
    canvas: &Canvas,
    frame: &Frame,
    y: i32,
    right: bool,
    color: RGBColor,
) -> Result<(), Error> {
    let (edge, inwards) = if right {
        (frame.right, -20)
    } else {
        (frame.left, 20)
    };
    let tip = vec![
        (edge, y),
        (edge + inwards, y - 12),
        (edge + inwards, y + 12),
    ];
    canvas.shape(tip, color, 1.0)
}
