use super::axis::Axis;
use super::canvas::{BODY, Canvas, Error, Frame, SMALL, WIDTH, svg, text_width};
use super::labels::shorten;
use super::palette::{GRID, INK, MUTED, REFERENCE};
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
const EQUIVALENT: RGBColor = RGBColor(0x00, 0x9e, 0x73);
/// A row that reaches this many times further than the previous one is cut off, because it would
/// leave too little room for all other rows.
const FAR: f64 = 4.0;

/// The differences from the baseline with their intervals, best first.
pub(super) fn difference(ranking: &Ranking) -> Drawn {
    let rows: Vec<(&Variant, &Comparison)> = ranking
        .ranked()
        .filter_map(|variant| Some((variant, variant.comparison?)))
        .filter(|(_, comparison)| comparison.mean.is_finite())
        .collect();
    let reach = scale(rows.iter().map(|(_, comparison)| *comparison).collect())?;
    let shown = rows
        .iter()
        .flat_map(|(variant, comparison)| ends(variant, comparison));
    let shown = shown.filter(|end| end.abs() <= reach).chain([0.0]);
    let limits = Limits::of(ranking, reach);
    let shown = shown.chain(limits.margin.iter().flat_map(|margin| [-margin, *margin]));
    let widest = |texts: &mut dyn Iterator<Item = i32>| texts.max().unwrap_or(0);
    let names = widest(&mut rows.iter().map(|(v, _)| text_width(&shorten(v.name), BODY)));
    let numbers = widest(
        &mut rows
            .iter()
            .map(|(v, c)| text_width(&label(ranking, v, c), SMALL)),
    );
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
    let title = match ranking.metric.is_bits_per_byte() {
        true => format!(
            "Difference from {} (bits per byte)",
            shorten(ranking.baseline)
        ),
        false => format!(
            "Difference from {}: {}",
            shorten(ranking.baseline),
            ranking.metric.title()
        ),
    };
    let svg = svg(&title, bottom + BELOW, |canvas| {
        limits.draw(canvas, &frame)?;
        scaffold(canvas, &frame, ranking.metric.kind.is_better_higher())?;
        for (index, (variant, comparison)) in rows.iter().enumerate() {
            let y = TOP + index as i32 * ROW + ROW / 2;
            let numbers = label(ranking, variant, comparison);
            row(canvas, &frame, y, (variant, comparison), &numbers)?;
        }
        Ok(())
    });
    let is_beyond = |(variant, comparison): &(&Variant, &Comparison)| {
        ends(variant, comparison).any(|end| end.abs() > reach)
    };
    let beyond = match rows.iter().any(is_beyond) {
        true => " A triangle points to what lies outside of the plot.",
        false => "",
    };
    let lines = format!("{}{}{beyond}", line_captions(ranking), limits.caption());
    let finish = |svg| Drawing {
        title: title.to_owned(),
        caption: format!(
            "Paired differences, one row per variant. Each dot is one seed, and the square is the mean.{lines}"
        ),
        svg,
    };
    Some(svg.map(finish))
}

/// Differences that do not matter.
struct Limits {
    /// The smallest difference that matters, if it lies within the plot.
    margin: Option<f64>,
    /// Standard deviation of the baseline over its seeds.
    noise: Option<f64>,
}

impl Limits {
    fn of(ranking: &Ranking, reach: f64) -> Self {
        let baseline = ranking.baseline();
        Self {
            margin: ranking
                .absolute_margin
                .filter(|margin| *margin <= 2.0 * reach),
            noise: baseline
                .and_then(Variant::sd)
                .filter(|sd| sd.is_finite() && *sd > 0.0),
        }
    }

    fn draw(&self, canvas: &Canvas, frame: &Frame) -> Result<(), Error> {
        if let Some(noise) = self.noise {
            let left = frame.x(-noise).max(frame.left);
            let right = frame.x(noise).min(frame.right);
            let corners = vec![
                (left, frame.top),
                (right, frame.top),
                (right, frame.bottom),
                (left, frame.bottom),
            ];
            canvas.shape(corners, GRID, 0.6)?;
        }
        for margin in self.margin.iter().flat_map(|margin| [-margin, *margin]) {
            let x = frame.x(margin);
            canvas.line(vec![(x, frame.top), (x, frame.bottom)], REFERENCE, 3)?;
        }
        Ok(())
    }

