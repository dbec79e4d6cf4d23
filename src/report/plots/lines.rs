use super::axis::Axis;
use super::canvas::{BODY, Canvas, Error, Frame, Point, WIDTH, svg, text_width};
use super::chart_data::{self, ChartData, Curves, Rounded, Series};
use super::labels::{along, spread};
use super::legend::Legend;
use super::palette::{INK, MUTED, REFERENCE};
use super::pareto_front::{draw_front, front_steps};
use super::scatter::{label_points, right_edge};
use super::series::{self, Curve};
use super::{Drawing, Drawn};
use crate::report::analysis::ranking::{Ranking, Variant};
use crate::report::loaded_results::Run;
use crate::results::RunState;
use crate::text::units;
use plotters::style::RGBColor;
use plotters::style::text_anchor::HPos;

const HEIGHT: i32 = 920;
const TOP: i32 = 96;
const BOTTOM: i32 = HEIGHT - 120;
const LEFT: i32 = 130;

/// Most curves of an interactive plot. More could not be told apart.
const MOST_SERIES: usize = 40;

/// The curves of one variant.
pub(super) struct Line<'a> {
    pub(super) variant: &'a Variant<'a>,
    /// The short name of the variant.
    name: String,
    pub(super) color: RGBColor,
    /// Whether the variant has a color of its own. The others share a grey.
    pub(super) is_highlighted: bool,
    pub(super) curve: Curve,
    /// The loss at the end by which it is compared with the others at the same cost, in a plot with a front.
    pub(super) front: Option<f64>,
    /// The points that are marked, besides those of the curve if the chart marks these.
    pub(super) marks: Vec<(f64, f64)>,
    /// The runs that are not part of the mean.
    pub(super) partial_runs: Vec<PartialRun>,
}

impl<'a> Line<'a> {
    /// A line without runs that are not part of the mean.
    pub(super) fn new(variant: &'a Variant<'a>, legend: &Legend, curve: Curve) -> Self {
        Self {
            variant,
            name: legend.name(variant.name).to_owned(),
            color: legend.color(variant),
            is_highlighted: legend.is_highlighted(variant),
            curve,
            front: None,
            marks: Vec::new(),
            partial_runs: Vec::new(),
        }
    }

    /// With points that are marked.
    pub(super) fn with_marks(self, marks: Vec<(f64, f64)>) -> Self {
        Self { marks, ..self }
    }
}

/// The curve of a run that diverged, or that has not ended.
pub(super) struct PartialRun {
    pub(super) points: Vec<(f64, f64)>,
    pub(super) has_diverged: bool,
}

/// How the points of a curve are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marks {
    /// As a line.
    Lines,
    /// As a line with a dot at each point.
    JoinedPoints,
    /// As dots. Their order has no meaning.
    Points,
}

/// Title, axes and reference lines of a plot of curves.
pub(super) struct Chart {
    pub(super) title: String,
    pub(super) caption: String,
    pub(super) x_title: String,
    pub(super) x: Axis,
    pub(super) y: Axis,
    /// The dashed steps between points that no other beats. Empty in most charts.
    pub(super) front: Vec<(f64, f64)>,
    /// (value, name) of the horizontal dashed lines.
    pub(super) references: Vec<(f64, &'static str)>,
    pub(super) marks: Marks,
    /// Text of a tick of the x axis.
    pub(super) x_tick: fn(f64) -> String,
}

impl Chart {
    pub(super) fn drawn(self, lines: &[Line], svg: Result<String, Error>) -> Drawn {
        let data = ChartData::Curves(Box::new(curves(&self, lines)));
        Some(svg.map(|svg| Drawing {
            data: Some(data),
            narrow: None,
            title: self.title,
            caption: self.caption,
            svg,
        }))
    }
}

/// The values of a plot for the HTML page.
fn curves(chart: &Chart, lines: &[Line]) -> Curves {
    // The highlighted lines are the last ones.
    let shown = lines.len().saturating_sub(MOST_SERIES);
    let reference = |(value, name): &(f64, &str)| (Rounded(*value), (*name).to_owned());
    Curves {
        title: chart.title.clone(),
        x_title: chart.x_title.clone(),
        x: [chart.x.low(), chart.x.high()].map(Rounded),
        y: [chart.y.low(), chart.y.high()].map(Rounded),
        log_x: chart.x.is_logarithmic(),
        has_points: chart.marks != Marks::Lines,
        has_lines: chart.marks != Marks::Points,
        series: lines[shown..].iter().map(series_of).collect(),
        has_front: !chart.front.is_empty(),
        references: chart.references.iter().map(reference).collect(),
    }
}

fn series_of(line: &Line) -> Series {
    let pair = |&(x, y): &(f64, f64)| [Rounded(x), Rounded(y)];
    let points = |points: &[(f64, f64)]| points.iter().map(pair).collect();
    let band = line.curve.band.iter();
    Series {
        name: line.variant.name.to_owned(),
        color: chart_data::color(line.variant, line.color),
        is_other: !line.is_highlighted,
        points: points(&line.curve.points),
        front: line.front.map(Rounded),
        band: band
            .map(|&(x, low, high)| [x, low, high].map(Rounded))
            .collect(),
        marks: points(&line.marks),
        partial: line
            .partial_runs
            .iter()
            .map(|run| points(&run.points))
            .collect(),
    }
}

/// One line for each variant that has a curve. The highlighted lines come last, so that they are
/// drawn on top.
pub(super) fn lines<'a>(
    ranking: &'a Ranking<'a>,
    legend: &Legend,
    curve: impl Fn(&Variant) -> Curve,
    partial_curve: impl Fn(&Run) -> Vec<(f64, f64)>,
) -> Vec<Line<'a>> {
    let mut lines: Vec<Line> = ranking
        .variants
        .iter()
        .map(|variant| Line {
            partial_runs: partial(variant)
                .map(|run| PartialRun {
                    points: partial_curve(run),
                    has_diverged: run.state() == RunState::Diverged,
                })
                .filter(|run| !run.points.is_empty())
                .collect(),
            ..Line::new(variant, legend, curve(variant))
        })
        .filter(|line| !line.curve.points.is_empty() || !line.partial_runs.is_empty())
        .collect();
    lines.sort_by_key(|line| line.is_highlighted);
    lines
}

