//! The means of the combinations of two factors of a grid.

use super::axis::Axis;
use super::canvas::{
    BODY, Canvas, Error, Frame, NARROW_WIDTH, SMALL, WIDTH, columns_in, svg_of_size, text_width,
};
use super::labels::spread;
use super::palette::{COLORS, INK, MUTED};
use super::{Drawing, Drawn};
use crate::report::analysis::factors::Factors;
use crate::report::analysis::metric::Metric;
use crate::stats::{ALPHA, ConfidenceInterval};
use crate::text::units;
use crate::text::width::shorten;
use plotters::style::RGBColor;
use plotters::style::text_anchor::HPos;

const HEIGHT: i32 = 820;
const TOP: i32 = 96;
const LEFT: i32 = 150;

/// Left end of the axes on a narrow screen.
const NARROW_LEFT: i32 = 110;

/// Longest name of a line or row on a narrow screen, in columns of text.
const NARROW_COLUMNS: usize = 10;

/// Height of a row of a heat map.
const ROW: i32 = 74;

// The colors of texts on a colored cell, which a dark page does not change.
const ON_DARK: RGBColor = RGBColor(0xfe, 0xfe, 0xfe);
const ON_LIGHT: RGBColor = RGBColor(0x25, 0x29, 0x2f);

/// The frame of the best combination.
const BEST: RGBColor = RGBColor(0xd5, 0x5e, 0x00);

/// Longest name of a value of a factor, in columns of text.
const MAX_COLUMNS: usize = 24;

/// Most values of a factor in a plot.
const MAX_LEVELS: usize = 12;

/// The means of two factors.
struct Pair {
    metric: Metric,
    /// Path and names of the values, along the x axis and of the lines.
    x: (String, Vec<String>),
    lines: (String, Vec<String>),
    /// One for each line, with one mean for each position.
    means: Vec<Vec<(f64, ConfidenceInterval)>>,
}

impl Pair {
    fn new(metric: Metric, factors: &Factors, [a, b]: [usize; 2]) -> Self {
        let factor = |index: usize| {
            let factor = &factors.factors[index];
            let names = factor.level_names();
            (
                factor.name(),
                names
                    .iter()
                    .map(|name| shorten(name, MAX_COLUMNS))
                    .collect::<Vec<_>>(),
            )
        };
        // The factor with more values is on the x axis.
        let (a, b) = match factor(a).1.len() >= factor(b).1.len() {
            true => (a, b),
            false => (b, a),
        };
        let (x, lines) = (factor(a), factor(b));
        let cell = |level, line| {
            let fixed = [(a, level), (b, line)];
            (
                factors.factorial.mean(&fixed),
                factors.factorial.mean_interval(&fixed, ALPHA),
            )
        };
        let line = |line| (0..x.1.len()).map(|level| cell(level, line)).collect();
        Self {
            metric,
            means: (0..lines.1.len()).map(line).collect(),
            x,
            lines,
        }
    }

    /// With names of at most so many columns.
    fn shortened(&self, x: usize, lines: usize) -> Self {
        let short = |(path, names): &(String, Vec<String>), columns| {
            let names = names.iter().map(|name| shorten(name, columns));
            (path.clone(), names.collect())
        };
        Self {
            metric: self.metric,
            x: short(&self.x, x),
            lines: short(&self.lines, lines),
            means: self.means.clone(),
        }
    }

    /// The factor of the lines on the x axis.
    fn swapped(&self) -> Self {
        let column = |level: usize| self.means.iter().map(|line| line[level]).collect();
        Self {
            metric: self.metric,
            x: self.lines.clone(),
            lines: self.x.clone(),
            means: (0..self.x.1.len()).map(column).collect(),
        }
    }

    fn is_small(&self) -> bool {
        self.x.1.len() <= MAX_LEVELS && self.lines.1.len() <= MAX_LEVELS
    }

    fn title(&self) -> String {
        format!(
            "{} and {}: mean {}",
            self.x.0,
            self.lines.0,
            self.metric.title()
        )
    }
}

