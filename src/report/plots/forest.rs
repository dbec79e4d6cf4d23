use super::axis::Axis;
use super::canvas::{BODY, Canvas, Error, Frame, SMALL, WIDTH, svg, text_width};
use super::chart_data::{ChartData, DifferenceRow, Differences, Rounded};
use super::difference_range::{Reach, ends, range};
use super::legend::Legend;
use super::margin_band::Limits;
use super::palette::{GRID, INK, MUTED};
use super::{Drawing, Drawn};
use crate::report::analysis::ranking::{Ranking, Variant};
use crate::report::analysis::wording;
use crate::stats::{Comparison, ConfidenceInterval, Verdict};
use crate::text::escape::visible_line;
use crate::text::units;
use plotters::style::RGBColor;
use plotters::style::text_anchor::HPos;
use std::collections::HashSet;

const ROW: i32 = 58;
const TOP: i32 = 100;
const BELOW: i32 = 130;
/// Width that long names leave for the axis.
const LEAST_AXIS: i32 = 400;
const BETTER: RGBColor = RGBColor(0x00, 0x72, 0xb2);
const WORSE: RGBColor = RGBColor(0xd5, 0x5e, 0x00);
const EQUIVALENT: RGBColor = RGBColor(0x00, 0x9e, 0x73);
/// The differences from the baseline with their intervals, best first.
pub(super) fn difference(ranking: &Ranking, legend: &Legend) -> Drawn {
    let rows: Vec<(&Variant, &Comparison)> = compared(ranking).collect();
    let (low, high) = range(rows.iter().map(|(v, c)| Reach::of(v, c)).collect())?;
    let limits = Limits::of(ranking, high.max(-low));
    let margins = limits.margin.iter().flat_map(|margin| [-margin, *margin]);
    let shown = [low, high].into_iter().chain(margins);
    let widest = |texts: &mut dyn Iterator<Item = i32>| texts.max().unwrap_or(0);
    let numbers = widest(
        &mut rows
            .iter()
            .map(|(v, c)| text_width(&label(ranking, v, c), SMALL)),
    );
    let names = row_names(&rows, legend, WIDTH - 50 - numbers - LEAST_AXIS - 60);
    let name_width = widest(&mut names.iter().map(|name| text_width(name, BODY)));
    let bottom = TOP + rows.len() as i32 * ROW;
    let left = 60 + name_width;
    // The numbers of a tiny difference are long.
    let right = (WIDTH - 50 - numbers).max(left + 200);
    let frame = Frame {
        left,
        right,
        top: TOP,
        bottom,
        x: Axis::linear(shown)?.with_steps(f64::from((right - left) / 150).clamp(2.0, 6.0)),
        y: Axis::linear([0.0])?,
    };
    let baseline = legend.name(ranking.baseline);
    let title = match ranking.metric.is_bits_per_byte() {
        true => format!("Difference from {baseline} (bits per byte)"),
        false => format!("Difference from {baseline}: {}", ranking.metric.title()),
    };
    let svg = svg(&title, bottom + BELOW, |canvas| {
        limits.draw(canvas, &frame)?;
        scaffold(canvas, &frame, ranking.metric.kind.is_better_higher())?;
        for (index, (variant, comparison)) in rows.iter().enumerate() {
            let y = TOP + index as i32 * ROW + ROW / 2;
            canvas.text(&names[index], (36, y), HPos::Left, BODY, INK)?;
            let numbers = label(ranking, variant, comparison);
            canvas.text(&numbers, (right + 24, y), HPos::Left, SMALL, MUTED)?;
            row(canvas, &frame, y, (variant, comparison))?;
        }
        Ok(())
    });
    let is_beyond = |(variant, comparison): &(&Variant, &Comparison)| {
        let shown = frame.x.low()..=frame.x.high();
        ends(variant, comparison).any(|end| !shown.contains(&end))
    };
    let beyond = match rows.iter().any(is_beyond) {
        true => {
            " A triangle points to what lies outside of the plot, such as the rest of a wide interval."
        }
        false => "",
    };
    let lines = format!(
        "{}{}{beyond}",
        line_captions(ranking),
        limits.caption(&frame)
    );
    let row = |(variant, comparison): &(&Variant, &Comparison)| DifferenceRow {
        name: variant.name.to_owned(),
        label: label(ranking, variant, comparison),
        verdict: wording::verdict(variant),
        mean: Rounded(comparison.mean),
        interval: comparison.corrected.map(|i| [i.low, i.high].map(Rounded)),
        thick: comparison.interval.map(|i| [i.low, i.high].map(Rounded)),
        seeds: variant
            .differences
            .iter()
            .map(|(_, d)| Rounded(*d))
            .collect(),
    };
    let data = ChartData::Differences(Differences {
        title: title.clone(),
        x: [frame.x.low(), frame.x.high()].map(Rounded),
        margin: limits.margin.map(Rounded),
        noise: limits.shown_noise(&frame).map(Rounded),
        rows: rows.iter().map(row).collect(),
    });
    let finish = |svg| Drawing {
        data: Some(data),
        narrow: None,
        title: title.to_owned(),
        caption: format!(
            "Paired differences, one row per variant. Each dot is one seed, and the square is the mean.{lines}"
        ),
        svg,
    };
    Some(svg.map(finish))
}

