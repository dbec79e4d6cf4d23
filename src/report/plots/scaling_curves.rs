//! The losses at several sizes, and their differences from the baseline, against the FLOPs of training.

use super::Drawn;
use super::axis::Axis;
use super::legend::Legend;
use super::lines::{Chart, Line, Marks, labelled_at_the_right};
use super::series::Curve;
use crate::report::analysis::metric::Metric;
use crate::report::analysis::scaling::{Fit, ScaledVariant, Scaling};
use crate::text::units;

/// Number of points of a fitted curve.
const POINTS: usize = 49;

/// If the sizes are further apart than this factor, the axis is logarithmic.
const WIDE: f64 = 3.0;

/// The mean loss at each size, with the fitted power law.
pub(super) fn losses(metric: Metric, scaling: &Scaling, legend: &Legend) -> Drawn {
    let flops = all_flops(scaling)?;
    let line = |scaled: &ScaledVariant| {
        let points = scaled.sizes.iter().map(|at| (at.flops, at.mean)).collect();
        let curve = match &scaled.fit {
            Some(fit) => fitted(fit, ends(scaled)?),
            None => Curve {
                points: Vec::clone(&points),
                band: Vec::new(),
            },
        };
        Some((curve, points))
    };
    let lines = lines(scaling, legend, line);
    let has_fits = scaling.variants.iter().any(|scaled| scaled.fit.is_some());
    let fits = match (has_fits, scaling.has_resampled_fits()) {
        (true, true) => {
            " The curves are the fitted power laws, with 95 % bands from resampled seeds."
        }
        (true, false) => " The curves are the fitted power laws.",
        (false, _) => "",
    };
    let caption = format!("Each dot is the mean over the seeds at one size.{fits}");
    let title = format!(
        "{} against FLOPs of training",
        sentence_case(&metric.title())
    );
    draw(title, caption, &flops, Vec::new(), &lines)
}

/// The difference from the baseline at each size.
pub(super) fn differences(metric: Metric, scaling: &Scaling, legend: &Legend) -> Drawn {
    let flops = all_flops(scaling)?;
    let line = |scaled: &ScaledVariant| {
        let known = scaled.sizes.iter();
        let known = known.filter_map(|at| Some((at.flops, at.difference?)));
        let known: Vec<_> = known.collect();
        let points: Vec<(f64, f64)> = known.iter().map(|(x, d)| (*x, d.mean)).collect();
        let band = known.iter().filter_map(|(x, difference)| {
            let interval = difference.interval?;
            Some((*x, interval.low, interval.high))
        });
        let band = band.collect();
        let marks = points.clone();
        Some((Curve { points, band }, marks))
    };
    let mut lines = lines(scaling, legend, line);
    lines.retain(|line| !line.curve.points.is_empty());
    if lines.is_empty() {
        return None;
    }
    let title = format!(
        "Difference from {} against FLOPs of training ({})",
        scaling.baseline,
        metric.unit()
    );
    let better = match metric.kind.is_better_higher() {
        true => "Above",
        false => "Below",
    };
    let intervals = match lines.iter().any(|line| !line.curve.band.is_empty()) {
        true => ", with 95 % intervals",
        false => "",
    };
    let caption = format!(
        "Mean over the seeds that a variant shares with the baseline of its size{intervals}. {better} 0, the variant is \
         better."
    );
    draw(title, caption, &flops, vec![(0.0, "no difference")], &lines)
}

fn all_flops(scaling: &Scaling) -> Option<Vec<f64>> {
    let sizes = scaling.variants.iter().flat_map(|scaled| &scaled.sizes);
    let flops: Vec<f64> = sizes.map(|at| at.flops).collect();
    let first = *flops.first()?;
    (flops.iter().any(|flops| *flops != first)).then_some(flops)
}

/// FLOPs at the smallest and at the largest size.
fn ends(scaled: &ScaledVariant) -> Option<[f64; 2]> {
    Some([scaled.sizes.first()?.flops, scaled.sizes.last()?.flops])
}

fn fitted(fit: &Fit, [low, high]: [f64; 2]) -> Curve {
    let xs = (0..POINTS).map(|i| low * (high / low).powf(i as f64 / (POINTS - 1) as f64));
    let xs: Vec<f64> = xs.collect();
    let band = xs.iter().filter_map(|&x| {
        let interval = fit.band(x)?;
        Some((x, interval.low, interval.high))
    });
    Curve {
        points: xs.iter().map(|&x| (x, fit.curve.loss(x))).collect(),
        band: band.collect(),
    }
}

/// The lines of the variants. `line` gives the curve of one, and its marked points.
fn lines<'a>(
    scaling: &'a Scaling,
    legend: &Legend,
    line: impl Fn(&ScaledVariant) -> Option<(Curve, Vec<(f64, f64)>)>,
) -> Vec<Line<'a>> {
    let all = scaling.variants.iter().filter_map(|scaled| {
        let (curve, marks) = line(scaled)?;
        Some(Line::new(scaled.variant, legend, curve).with_marks(marks))
    });
    let mut lines: Vec<Line> = all.collect();
    lines.sort_by_key(|line| line.is_highlighted);
    lines
}

fn draw(
    title: String,
    caption: String,
    flops: &[f64],
    references: Vec<(f64, &'static str)>,
    lines: &[Line],
) -> Drawn {
    let shown = lines.iter().flat_map(|line| {
        let points = line.curve.points.iter().chain(&line.marks);
        let points = points.map(|(_, y)| *y);
        let band = line.curve.band.iter();
        points.chain(band.flat_map(|(_, low, high)| [*low, *high]))
    });
    let shown = shown.chain(references.iter().map(|(value, _)| *value));
    let chart = Chart {
        title,
        caption,
        x_title: "FLOPs of training".to_owned(),
        x: Axis::logarithmic_beyond(WIDE, flops)?,
        y: Axis::linear(shown)?,
        front: Vec::new(),
        references,
        marks: Marks::Lines,
        x_tick: units::tick,
    };
    let svg = labelled_at_the_right(&chart, lines);
    chart.drawn(lines, svg)
}

/// A text whose first letter is a capital.
fn sentence_case(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + chars.as_str()
}