/// A line for each value of one factor over the values of another: lines that are not parallel are an interaction.
pub(super) fn interaction(metric: Metric, factors: &Factors) -> Drawn {
    let pair = Pair::new(metric, factors, factors.strongest_pair()?);
    if !pair.is_small() || pair.lines.1.len() > COLORS.len() {
        return None;
    }
    let ends = pair
        .means
        .iter()
        .flatten()
        .flat_map(|(mean, interval)| [*mean, interval.low, interval.high]);
    let y = Axis::linear(ends)?;
    let title = pair.title();
    // The names of the factors are at the axes and in the caption.
    let narrow_title = format!("Mean {}", metric.title());
    let drawn = |title: &str, pair: &Pair, width: i32, left: i32| {
        let names = pair.lines.1.iter().map(|name| text_width(name, BODY));
        let frame = Frame {
            left,
            right: width - 60 - names.max().unwrap_or(0),
            top: TOP,
            bottom: HEIGHT - 150,
            x: Axis::between(-0.4, pair.x.1.len() as f64 - 0.6).with_ticks(Vec::new()),
            y: y.clone(),
        };
        svg_of_size(title, (width, HEIGHT), |canvas| {
            draw_interaction(canvas, &frame, pair)
        })
    };
    let room = (NARROW_WIDTH - 350) / pair.x.1.len() as i32;
    let narrow = pair.shortened(columns_in(2 * room, SMALL), NARROW_COLUMNS);
    let wide = drawn(&title, &pair, WIDTH, LEFT);
    let both = wide.and_then(|svg| {
        Ok((
            svg,
            drawn(&narrow_title, &narrow, NARROW_WIDTH, NARROW_LEFT)?,
        ))
    });
    Some(both.map(|(svg, narrow)| Drawing {
        title: title.clone(),
        narrow: Some(narrow),
        caption: format!(
            "One line for each value of {}. Lines that are not parallel mean that its effect depends on {}. The bars \
             are 95 % intervals, without what all combinations with a seed have in common.",
            pair.lines.0, pair.x.0
        ),
        svg,
        data: None,
    }))
}

fn draw_interaction(canvas: &Canvas, frame: &Frame, pair: &Pair) -> Result<(), Error> {
    let decimals = frame.y.decimals();
    frame.draw(canvas, "", units::tick, |tick| units::fixed(tick, decimals))?;
    let count = pair.lines.1.len();
    let room = frame.x(1.0) - frame.x(0.0);
    // Long names take turns in height.
    let is_long = pair
        .x
        .1
        .iter()
        .any(|name| text_width(name, SMALL) > room - 10);
    for (position, name) in pair.x.1.iter().enumerate() {
        let y = frame.bottom + if is_long && position % 2 == 1 { 64 } else { 34 };
        canvas.text(
            name,
            (frame.x(position as f64), y),
            HPos::Center,
            SMALL,
            MUTED,
        )?;
    }
    let title = (
        (frame.left + frame.right) / 2,
        frame.bottom + if is_long { 104 } else { 76 },
    );
    canvas.text(&pair.x.0, title, HPos::Center, SMALL, MUTED)?;
    let mut wanted = Vec::new();
    for (line, (means, color)) in pair.means.iter().zip(COLORS).enumerate() {
        // Lines are moved a little, so that no bar covers another.
        let shift = (line as f64 - (count as f64 - 1.0) / 2.0) * 0.04;
        let x = |position: usize| frame.x(position as f64 + shift);
        for (position, (_, interval)) in means.iter().enumerate() {
            let bar = vec![
                (x(position), frame.y(interval.low)),
                (x(position), frame.y(interval.high)),
            ];
            canvas.line(bar, color, 3)?;
        }
        let points = means
            .iter()
            .enumerate()
            .map(|(position, (mean, _))| (x(position), frame.y(*mean)));
        let points: Vec<_> = points.collect();
        for &point in &points {
            canvas.dot(point, 9, color, 1.0)?;
        }
        wanted.extend(points.last().map(|(_, y)| *y));
        canvas.line(points, color, 5)?;
    }
    let placed = spread(&wanted, BODY + 6, frame.top, frame.bottom);
    for (((name, color), from), to) in pair.lines.1.iter().zip(COLORS).zip(wanted).zip(placed) {
        let right = frame.right;
        canvas.line(vec![(right - 24, from), (right + 14, to)], color, 3)?;
        canvas.text(name, (right + 24, to), HPos::Left, BODY, INK)?;
    }
    Ok(())
}