/// The names of the rows. One that is wider than `room` is short, and all are if two would be equal.
fn row_names(rows: &[(&Variant, &Comparison)], legend: &Legend, room: i32) -> Vec<String> {
    let short = |variant: &Variant| legend.name(variant.name).to_owned();
    let fitting = |variant: &Variant| {
        let whole = visible_line(variant.name);
        match text_width(&whole, BODY) <= room {
            true => whole,
            false => short(variant),
        }
    };
    let names: Vec<String> = rows.iter().map(|(variant, _)| fitting(variant)).collect();
    let distinct: HashSet<&String> = names.iter().collect();
    match distinct.len() == names.len() {
        true => names,
        false => rows.iter().map(|(variant, _)| short(variant)).collect(),
    }
}

/// The variants that are compared with the baseline, best first.
pub(super) fn compared<'a>(
    ranking: &'a Ranking<'a>,
) -> impl Iterator<Item = (&'a Variant<'a>, &'a Comparison)> {
    ranking
        .ranked()
        .filter_map(|variant| Some((variant, variant.comparison?)))
        .filter(|(_, comparison)| comparison.mean.is_finite())
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

/// Mean difference, interval and verdict.
pub(super) fn label(ranking: &Ranking, variant: &Variant, comparison: &Comparison) -> String {
    let difference = wording::difference(ranking.metric, comparison);
    let interval = difference.interval;
    let interval = match interval {
        Some((low, high)) => format!(" [{low}, {high}]"),
        None if comparison.is_exact => " (exact)".to_owned(),
        None => String::new(),
    };
    let verdict = wording::verdict(variant);
    format!("{}{interval} {verdict}", difference.mean)
}

fn scaffold(canvas: &Canvas, frame: &Frame, is_better_higher: bool) -> Result<(), Error> {
    let decimals = frame.x.decimals();
    for &tick in &frame.x.ticks {
        let x = frame.x(tick);
        canvas.line(vec![(x, frame.top), (x, frame.bottom)], GRID, 2)?;
        let text = match tick == 0.0 {
            true => "0".to_owned(),
            false => units::signed(tick, |size| units::fixed(size, decimals)),
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

/// Seeds, interval and mean of a variant.
fn row(
    canvas: &Canvas,
    frame: &Frame,
    y: i32,
    (variant, comparison): (&Variant, &Comparison),
) -> Result<(), Error> {
    let color = match comparison.verdict {
        Verdict::Better => BETTER,
        Verdict::Worse => WORSE,
        Verdict::Equivalent => EQUIVALENT,
        Verdict::Inconclusive => MUTED,
    };
    for (interval, width) in [(comparison.corrected, 3), (comparison.interval, 9)] {
        if let Some(interval) = interval {
            whisker(canvas, frame, y, interval, color, width)?;
        }
    }
    let inside = |x: i32| (frame.left..=frame.right).contains(&x);
    for (_, difference) in variant.differences {
        let (x, y) = (frame.x(*difference), y - 16);
        match inside(x) {
            true => canvas.dot((x, y), 5, color, 0.55)?,
            false => arrow(canvas, frame, y, x > frame.right, color, 6)?,
        }
    }
    let mean = frame.x(comparison.mean);
    match inside(mean) {
        true => canvas.square((mean, y), 10, color),
        false => arrow(canvas, frame, y, mean > frame.right, color, 12),
    }
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
        arrow(canvas, frame, y, false, color, 12)?;
    }
    if high > frame.right {
        arrow(canvas, frame, y, true, color, 12)?;
    }
    Ok(())
}

/// An arrow at the edge, for what continues or lies beyond it.
fn arrow(
    canvas: &Canvas,
    frame: &Frame,
    y: i32,
    right: bool,
    color: RGBColor,
    half_height: i32,
) -> Result<(), Error> {
    let length = half_height * 5 / 3;
    let (edge, inwards) = if right {
        (frame.right, -length)
    } else {
        (frame.left, length)
    };
    let tip = vec![
        (edge, y),
        (edge + inwards, y - half_height),
        (edge + inwards, y + half_height),
    ];
    canvas.shape(tip, color, 1.0)
}

#[cfg(test)]
mod tests {
    use crate::report::testing::Folder;

    #[test]
    fn a_long_name_is_whole_if_there_is_room() {
        let folder = Folder::new("names");
        let fits = "a-name-of-thirty-three-characters";
        let longer = format!("{fits}-and-many-more-of-them-after-these");
        for (name, n_layer) in [("gpt", 1), (fits, 2), (longer.as_str(), 3)] {
            for seed in 1..=3 {
                let run = folder.run(name, seed);
                let bits = 1.5 + 0.01 * (n_layer * seed) as f64;
                run.spec(|spec| spec.model.n_layer = n_layer as usize)
                    .evaluations(&[(0, 6.0), (500, bits)])
                    .done();
            }
        }
        folder.write();
        let plot = folder.read("plots/difference.svg");
        assert!(
            plot.contains(fits) && plot.contains("a-name-of-th"),
            "{plot}"
        );
        assert!(!plot.contains(&longer));
    }

    /// With many seeds, the interval of the mean is narrower than the range of the seeds.
    #[test]
    fn every_seed_is_inside_of_the_plot() {
        let folder = Folder::new("seeds");
        for seed in 1..=12 {
            let difference = 0.01 * (seed as f64 - 6.5);
            for (name, n_layer, bits) in [("gpt", 1, 1.5), ("deep", 2, 1.5 + difference)] {
                let run = folder.run(name, seed);
                let run = run.spec(|spec| spec.model.n_layer = n_layer);
                run.evaluations(&[(0, 6.0), (500, bits)]).done();
            }
        }
        folder
            .plan
            .borrow_mut()
            .runs
            .sort_by_key(|run| run.spec.model.n_layer);
        folder.write();
        let plot = folder.read("plots/difference.svg");
        assert_eq!(plot.matches("<circle").count(), 12);
        let report = folder.read("report.md");
        assert!(!report.contains("A triangle points"), "{report}");
    }
}
