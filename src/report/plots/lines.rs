use super::super::loaded_results::Run;
use super::super::ranking::{Ranking, Variant};
use super::axis::Axis;
use super::canvas::{BODY, Canvas, Error, Frame, Point, WIDTH, svg, text_width};
use super::labels::{shorten, spread};
use super::palette::{INK, MUTED, Palette, REFERENCE};
use super::series::{self, Curve};
use super::{Drawing, Drawn};
use crate::results::RunState;
use crate::text::units;
use plotters::style::RGBColor;
use plotters::style::text_anchor::HPos;

const HEIGHT: i32 = 920;
const TOP: i32 = 96;
const BOTTOM: i32 = HEIGHT - 120;
const LEFT: i32 = 130;

/// A variant's curve as it is drawn.
pub(super) struct Line<'a> {
    pub(super) variant: &'a Variant<'a>,
    pub(super) colour: RGBColor,
    pub(super) stands_out: bool,
    pub(super) curve: Curve,
    /// Runs that diverged, each by itself.
    pub(super) strays: Vec<Vec<(f64, f64)>>,
}

/// What one plot of curves has that others have not.
pub(super) struct Chart {
    pub(super) title: &'static str,
    pub(super) caption: String,
    pub(super) x_title: String,
    pub(super) x: Axis,
    pub(super) y: Axis,
    /// (value, name) of dashed lines across.
    pub(super) references: Vec<(f64, &'static str)>,
}

impl Chart {
    pub(super) fn drawn(self, svg: Result<String, Error>) -> Drawn {
        Some(svg.map(|svg| Drawing {
            title: self.title.to_owned(),
            caption: self.caption,
            svg,
        }))
    }
}

/// One line for each variant that has a curve, the coloured ones last, so that they lie on top.
pub(super) fn lines<'a>(
    ranking: &'a Ranking<'a>,
    palette: &Palette,
    curve: impl Fn(&Variant) -> Curve,
    stray: impl Fn(&Run) -> Vec<(f64, f64)>,
) -> Vec<Line<'a>> {
    let mut lines: Vec<Line> = ranking
        .variants
        .iter()
        .map(|variant| Line {
            variant,
            colour: palette.of(variant),
            stands_out: palette.stands_out(variant),
            curve: curve(variant),
            strays: diverged(variant)
                .map(&stray)
                .filter(|points| !points.is_empty())
                .collect(),
        })
        .filter(|line| !line.curve.points.is_empty() || !line.strays.is_empty())
        .collect();
    lines.sort_by_key(|line| line.stands_out);
    lines
}

fn diverged<'a>(variant: &'a Variant) -> impl Iterator<Item = &'a Run> {
    let runs = variant.runs.iter().copied();
    runs.filter(|run| run.state() == RunState::Diverged)
}

pub(super) fn xs(lines: &[Line]) -> impl Iterator<Item = f64> {
    let curves = lines.iter().flat_map(|line| &line.curve.points);
    let strays = lines.iter().flat_map(|line| line.strays.iter().flatten());
    curves.chain(strays).map(|(x, _)| *x)
}

/// The values that the scale must hold: those after the first tenth of the curve, in which a model
/// falls further than in all the rest. All of them where there are none after it.
pub(super) fn settled(lines: &[Line]) -> impl Iterator<Item = f64> {
    lines.iter().flat_map(|line| {
        let curve = &line.curve;
        let from = curve.points.last().map_or(0.0, |(x, _)| 0.1 * x);
        let values = curve
            .points
            .iter()
            .filter(move |(x, _)| *x >= from)
            .map(|(_, y)| *y);
        let bands = curve.band.iter().filter(move |(x, ..)| *x >= from);
        values
            .chain(bands.flat_map(|(_, low, high)| [*low, *high]))
            .collect::<Vec<_>>()
    })
}

pub(super) fn labelled_at_the_right(chart: &Chart, lines: &[Line]) -> Result<String, Error> {
    let labels = right_labels(chart, lines);
    let widest = labels
        .iter()
        .map(|label| text_width(&label.text, BODY))
        .max();
    let frame = frame(chart, WIDTH - 90 - widest.unwrap_or(0));
    svg(chart.title, HEIGHT, |canvas| {
        draw(canvas, chart, &frame, lines)?;
        let wanted: Vec<i32> = labels.iter().map(|label| frame.y(label.value)).collect();
        let placed = spread(&wanted, BODY + 6, frame.top, frame.bottom);
        for ((label, from), to) in labels.iter().zip(wanted).zip(placed) {
            let from = from.clamp(frame.top, frame.bottom);
            let right = frame.right;
            canvas.line(vec![(right + 6, from), (right + 44, to)], label.colour, 3)?;
            canvas.text(&label.text, (right + 54, to), HPos::Left, BODY, label.ink)?;
        }
        Ok(())
    })
}

/// A name beside the right end of the plot.
struct Label {
    value: f64,
    text: String,
    colour: RGBColor,
    ink: RGBColor,
}