/// A color for each combination of two factors whose values are numbers.
pub(super) fn heat_map(metric: Metric, factors: &Factors) -> Drawn {
    let pair = Pair::new(metric, factors, factors.numeric_pair()?);
    if !pair.is_small() {
        return None;
    }
    let title = pair.title();
    let narrow_title = format!("Mean {}", metric.title());
    let drawn = |title: &str, pair: &Pair, width: i32| {
        let rows = pair.lines.1.len() as i32;
        let names = pair.lines.1.iter().map(|name| text_width(name, BODY));
        let area = Cells {
            left: 60 + names.max().unwrap_or(0),
            right: width - 40,
            bottom: TOP + 40 + rows * ROW,
        };
        svg_of_size(title, (width, area.bottom + 110), |canvas| {
            draw_heat_map(canvas, pair, &area)
        })
    };
    // A narrow screen has more room downwards.
    let narrow = pair.swapped().shortened(6, NARROW_COLUMNS);
    let both = drawn(&title, &pair, WIDTH)
        .and_then(|svg| Ok((svg, drawn(&narrow_title, &narrow, NARROW_WIDTH)?)));
    let direction = match metric.kind.is_better_higher() {
        true => "higher",
        false => "lower",
    };
    Some(both.map(|(svg, narrow)| Drawing {
        title: title.clone(),
        narrow: Some(narrow),
        caption: format!(
            "Darker is better, which is {direction}. The best combination has a frame."
        ),
        svg,
        data: None,
    }))
}

/// The place of the cells of a heat map.
struct Cells {
    left: i32,
    right: i32,
    bottom: i32,
}

fn draw_heat_map(canvas: &Canvas, pair: &Pair, area: &Cells) -> Result<(), Error> {
    let &Cells {
        left,
        right,
        bottom,
    } = area;
    let is_better_higher = pair.metric.kind.is_better_higher();
    let values = || pair.means.iter().flatten().map(|(mean, _)| *mean);
    let low = values().fold(f64::INFINITY, f64::min);
    let high = values().fold(f64::NEG_INFINITY, f64::max);
    let best = if is_better_higher { high } else { low };
    let columns = pair.x.1.len() as i32;
    let x = |column: usize| left + (right - left) * column as i32 / columns;
    // Small values are below, as on the y axis of a plot.
    for (line, (name, means)) in pair.lines.1.iter().zip(&pair.means).enumerate() {
        let top = bottom - (line as i32 + 1) * ROW;
        canvas.text(name, (left - 16, top + ROW / 2), HPos::Right, BODY, INK)?;
        for (column, (mean, _)) in means.iter().enumerate() {
            let quality = match high > low {
                true if is_better_higher => (mean - low) / (high - low),
                true => (high - mean) / (high - low),
                false => 0.0,
            };
            let corners = |inset: i32| {
                let (x0, x1) = (x(column) + inset, x(column + 1) - inset);
                vec![
                    (x0, top + inset),
                    (x1, top + inset),
                    (x1, top + ROW - inset),
                    (x0, top + ROW - inset),
                ]
            };
            canvas.shape(corners(2), shade(quality), 1.0)?;
            if *mean == best {
                let mut frame = corners(3);
                frame.push(frame[0]);
                canvas.line(frame, BEST, 6)?;
            }
            let at = ((x(column) + x(column + 1)) / 2, top + ROW / 2);
            let ink = if quality > 0.5 { ON_DARK } else { ON_LIGHT };
            let text = pair.metric.value(*mean);
            let size = fitting_size(&text, x(column + 1) - x(column) - 8, SMALL);
            canvas.text(&text, at, HPos::Center, size, ink)?;
        }
    }
    for (column, name) in pair.x.1.iter().enumerate() {
        let at = ((x(column) + x(column + 1)) / 2, bottom + 30);
        let size = fitting_size(name, x(column + 1) - x(column) - 8, BODY);
        canvas.text(name, at, HPos::Center, size, INK)?;
    }
    canvas.text(&pair.lines.0, (36, TOP + 12), HPos::Left, SMALL, MUTED)?;
    canvas.text(
        &pair.x.0,
        ((left + right) / 2, bottom + 70),
        HPos::Center,
        SMALL,
        MUTED,
    )
}

/// The largest size of a text that fits into a width, between a readable one and the usual one.
fn fitting_size(text: &str, width: i32, usual: i32) -> i32 {
    (width * usual / text_width(text, usual).max(1)).clamp(14, usual)
}

/// From a light grey to a dark blue.
fn shade(quality: f64) -> RGBColor {
    const LIGHT: RGBColor = RGBColor(0xe5, 0xe8, 0xec);
    const DARK: RGBColor = RGBColor(0x00, 0x4c, 0x80);
    let mix = |from: u8, to: u8| {
        let (from, to) = (f64::from(from), f64::from(to));
        (from + quality * (to - from)).round() as u8
    };
    let RGBColor(red, green, blue) = LIGHT;
    RGBColor(mix(red, DARK.0), mix(green, DARK.1), mix(blue, DARK.2))
}
