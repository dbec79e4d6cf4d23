//! The curves of the loss against what training costs.

use super::Drawn;
use super::axis::Axis;
use super::curves::{cut_off, seeds};
use super::legend::Legend;
use super::lines::{Chart, Line, labelled_at_the_end, lines, settled, xs};
use super::series;
use crate::report::analysis::ranking::{Ranking, Variant};
use crate::text::units;

/// Validation loss against the FLOPs of training. `None` if these are proportional to the tokens.
pub(super) fn flops(ranking: &Ranking, legend: &Legend) -> Drawn {
    /// Costs per token that differ by less are the same.
    const SAME: f64 = 1.02;
    let per_token = |variant: &Variant| variant.representative.planned.flops_per_token;
    let trained = || {
        ranking
            .ranked()
            .filter(|variant| variant.is_trained())
            .map(per_token)
    };
    let (low, high) = (
        trained().fold(f64::INFINITY, f64::min),
        trained().fold(0.0, f64::max),
    );
    if high <= SAME * low {
        return None;
    }
    let mut lines = lines(ranking, legend, series::validation, |_| Vec::new());
    lines.retain(|line| line.variant.is_trained());
    for line in &mut lines {
        let flops = per_token(line.variant);
        line.curve.points.iter_mut().for_each(|(x, _)| *x *= flops);
        line.curve.band.clear();
        line.curve.points.retain(|(flops, _)| *flops > 0.0); // a logarithmic axis has no 0
    }
    let y = Axis::linear(settled(&lines))?;
    let ends: Vec<f64> = lines
        .iter()
        .filter_map(|line| Some(line.curve.points.last()?.0))
        .collect();
    let all: Vec<f64> = xs(&lines).collect();
    let cut_off = cut_off(&lines, &y);
    let chart = Chart {
        title: "Validation loss against FLOPs of training (bits per byte, lower is better)"
            .to_owned(),
        caption: format!(
            "Mean over {}. The dot marks the end of training.{cut_off}",
            seeds(ranking)
        ),
        x_title: "FLOPs of training".to_owned(),
        x: match Axis::logarithmic_beyond(3.0, &ends)? {
            ends if ends.is_logarithmic() => Axis::logarithmic_beyond(3.0, &all)?,
            _ => Axis::from_zero(all)?,
        },
        y,
        references: Vec::new(),
        has_points: false,
        x_tick: units::tick,
    };
    let svg = labelled_at_the_end(&chart, &lines);
    chart.drawn(&lines, svg)
}

pub(super) fn time(ranking: &Ranking, legend: &Legend) -> Drawn {
    let mut lines = lines(ranking, legend, series::over_time, |_| Vec::new());
    let longest = xs(&lines).fold(0.0, f64::max);
    let (unit, seconds) = match longest {
        0.0..300.0 => ("seconds", 1.0),
        300.0..18_000.0 => ("minutes", 60.0),
        _ => ("hours", 3600.0),
    };
    for (x, _) in lines.iter_mut().flat_map(|line| &mut line.curve.points) {
        *x /= seconds;
    }
    let end = |line: &Line| line.curve.points.last().map(|(x, _)| *x);
    let ends: Vec<f64> = lines.iter().filter_map(end).collect();
    let times: Vec<f64> = xs(&lines).collect();
    let y = Axis::linear(settled(&lines))?;
    let seeds = seeds(ranking);
    let cut_off = cut_off(&lines, &y);
    let chart = Chart {
        title: "Validation loss against training time (bits per byte, lower is better)".to_owned(),
        caption: format!(
            "Mean over {seeds}. The dot marks the end of training. Times depend on the machine and on what else it does.{cut_off}"
        ),
        x_title: format!("training time in {unit}, without evaluation and sampling"),
        x: match Axis::logarithmic_beyond(5.0, &ends)?.is_logarithmic() {
            true => Axis::logarithmic_beyond(5.0, &times)?,
            false => Axis::from_zero(times)?,
        },
        y,
        references: Vec::new(),
        has_points: false,
        x_tick: units::tick,
    };
    let svg = labelled_at_the_end(&chart, &lines);
    chart.drawn(&lines, svg)
}
