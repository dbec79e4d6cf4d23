//! The values of the curves.

use crate::report::analysis::ranking::Variant;
use crate::results::{Evaluation, StepMetric};
use std::collections::BTreeMap;

/// Largest number of points of a curve. More would make the file larger without a visible effect.
const MAX_POINTS: usize = 100;

/// The curve of a variant over its seeds.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Curve {
    /// (x, mean over the seeds).
    pub(super) points: Vec<(f64, f64)>,
    /// (x, lowest, highest); empty with one seed.
    pub(super) band: Vec<(f64, f64, f64)>,
}

/// Bits per byte on the validation split over training tokens.
pub(super) fn validation(variant: &Variant) -> Curve {
    let tokens = variant.representative.tokens_per_step() as f64;
    evaluations(variant, |evaluation| evaluation.step as f64 * tokens)
}

/// Bits per byte on the validation split over mean training time.
pub(super) fn over_time(variant: &Variant) -> Curve {
    let mut curve = evaluations(variant, |evaluation| evaluation.seconds);
    // Seeds reach a step at different times, so there is no band. A logarithmic axis has no 0.
    curve.band.clear();
    curve.points.retain(|(seconds, _)| *seconds > 0.0);
    curve
}

/// The evaluations at the steps that every finished run has evaluated. If the runs have different
/// numbers of steps, because their length is a time, their last evaluations are one point.
fn evaluations(variant: &Variant, x: impl Fn(&Evaluation) -> f64) -> Curve {
    let mut by_step: BTreeMap<u64, Vec<&Evaluation>> = BTreeMap::new();
    let finished: Vec<_> = variant
        .runs
        .iter()
        .filter(|run| run.result().is_some())
        .collect();
    let is_timed = variant.spec().train.planned_steps().is_none();
    for run in &finished {
        let last = run.evaluations().last().map(|evaluation| evaluation.step);
        for evaluation in run.evaluations().filter(|e| e.bits_per_byte.is_finite()) {
            let step = match is_timed && last == Some(evaluation.step) {
                true => u64::MAX,
                false => evaluation.step,
            };
            by_step.entry(step).or_default().push(evaluation);
        }
    }
    by_step.retain(|_, evaluations| evaluations.len() == finished.len());
    let mut curve = Curve::default();
    for (_, evaluations) in thinned(by_step.into_iter().collect()) {
        let n = evaluations.len() as f64;
        let bits = || evaluations.iter().map(|e| e.bits_per_byte);
        let x = evaluations.iter().map(|e| x(e)).sum::<f64>() / n;
        curve.points.push((x, bits().sum::<f64>() / n));
        if evaluations.len() > 1 {
            let low = bits().fold(f64::INFINITY, f64::min);
            let high = bits().fold(f64::NEG_INFINITY, f64::max);
            curve.band.push((x, low, high));
        }
    }
    curve
}

/// A value of the training steps, averaged over the seeds and over as many neighbouring steps as
/// leave [`MAX_POINTS`].
pub(super) fn steps(variant: &Variant, value: impl Fn(&StepMetric) -> f64) -> Curve {
    let tokens = variant.representative.tokens_per_step() as f64;
    let finished = || variant.runs.iter().filter(|run| run.result().is_some());
    let last = || {
        finished()
            .flat_map(|run| run.steps())
            .map(|step| step.step)
            .max()
    };
    let planned = variant.spec().train.planned_steps().or_else(last);
    let width = planned.unwrap_or(1).div_ceil(MAX_POINTS as u64).max(1);
    let mut bins: BTreeMap<u64, (f64, f64, f64)> = BTreeMap::new();
    for step in finished().flat_map(|run| run.steps()) {
        let value = value(step);
        if value.is_finite() {
            let (steps, sum, n) = bins.entry(step.step.saturating_sub(1) / width).or_default();
            *steps += step.step as f64;
            *sum += value;
            *n += 1.0;
        }
    }
    let points = bins
        .into_values()
        .map(|(steps, sum, n)| (steps / n * tokens, sum / n));
    Curve {
        points: points.collect(),
        band: Vec::new(),
    }
}

/// At most [`MAX_POINTS`] items, evenly spaced, with the first and the last.
fn thinned<T>(items: Vec<T>) -> Vec<T> {
    let n = items.len();
    if n <= MAX_POINTS {
        return items;
    }
    let kept = |index: usize| {
        // Each of the equal parts of the list keeps its first item.
        index == 0
            || index == n - 1
            || index * (MAX_POINTS - 1) / (n - 1) != (index - 1) * (MAX_POINTS - 1) / (n - 1)
    };
    let items = items.into_iter().enumerate();
    items
        .filter(|(index, _)| kept(*index))
        .map(|(_, item)| item)
        .collect()
}