fn right_labels(chart: &Chart, lines: &[Line]) -> Vec<Label> {
    let end = |line: &Line| {
        let strays = || line.strays.iter().filter_map(|points| points.last());
        line.curve
            .points
            .last()
            .or_else(|| strays().next())
            .map(|(_, y)| *y)
    };
    let label = |value, text, colour, ink| Label {
        value,
        text,
        colour,
        ink,
    };
    let mut labels: Vec<Label> = Vec::new();
    for line in lines.iter().filter(|line| line.stands_out) {
        let mut text = shorten(line.variant.name);
        if line.curve.points.is_empty() {
            text += " (diverged)";
        }
        labels.extend(end(line).map(|value| label(value, text, line.colour, INK)));
    }
    let grey: Vec<&Line> = lines.iter().filter(|line| !line.stands_out).collect();
    if let Some(middle) = grey.get(grey.len() / 2) {
        let text = units::plural(grey.len(), "other");
        labels.extend(end(middle).map(|value| label(value, text, middle.colour, MUTED)));
    }
    for (value, name) in &chart.references {
        labels.push(label(*value, (*name).to_owned(), REFERENCE, MUTED));
    }
    labels
}

pub(super) fn labelled_at_the_end(chart: &Chart, lines: &[Line]) -> Result<String, Error> {
    let frame = frame(chart, WIDTH - 60);
    svg(chart.title, HEIGHT, |canvas| {
        draw(canvas, chart, &frame, lines)?;
        let mut ends: Vec<Point> = Vec::new();
        let mut texts = Vec::new();
        for line in lines {
            let Some(&end) = line.curve.points.last() else {
                continue;
            };
            canvas.dot(frame.at(end), 9, line.colour, 1.0)?;
            if line.stands_out {
                ends.push(frame.at(end));
                texts.push(shorten(line.variant.name));
            }
        }
        let curves: Vec<Point> = lines
            .iter()
            .flat_map(|line| between(&frame, &line.curve.points))
            .collect();
        let bounds = ((frame.left, frame.top), (WIDTH - 10, frame.bottom));
        super::scatter::name(canvas, &ends, &texts, bounds, &curves)
    })
}

/// Places along a curve, close enough together that no name fits between two.
fn between(frame: &Frame, points: &[(f64, f64)]) -> Vec<Point> {
    let ends = points
        .windows(2)
        .map(|pair| (frame.at(pair[0]), frame.at(pair[1])));
    let along = |((x0, y0), (x1, y1)): (Point, Point)| {
        let pieces = ((x1 - x0).abs().max((y1 - y0).abs()) / 15).clamp(1, 100);
        (0..pieces).map(move |i| (x0 + (x1 - x0) * i / pieces, y0 + (y1 - y0) * i / pieces))
    };
    ends.flat_map(along).collect()
}

fn frame(chart: &Chart, right: i32) -> Frame {
    Frame {
        left: LEFT,
        right,
        top: TOP,
        bottom: BOTTOM,
        x: chart.x.clone(),
        y: chart.y.clone(),
    }
}

fn draw(canvas: &Canvas, chart: &Chart, frame: &Frame, lines: &[Line]) -> Result<(), Error> {
    let decimals = chart.y.decimals();
    frame.draw(canvas, &chart.x_title, units::tick, |tick| {
        format!("{tick:.decimals$}")
    })?;
    for (value, _) in &chart.references {
        let y = frame.y(*value);
        canvas.line(vec![(frame.left, y), (frame.right, y)], REFERENCE, 3)?;
    }
    let top = chart.y.high();
    for line in lines.iter().filter(|line| line.stands_out) {
        for band in series::clip_band(&line.curve.band, top) {
            let high = band.iter().map(|&(x, _, high)| frame.at((x, high)));
            let low = band.iter().rev().map(|&(x, low, _)| frame.at((x, low)));
            canvas.shape(high.chain(low).collect(), line.colour, 0.1)?;
        }
    }
    for line in lines {
        let width = if line.stands_out { 5 } else { 3 };
        for piece in series::clip(&line.curve.points, top) {
            match piece.as_slice() {
                [only] => canvas.dot(frame.at(*only), 8, line.colour, 1.0)?,
                _ => canvas.line(
                    piece.iter().map(|&p| frame.at(p)).collect(),
                    line.colour,
                    width,
                )?,
            }
        }
        for stray in &line.strays {
            draw_stray(canvas, frame, stray, line.colour, top)?;
        }
    }
    Ok(())
}

/// A run that diverged, and where it did.
fn draw_stray(
    canvas: &Canvas,
    frame: &Frame,
    points: &[(f64, f64)],
    colour: RGBColor,
    top: f64,
) -> Result<(), Error> {
    for piece in series::clip(points, top) {
        canvas.line(piece.iter().map(|&p| frame.at(p)).collect(), colour, 2)?;
    }
    match points.last() {
        Some(&(x, y)) => canvas.cross(frame.at((x, y.min(top))), colour),
        None => Ok(()),
    }
}