fn partial<'a>(variant: &'a Variant) -> impl Iterator<Item = &'a Run> {
    let runs = variant.runs.iter().copied();
    runs.filter(|run| match run.state() {
        RunState::Diverged | RunState::Stopped | RunState::NotStarted => true,
        RunState::Done | RunState::Failed => false,
    })
}

pub(super) fn xs(lines: &[Line]) -> impl Iterator<Item = f64> {
    let curves = lines.iter().flat_map(|line| &line.curve.points);
    let partial = lines.iter().flat_map(|line| &line.partial_runs);
    let partial = partial.flat_map(|run| &run.points);
    curves.chain(partial).map(|(x, _)| *x)
}

/// The values that the y axis must contain. The first tenth of each curve is left out, because the
/// loss falls further there than in the rest of training.
pub(super) fn settled(lines: &[Line]) -> impl Iterator<Item = f64> {
    let open = lines.iter().flat_map(|line| &line.partial_runs);
    let open = open.filter(|run| !run.has_diverged).flat_map(|run| {
        let from = run.points.last().map_or(0.0, |(x, _)| 0.1 * x);
        run.points.iter().filter(move |(x, _)| *x >= from)
    });
    let curves = lines.iter().flat_map(|line| {
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
    });
    curves.chain(open.map(|(_, y)| *y))
}

pub(super) fn labelled_at_the_right(chart: &Chart, lines: &[Line]) -> Result<String, Error> {
    let labels = right_labels(chart, lines);
    let widest = labels
        .iter()
        .map(|label| text_width(&label.text, BODY))
        .max();
    let frame = frame(chart, WIDTH - 90 - widest.unwrap_or(0));
    svg(&chart.title, HEIGHT, |canvas| {
        draw(canvas, chart, &frame, lines)?;
        let wanted: Vec<i32> = labels.iter().map(|label| frame.y(label.value)).collect();
        let placed = spread(&wanted, BODY + 6, frame.top, frame.bottom);
        for ((label, from), to) in labels.iter().zip(wanted).zip(placed) {
            let from = from.clamp(frame.top, frame.bottom);
            let right = frame.right;
            canvas.line(vec![(right + 6, from), (right + 44, to)], label.color, 3)?;
            canvas.text(&label.text, (right + 54, to), HPos::Left, BODY, label.ink)?;
        }
        Ok(())
    })
}

/// A name at the right end of a curve.
struct Label {
    value: f64,
    text: String,
    color: RGBColor,
    ink: RGBColor,
}

