//! The variants that no other beats in loss and cost, as dashed steps in a plot.

use super::canvas::{Canvas, Error, Frame, Point};
use super::palette::REFERENCE;
use crate::report::analysis::cost::{is_left_out, pareto_points};
use crate::report::analysis::ranking::Ranking;

/// What the steps of a front are. Empty without a front.
pub(super) fn caption(ranking: &Ranking, front: &[(f64, f64)]) -> String {
    if front.is_empty() {
        return String::new();
    }
    let mut text = " The dashed steps join the variants that no other beats: none is at least as good in both loss and cost.".to_owned();
    if ranking.has_different_seeds() {
        text += " They compare the losses on the seeds that a variant shares with the baseline, so a dot can be beside them.";
    }
    if ranking
        .ranked()
        .any(|variant| is_left_out(ranking, variant))
    {
        text += " Variants without a result for every seed are left out of them.";
    }
    text
}

/// The points (cost, loss) that no other beats, the cheapest first. Empty with fewer than three points.
pub(super) fn front_of(points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    if points.len() < 3 {
        return Vec::new();
    }
    let front = pareto_points(&points).into_iter();
    front.map(|index| points[index]).collect()
}

/// Dashed steps through the points (cost, loss) that no other beats, up to the right edge. What is above and to the
/// right of them is beaten.
pub(super) fn draw_front(canvas: &Canvas, steps: Vec<Point>) -> Result<(), Error> {
    match steps.is_empty() {
        true => Ok(()),
        false => canvas.line(steps, REFERENCE, 3),
    }
}

/// The corners of the steps.
pub(super) fn front_steps(frame: &Frame, front: &[(f64, f64)]) -> Vec<Point> {
    let points: Vec<Point> = front.iter().map(|&point| frame.at(point)).collect();
    let (Some(&first), Some(&last)) = (points.first(), points.last()) else {
        return Vec::new();
    };
    let mut steps = vec![first];
    for pair in points.windows(2) {
        steps.extend([(pair[1].0, pair[0].1), pair[1]]);
    }
    steps.push((frame.right, last.1));
    steps
}
