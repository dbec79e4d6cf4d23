//! The range of values that a plot of differences shows.

use crate::report::analysis::ranking::Variant;
use crate::stats::Comparison;

/// A row that reaches this many times further than the previous one is cut off, because it would
/// leave too little room for all other rows.
const FAR: f64 = 4.0;

/// Room for intervals on both sides of the means and seeds, as a share of their range. It is enough for the interval of
/// any three seeds, which reaches at most 1.1 times as far as their range beyond them.
const ROOM: f64 = 1.1;

/// What a row draws.
#[derive(Debug, Clone)]
pub(super) struct Reach {
    mean: f64,
    /// The mean and the difference of each seed.
    dots: Vec<f64>,
    /// How far its interval reaches from 0, as if it were the only one.
    interval: f64,
    /// The ends of its intervals, its mean and its seeds.
    ends: Vec<f64>,
}

impl Reach {
    pub(super) fn of(variant: &Variant, comparison: &Comparison) -> Self {
        // A sequential design has corrected intervals only.
        let interval = comparison.interval.or(comparison.corrected);
        let mean = comparison.mean;
        let finite = |value: &f64| value.is_finite();
        let seeds = variant.differences.iter().map(|(_, d)| *d);
        Self {
            mean,
            dots: seeds.chain([mean]).filter(finite).collect(),
            interval: interval.map_or(mean.abs(), |i| i.low.abs().max(i.high.abs())),
            ends: ends(variant, comparison).filter(finite).collect(),
        }
    }

    /// How far from 0 the row reaches. A wide interval counts in part, because it can be cut.
    fn size(&self) -> f64 {
        let dots = self
            .dots
            .iter()
            .fold(0.0, |most: f64, dot| dot.abs().max(most));
        self.interval.min(2.0 * dots).max(dots)
    }
}

/// The positions of everything that a row draws.
pub(super) fn ends<'a>(
    variant: &'a Variant,
    comparison: &'a Comparison,
) -> impl Iterator<Item = f64> + 'a {
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

/// The ends of the axis: it contains 0, the means and the seeds, and the intervals that are not much wider. The others
/// are cut, and so are rows that reach much further than the rest.
pub(super) fn range(mut rows: Vec<Reach>) -> Option<(f64, f64)> {
    rows.sort_by(|a, b| a.size().total_cmp(&b.size()));
    // At most half of the rows are cut off; otherwise the plot would hide most of its data.
    let half = rows.len() / 2;
    let gap = rows[half..]
        .windows(2)
        .find(|pair| pair[0].size() > 0.0 && pair[1].size() > FAR * pair[0].size());
    let near = gap.map_or(f64::INFINITY, |pair| pair[0].size());
    rows.retain(|row| row.mean.abs() <= near);
    if rows.is_empty() {
        return None;
    }
    let dots = rows.iter().flat_map(|row| &row.dots).copied();
    let (low, high) = around_zero(dots.filter(|dot| dot.abs() <= 2.5 * near));
    let ends = || rows.iter().flat_map(|row| &row.ends).copied();
    if low == high {
        return Some(around_zero(ends()));
    }
    let room = ROOM * (high - low);
    Some(around_zero(
        ends().map(|end| end.clamp(low - room, high + room)),
    ))
}

/// The smallest range that contains 0 and the values.
fn around_zero(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((0.0, 0.0), |(low, high): (f64, f64), value| {
        (low.min(value), high.max(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row of three seeds whose interval reaches so far to both sides of its mean.
    fn row(mean: f64, interval: f64) -> Reach {
        let dots = vec![mean - 0.01, mean, mean + 0.01];
        Reach {
            mean,
            interval: mean.abs() + interval,
            ends: [mean - interval, mean + interval]
                .into_iter()
                .chain(dots.clone())
                .collect(),
            dots,
        }
    }

    fn rounded(rows: &[Reach]) -> Option<(f64, f64)> {
        let round = |value: f64| (value * 1e4).round() / 1e4;
        range(rows.to_vec()).map(|(low, high)| (round(low), round(high)))
    }

    #[test]
    fn the_range_contains_all_but_far_rows() {
        let far = |mean| rounded(&[0.01, 0.02, mean].map(|mean| row(mean, 0.02)));
        assert_eq!(far(0.1), Some((-0.01, 0.12)));
        assert_eq!(far(5.0), Some((-0.01, 0.04)));
        assert_eq!(rounded(&[row(1.0, 0.02)]), Some((0.0, 1.02)));
        assert_eq!(rounded(&[]), None);
    }

    #[test]
    fn a_wide_interval_is_cut() {
        let rows = [row(-0.97, 56.0), row(0.17, 0.02)];
        assert_eq!(rounded(&rows), Some((-2.256, 1.456)));
        let only = Reach {
            mean: 0.0,
            dots: vec![0.0],
            interval: 0.5,
            ends: vec![-0.5, 0.5],
        };
        assert_eq!(rounded(&[only]), Some((-0.5, 0.5)));
    }
}