    fn caption(&self) -> String {
        let mut text = String::new();
        if self.margin.is_some() {
            text += " The dashed lines are the margin: smaller differences do not matter.";
        }
        if self.noise.is_some() {
            text += " The grey band is one standard deviation of the baseline over its seeds.";
        }
        text
    }
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
            // A sequential design has corrected intervals only.
            c.interval
                .or(c.corrected)
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
fn label(ranking: &Ranking, variant: &Variant, comparison: &Comparison) -> String {
    let metric = ranking.metric;
    let interval = wording::interval_ends(metric, comparison);
    let interval = interval.map_or(String::new(), |(low, high)| format!(" [{low}, {high}]"));
    let verdict = wording::verdict(variant);
    format!("{}{interval} {verdict}", metric.difference(comparison.mean))
}

fn scaffold(canvas: &Canvas, frame: &Frame, is_better_higher: bool) -> Result<(), Error> {
    let decimals = frame.x.decimals();
    for &tick in &frame.x.ticks {
        let x = frame.x(tick);
        canvas.line(vec![(x, frame.top), (x, frame.bottom)], GRID, 2)?;
        let text = match tick.abs() < 1e-12 {
            true => "0".to_owned(),
            false => units::signed(tick, |size| format!("{size:.decimals$}")),
        };
        canvas.text(&text, (x, frame.bottom + 30), HPos::Center, SMALL, MUTED)?;
    }
    let zero = frame.x(0.0);
    canvas.line(vec![(zero, frame.top), (zero, frame.bottom)], INK, 3)?;
    let y = frame.bottom + 76;
    let (left, right) = match is_better_higher {
        true => ("← worse", "better →"),
        false => ("← better", "worse →"),
    };
    canvas.text(left, (frame.left, y), HPos::Left, SMALL, MUTED)?;
    canvas.text(right, (frame.right, y), HPos::Right, SMALL, MUTED)
}

fn row(
    canvas: &Canvas,
    frame: &Frame,
    y: i32,
    (variant, comparison): (&Variant, &Comparison),
    numbers: &str,
) -> Result<(), Error> {
    let color = match comparison.verdict {
        Verdict::Better => BETTER,
        Verdict::Worse => WORSE,
        Verdict::Equivalent => EQUIVALENT,
        Verdict::Inconclusive => MUTED,
    };
    canvas.text(&shorten(variant.name), (36, y), HPos::Left, BODY, INK)?;
    canvas.text(numbers, (frame.right + 24, y), HPos::Left, SMALL, MUTED)?;
    for (interval, width) in [(comparison.corrected, 3), (comparison.interval, 9)] {
        if let Some(interval) = interval {
            whisker(canvas, frame, y, interval, color, width)?;
        }
    }
    let inside = |x: i32| (frame.left..=frame.right).contains(&x);
    for (_, difference) in variant.differences {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A row whose interval reaches 0.05 to both sides of its mean.
    fn row_with(mean: f64, is_sequential: bool) -> Comparison {
        let interval = Some(ConfidenceInterval {
            low: mean - 0.05,
            high: mean + 0.05,
        });
        Comparison {
            interval: interval.filter(|_| !is_sequential),
            corrected: interval,
            ..Comparison::untested(&[mean]).unwrap()
        }
    }

    #[test]
    fn intervals_count_in_the_scale_of_every_design() {
        for is_sequential in [false, true] {
            let rows = [0.01, 0.02, 0.1].map(|mean| row_with(mean, is_sequential));
            let reach = scale(rows.iter().collect()).unwrap();
            assert!((reach - 0.15).abs() < 1e-12, "{reach}");
        }
        let far = [0.01, 0.02, 5.0].map(|mean| row_with(mean, true));
        assert!(scale(far.iter().collect()).unwrap() < 0.2);
    }
}
