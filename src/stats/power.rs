//! How many seeds would decide a comparison.

use super::integral::integral;
use super::{Design, mean, sample_sd};
use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

/// The probability of a verdict at which a number of seeds is called enough.
const POWER: f64 = 0.8;

/// Most seeds of a fixed design.
const MAX_PAIRS: usize = 1000;

/// Most seeds of a sequential design.
const MAX_SEQUENTIAL_PAIRS: usize = 100;

/// How many seeds would decide a comparison with a probability of [`POWER`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PairsToDecide {
    About(usize),
    /// More than a sweep can have, which is this number.
    MoreThan(usize),
}

/// Intervals of the integral over the standard deviation, an even number.
const INTERVALS: usize = 200;

/// The number of seeds, in all, with which a comparison is decided with a probability of 0.8, if the
/// differences have the mean and the standard deviation of those observed so far. For a fixed design, it
/// is that of a new sweep. For a sequential design, it is a maximum to which the present one can be
/// raised. `None` for fewer than two differences, and for differences without spread.
pub fn pairs_to_decide(differences: &[f64], design: &Design) -> Option<PairsToDecide> {
    let (mean, sd) = (mean(differences)?, sample_sd(differences)?);
    if sd == 0.0 {
        return None;
    }
    let effect = Effect {
        mean: mean.abs() / sd,
        margin: design.margin().unwrap_or(0.0) / sd,
        alpha: design.level_of_more_seeds(),
    };
    let enough = |pairs: usize| effect.power(pairs) >= POWER;
    let first = differences.len() + 1;
    let most = match design.is_sequential() {
        true => MAX_SEQUENTIAL_PAIRS,
        false => MAX_PAIRS,
    };
    if first > most || !enough(most) {
        return Some(PairsToDecide::MoreThan(most));
    }
    let (mut low, mut high) = (first, most);
    while low < high {
        let middle = low.midpoint(high);
        match enough(middle) {
            true => high = middle,
            false => low = middle + 1,
        }
    }
    Some(PairsToDecide::About(low))
}

/// A true difference, in units of the standard deviation of the differences.
struct Effect {
    mean: f64,
    margin: f64,
    alpha: f64,
}

impl Effect {
    /// The probability of a verdict with `pairs` differences. An integral over the sample standard
    /// deviation s, which is independent of the sample mean: `s sqrt(n - 1)` has a chi distribution.
    fn power(&self, pairs: usize) -> f64 {
        let n = pairs as f64;
        let degrees = n - 1.0;
        let t = StudentsT::new(0.0, 1.0, degrees).map(|t| -t.inverse_cdf(self.alpha / 2.0));
        let (Ok(t), Ok(normal)) = (t, Normal::new(self.mean, 1.0 / n.sqrt())) else {
            return 0.0;
        };
        let decided = |s: f64| {
            let half_width = t * s / n.sqrt();
            // Undecided: the interval contains 0, and an end lies outside of the margin.
            let least = (self.margin - half_width).max(0.0);
            let undecided = |from: f64, to: f64| (normal.cdf(to) - normal.cdf(from)).max(0.0);
            if least == 0.0 {
                // Both parts meet at 0.
                return 1.0 - undecided(-half_width, half_width);
            }
            1.0 - undecided(least, half_width) - undecided(-half_width, -least)
        };
        // Proportional to the density of s. The largest exponent is subtracted.
        let exponent = |s: f64| (degrees - 1.0) * s.ln() - degrees * s * s / 2.0;
        let mode = ((degrees - 1.0) / degrees).max(0.01).sqrt();
        let density = |s: f64| (exponent(s) - exponent(mode)).exp();
        // The standard deviation of s is about 1 / sqrt(2 degrees).
        let width = 8.0 / degrees.sqrt();
        let (from, to) = ((1.0 - width).max(1e-6), 1.0 + width);
        let total = integral(from, to, INTERVALS, density);
        integral(from, to, INTERVALS, |s| density(s) * decided(s)) / total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn power_agrees_with_the_noncentral_t_distribution() {
        // scipy: 1 - nct.cdf(t, n - 1, d sqrt(n)) + nct.cdf(-t, n - 1, d sqrt(n)).
        for (mean, pairs, alpha, expected) in [
            (1.0, 10, 0.05, 0.803_096_9),
            (2.0, 5, 0.05, 0.908_884_9),
            (3.0, 3, 0.01, 0.243_233_4),
            (0.5, 40, 0.01, 0.674_168_0),
        ] {
            let effect = Effect {
                mean,
                margin: 0.0,
                alpha,
            };
            let power = effect.power(pairs);
            assert!((power - expected).abs() < 1e-4, "{mean} {pairs}: {power}");
        }
    }

    fn about(differences: &[f64], design: &Design) -> usize {
        match pairs_to_decide(differences, design) {
            Some(PairsToDecide::About(pairs)) => pairs,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn more_noise_needs_more_seeds() {
        let design = Design::fixed(1);
        let quiet = about(&[0.1, 0.2, 0.3], &design);
        let noisy = about(&[-0.2, 0.2, 0.6], &design);
        assert!(3 < quiet && quiet < noisy, "{quiet} {noisy}");
        let too_many = Some(PairsToDecide::MoreThan(1000));
        assert_eq!(pairs_to_decide(&[-0.3, 0.3, 0.001], &design), too_many);
        assert_eq!(pairs_to_decide(&[0.1], &design), None);
        assert_eq!(pairs_to_decide(&[0.1, 0.1], &design), None);
    }

    #[test]
    fn a_sequential_design_needs_more_seeds_than_a_new_sweep() {
        let differences = [0.1, 0.2, 0.3, -0.1];
        let fixed = about(&differences, &Design::fixed(3));
        let raised = about(&differences, &Design::sequential(3, 3, &[4]));
        assert!(fixed < raised && raised < 4 * fixed, "{fixed} {raised}");
        // The last test of the raised design has about the assumed level.
        let design = Design::sequential(3, 3, &[4]);
        let continued = Design::sequential(3, 3, &[4, raised]);
        let ratio = continued.level(raised).unwrap() / design.level_of_more_seeds();
        assert!((0.5..2.0).contains(&ratio), "{ratio}");
        // After a raise, a tenth is left of what was left before.
        let ratio = continued.level_of_more_seeds() / design.level_of_more_seeds();
        assert!((ratio - 0.1).abs() < 1e-9, "{ratio}");
    }

    #[test]
    fn a_margin_decides_small_differences() {
        let tiny = [0.01, -0.01, 0.011, -0.009];
        let without = pairs_to_decide(&tiny, &Design::fixed(1));
        assert_eq!(without, Some(PairsToDecide::MoreThan(1000)));
        let with_margin = Design::fixed(1).with_margin(Some(0.02));
        let seeds = about(&tiny, &with_margin);
        assert!((5..12).contains(&seeds), "{seeds}");
    }
}
