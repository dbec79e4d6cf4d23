//! The curves of the loss against what training costs.

use super::Drawn;
use super::axis::Axis;
use super::curves::{cut_off, seeds};
use super::legend::Legend;
use super::lines::{Chart, Line, Marks, labelled_at_the_end, lines, settled, xs};
use super::pareto_front::{self, front_of};
use super::series;
use crate::report::analysis::cost::comparable_loss;
use crate::report::analysis::ranking::{Ranking, Variant};
use crate::text::units;

/// If the ends of training are further apart than this factor, the axis is logarithmic.
const WIDE: f64 = 5.0;

/// Validation loss against the FLOPs of training. `None` if these are proportional to the tokens.
pub(super) fn flops(ranking: &Ranking, legend: &Legend) -> Drawn {
    /// Costs per token that differ by less are the same.
    const SAME: f64 = 1.02;
    let per_token = |variant: &Variant| variant.representative.planned.flops_per_token;
    let trained = || {
        let trained = ranking.ranked().filter(|variant| variant.is_trained());
        trained.map(per_token)
    };
    let lowest = trained().fold(f64::INFINITY, f64::min);
    if trained().fold(0.0, f64::max) <= SAME * lowest {
        return None;
    }
    let mut lines = lines(ranking, legend, series::validation, |_| Vec::new());
    lines.retain(|line| line.variant.is_trained());
    for line in &mut lines {
        let flops = per_token(line.variant);
        line.curve.band.clear();
        line.curve.points.iter_mut().for_each(|(x, _)| *x *= flops);
        line.curve.points.retain(|(flops, _)| *flops > 0.0); // a logarithmic axis has no 0
    }
    let title = "Validation loss against FLOPs of training (bits per byte, lower is better)";
    cost_curves(ranking, lines, title, "FLOPs of training".to_owned(), "")
}

pub(super) fn time(ranking: &Ranking, legend: &Legend) -> Drawn {
    let mut lines = lines(ranking, legend, series::over_time, |_| Vec::new());
    let longest = xs(&lines).fold(0.0, f64::max);
    let (unit, seconds) = match longest {
        0.0..0.3 => ("milliseconds", 1e-3),
        0.3..300.0 => ("seconds", 1.0),
        300.0..18_000.0 => ("minutes", 60.0),
        _ => ("hours", 3600.0),
    };
    for (x, _) in lines.iter_mut().flat_map(|line| &mut line.curve.points) {
        *x /= seconds;
    }
    let title = "Validation loss against training time (bits per byte, lower is better)";
    let x_title = format!("training time in {unit}, without evaluation and sampling");
    let note = " Times depend on the machine and on what else it does.";
    cost_curves(ranking, lines, title, x_title, note)
}

/// The ends of training that no other beats. Empty with fewer than three ends.
fn front(lines: &[Line]) -> Vec<(f64, f64)> {
    let end = |line: &Line| Some((line.curve.points.last()?.0, line.front?));
    front_of(lines.iter().filter_map(end).collect())
}

/// The loss at the end of a curve, as if it were a mean over the seeds of the baseline. `None` if it is not compared.
fn comparable_end(ranking: &Ranking, line: &Line) -> Option<f64> {
    let comparable = comparable_loss(ranking, line.variant)?;
    let (_, end) = line.curve.points.last()?;
    Some(end + comparable - line.variant.mean_bits_per_byte()?)
}

fn cost_curves(
    ranking: &Ranking,
    mut lines: Vec<Line>,
    title: &str,
    x_title: String,
    note: &str,
) -> Drawn {
    for line in &mut lines {
        line.front = comparable_end(ranking, line);
        // The end of training.
        line.marks = line.curve.points.last().copied().into_iter().collect();
    }
    let lines = &lines;
    let end = |line: &Line| line.curve.points.last().map(|(x, _)| *x);
    let ends: Vec<f64> = lines.iter().filter_map(end).collect();
    let costs: Vec<f64> = xs(lines).collect();
    let y = Axis::linear(settled(lines))?;
    let front = front(lines);
    let steps = pareto_front::caption(ranking, &front);
    let chart = Chart {
        title: title.to_owned(),
        caption: format!(
            "Mean over {}. The dot marks the end of training.{steps}{note}{}",
            seeds(ranking),
            cut_off(lines, &y)
        ),
        x_title,
        x: match Axis::logarithmic_beyond(WIDE, &ends)?.is_logarithmic() {
            true => Axis::logarithmic_beyond(WIDE, &costs)?,
            false => Axis::from_zero(costs)?,
        },
        y,
        front,
        references: Vec::new(),
        marks: Marks::Lines,
        x_tick: units::tick,
    };
    let svg = labelled_at_the_end(&chart, lines);
    chart.drawn(lines, svg)
}