fn right_labels(chart: &Chart, lines: &[Line]) -> Vec<Label> {
    let end = |line: &Line| {
        let partial = || line.partial_runs.iter();
        let partial = || partial().filter_map(|run| run.points.last());
        line.curve
            .points
            .last()
            .or_else(|| partial().next())
            .map(|(_, y)| *y)
    };
    let label = |value, text, color, ink| Label {
        value,
        text,
        color,
        ink,
    };
    let mut labels: Vec<Label> = Vec::new();
    for line in lines.iter().filter(|line| line.is_highlighted) {
        let Some(value) = end(line) else {
            continue;
        };
        let note = match line.curve.points.is_empty() {
            true if line.partial_runs.iter().any(|run| !run.has_diverged) => " (not finished)",
            true => " (diverged)",
            // Without this, the label would be taken for the end of a curve.
            false if value > chart.y.high() => " (above)",
            false => "",
        };
        let text = format!("{}{note}", line.name);
        labels.push(label(value, text, line.color, INK));
    }
    let grey: Vec<&Line> = lines.iter().filter(|line| !line.is_highlighted).collect();
    if let Some(middle) = grey.get(grey.len() / 2) {
        let text = units::plural(grey.len(), "other");
        labels.extend(end(middle).map(|value| label(value, text, middle.color, MUTED)));
    }
    for (value, name) in &chart.references {
        labels.push(label(*value, (*name).to_owned(), REFERENCE, MUTED));
    }
    labels
}

pub(super) fn labelled_at_the_end(chart: &Chart, lines: &[Line]) -> Result<String, Error> {
    let highlighted = lines.iter().filter(|line| line.is_highlighted);
    let names: Vec<String> = highlighted.map(|line| line.name.clone()).collect();
    let frame = frame(chart, right_edge(&names));
    svg(&chart.title, HEIGHT, |canvas| {
        draw(canvas, chart, &frame, lines)?;
        let mut ends: Vec<Point> = Vec::new();
        let mut texts = Vec::new();
        for line in lines {
            let Some(&end) = line.curve.points.last() else {
                continue;
            };
            if line.is_highlighted {
                ends.push(frame.at(end));
                texts.push(line.name.clone());
            }
        }
        let curves = lines.iter().flat_map(|line| {
            let points = line.curve.points.iter();
            let points: Vec<Point> = points.map(|&point| frame.at(point)).collect();
            along(&points)
        });
        let steps = along(&front_steps(&frame, &chart.front));
        let obstacles: Vec<Point> = curves.chain(steps).collect();
        let bounds = ((frame.left, frame.top), (WIDTH - 10, frame.bottom));
        label_points(canvas, &ends, &texts, bounds, &obstacles)
    })
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
    frame.draw(canvas, &chart.x_title, chart.x_tick, |tick| {
        units::fixed(tick, decimals)
    })?;
    for (value, _) in &chart.references {
        let y = frame.y(*value);
        canvas.line(vec![(frame.left, y), (frame.right, y)], REFERENCE, 3)?;
    }
    draw_front(canvas, front_steps(frame, &chart.front))?;
    let top = chart.y.high();
    for line in lines.iter().filter(|line| line.is_highlighted) {
        for band in series::clip_band(&line.curve.band, top) {
            let high = band.iter().map(|&(x, _, high)| frame.at((x, high)));
            let low = band.iter().rev().map(|&(x, low, _)| frame.at((x, low)));
            canvas.shape(high.chain(low).collect(), line.color, 0.1)?;
        }
    }
    for line in lines {
        let width = if line.is_highlighted { 5 } else { 3 };
        let joined = match chart.marks {
            Marks::Points => Vec::new(),
            Marks::Lines | Marks::JoinedPoints => series::clip(&line.curve.points, top),
        };
        for piece in joined {
            match piece.as_slice() {
                [only] => canvas.dot(frame.at(*only), 8, line.color, 1.0)?,
                _ => canvas.line(
                    piece.iter().map(|&p| frame.at(p)).collect(),
                    line.color,
                    width,
                )?,
            }
        }
        let points = line
            .curve
            .points
            .iter()
            .filter(|_| chart.marks != Marks::Lines);
        let points = points.chain(&line.marks);
        for &point in points.filter(|(_, y)| *y <= top) {
            canvas.dot(frame.at(point), 9, line.color, 1.0)?;
        }
        for run in &line.partial_runs {
            draw_partial_run(canvas, frame, run, line.color, top)?;
        }
    }
    Ok(())
}

/// A thin curve, with a cross at its end if the run diverged. A value that is not finite is drawn at the top.
fn draw_partial_run(
    canvas: &Canvas,
    frame: &Frame,
    run: &PartialRun,
    color: RGBColor,
    top: f64,
) -> Result<(), Error> {
    let drawn = |&(x, y): &(f64, f64)| (x, if y.is_finite() { y } else { top });
    let points: Vec<(f64, f64)> = run.points.iter().map(drawn).collect();
    for piece in series::clip(&points, top) {
        canvas.line(piece.iter().map(|&p| frame.at(p)).collect(), color, 2)?;
    }
    match points.last() {
        Some(&(x, y)) if run.has_diverged => canvas.cross(frame.at((x, y.min(top))), color),
        _ => Ok(()),
    }
}