/// The pieces of a curve at or below `top`, cut at the crossing points.
pub(super) fn clip(points: &[(f64, f64)], top: f64) -> Vec<Vec<(f64, f64)>> {
    let mut pieces: Vec<Vec<(f64, f64)>> = Vec::new();
    let mut above = true;
    let mut previous: Option<(f64, f64)> = None;
    for &(x, y) in points {
        let crossing = previous.filter(|(_, before)| (*before > top) != (y > top));
        let crossing = crossing.map(|(x0, y0)| (x0 + (top - y0) / (y - y0) * (x - x0), top));
        if y <= top {
            if above {
                pieces.push(Vec::new());
            }
            let piece = pieces.last_mut();
            piece
                .into_iter()
                .for_each(|piece| piece.extend(crossing.into_iter().chain([(x, y)])));
        } else if let Some(piece) = pieces.last_mut().filter(|_| !above) {
            piece.extend(crossing);
        }
        above = y > top;
        previous = Some((x, y));
    }
    pieces
}

/// The pieces of a band below `top`. It is cut where its lower edge crosses `top`, and flattened
/// where only its upper edge does.
pub(super) fn clip_band(band: &[(f64, f64, f64)], top: f64) -> Vec<Vec<(f64, f64, f64)>> {
    let mut fine: Vec<(f64, f64, f64)> = Vec::new();
    for &(x, low, high) in band {
        if let Some(&(x0, low0, high0)) = fine.last() {
            let crossing = |a: f64, b: f64| ((a > top) != (b > top)).then(|| (top - a) / (b - a));
            let mut cuts: Vec<f64> = [crossing(low0, low), crossing(high0, high)]
                .into_iter()
                .flatten()
                .collect();
            cuts.sort_by(f64::total_cmp);
            for t in cuts {
                let between = |a: f64, b: f64| a + t * (b - a);
                fine.push((between(x0, x), between(low0, low), between(high0, high)));
            }
        }
        fine.push((x, low, high));
    }
    // Rounding may put a crossing point slightly above the line.
    let inside = |low: f64| low <= top + 1e-9 * top.abs();
    fine.chunk_by(|a, b| inside(a.1) && inside(b.1))
        .filter(|piece| piece.len() > 1)
        .map(|piece| {
            piece
                .iter()
                .map(|&(x, low, high)| (x, low.min(top), high.min(top)))
                .collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::analysis::ranking::Ranking;
    use crate::report::testing::Folder;

    #[test]
    fn a_curve_is_the_mean_of_the_finished_seeds() {
        let folder = Folder::new("curve");
        for (seed, offset) in [(1, 0.0), (2, 0.5)] {
            folder
                .run("gpt", seed)
                .evaluations(&[(0, 4.0), (100, 2.0 + offset)])
                .done();
        }
        folder
            .run("gpt", 3)
            .evaluations(&[(0, 4.0), (100, 900.0)])
            .diverged("loss is not finite");
        folder.write_plan();
        let results = folder.results();
        let ranking = Ranking::new(&results);
        let curve = validation(&ranking.variants[0]);
        let tokens = 100.0 * 12.0 * 64.0;
        assert_eq!(curve.points, [(0.0, 4.0), (tokens, 2.25)]);
        assert_eq!(curve.band, [(0.0, 4.0, 4.0), (tokens, 2.0, 2.5)]);
    }

    #[test]
    fn curves_are_cut_at_the_top_of_the_scale() {
        let curve = [(0.0, 4.0), (1.0, 2.0), (2.0, 1.0), (3.0, 5.0)];
        assert_eq!(
            clip(&curve, 3.0),
            [[(0.5, 3.0), (1.0, 2.0), (2.0, 1.0), (2.5, 3.0)]]
        );
        assert_eq!(clip(&curve, 9.0), [curve]);
        assert!(clip(&curve, 0.0).is_empty());
        let band = [(0.0, 3.0, 5.0), (1.0, 1.0, 3.0)];
        assert_eq!(clip_band(&band, 2.0), [[(0.5, 2.0, 2.0), (1.0, 1.0, 2.0)]]);
    }

    #[test]
    fn thinning_keeps_both_ends() {
        let thin = thinned((0..12_345).collect());
        assert_eq!((thin[0], *thin.last().unwrap()), (0, 12_344));
        assert!(
            thin.len() <= MAX_POINTS && thin.len() > MAX_POINTS - 3,
            "{}",
            thin.len()
        );
    }
}
