//! Levels of a t-test that is repeated while its sample grows.
//!
//! A test at 5 % after every new seed calls far more than 5 % of the pairs of equal variants
//! different, because each look is another chance. A group-sequential test has a smaller level at each
//! look, such that the probability of a false alarm at any of the looks is 5 % in total (Jennison and
//! Turnbull 2000, chapter 2). Here, the levels grow in proportion to the number of seeds. The early
//! looks have little power, so they get little of the 5 %.
//!
//! The levels hold for Student's t and not only for large samples. Let `r = sum(x) / sqrt(sum(x²))`
//! for `n` independent normal values with mean 0. The t statistic is a function of `r` and `n`. The
//! direction of the vector of all values is independent of its length, so `r` is a Markov chain: with
//! `u = x / sqrt(sum of the earlier x²)`, the next value is `(r + u) / sqrt(1 + u²)`, and `u` has the
//! density of `t / sqrt(n)` with n degrees of freedom. With `u = tan(φ)` this becomes
//! `r cos(φ) + sin(φ)`, and φ has a density proportional to `cos(φ)^(n-1)`. The probability to cross no
//! bound is computed by integrals over φ, from the last look to the first.

use super::integral::integral;
use super::root::root;
use statrs::distribution::{ContinuousCDF, StudentsT};
use std::f64::consts::{FRAC_PI_2, PI};

/// Points of `r` between 0 and a bound at which a probability is stored.
const POINTS: usize = 128;

/// Intervals of the integrals over angles, an even number.
const INTERVALS: usize = 96;

/// Largest significance level.
const MAX_LEVEL: f64 = 0.3;

/// A smaller level is that of a test that never rejects.
const MIN_LEVEL: f64 = 1e-12;

/// One test of a sample that grows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Look {
    /// Size of the sample, at least 2.
    pub(super) n: usize,
    /// Two-sided significance level of this look.
    pub(super) level: f64,
}

/// Adds the looks `first..=last`, with levels in proportion to the size of the sample. The probability that
/// a sample with mean 0 is called different at any look, the earlier ones included, becomes `alpha`.
///
/// # Panics
/// If `alpha` is above 0.3, for which a bound of `r` could be less than 1.
pub(super) fn add_proportional_looks(looks: &mut Vec<Look>, first: usize, last: usize, alpha: f64) {
    assert!(alpha <= MAX_LEVEL, "a significance level is small");
    let spent = false_alarm_rate(looks);
    let with_slope = |slope: f64| -> Vec<Look> {
        let look = |n: usize| Look {
            n,
            level: slope * n as f64,
        };
        let added = (first.max(2)..=last).map(look);
        looks.iter().copied().chain(added).collect()
    };
    if first > last || spent >= alpha {
        return;
    }
    let missing = |level: f64| false_alarm_rate(&with_slope(level / last as f64)) - alpha;
    let slope = root(0.0, MAX_LEVEL, missing) / last as f64;
    *looks = with_slope(slope);
}

/// The probability that independent normal values with mean 0 are called different at any of the looks,
/// which are sorted by `n`.
pub(super) fn false_alarm_rate(looks: &[Look]) -> f64 {
    let (Some(first), Some(last)) = (looks.first(), looks.last()) else {
        return 0.0;
    };
    let bound = |n: usize| {
        let look = looks.iter().find(|look| look.n == n);
        look.map_or(f64::INFINITY, |look| bound_of_r(*look))
    };
    let mut later = Later::certain(last.n);
    for n in (first.n..last.n).rev() {
        later = later.before(n, bound(n), bound(n + 1));
    }
    // At the first look, the direction of the values is uniform: r = sqrt(n) sin(ψ), where ψ has a
    // density proportional to cos(ψ)^(n-2).
    let n = first.n as f64;
    let end = (bound(first.n) / n.sqrt()).min(1.0).asin();
    let density = |angle: f64| angle.cos().powf(n - 2.0);
    let inside = integrate(0.0, end, |angle| {
        density(angle) * later.at(n.sqrt() * angle.sin())
    });
    let widest = FRAC_PI_2.min(10.0 / n.sqrt()); // the density is negligible at larger angles
    1.0 - inside / integrate(0.0, widest, density)
}

/// The bound of |r| at a look.
fn bound_of_r(look: Look) -> f64 {
    let n = look.n as f64;
    let t = quantile(look.n, look.level.max(MIN_LEVEL));
    t * (n / (n - 1.0 + t * t)).sqrt()
}

/// The bound of |t| for a sample of `n` at a two-sided level.
fn quantile(n: usize, level: f64) -> f64 {
    let distribution = StudentsT::new(0.0, 1.0, n as f64 - 1.0).expect("two values or more");
    -distribution.inverse_cdf(level / 2.0)
}

/// The probability to cross no bound at later looks, given r at the look at `n`. It is the same for r and
/// -r. It changes fastest near the bound, so it is stored at equal distances of ψ, where
/// `r = sqrt(n) sin(ψ)`.
struct Later {
    n: f64,
    /// ψ at the bound of r.
    end: f64,
    /// Values for ψ from 0 to `end`. Empty if there are no later looks.
    values: Vec<f64>,
}

impl Later {
    fn certain(n: usize) -> Self {
        Self {
            n: n as f64,
            end: 0.0,
            values: Vec::new(),
        }
    }

    fn at(&self, r: f64) -> f64 {
        let Some(last) = self.values.len().checked_sub(1) else {
            return 1.0;
        };
        let angle = (r.abs() / self.n.sqrt()).min(1.0).asin();
        let position = (angle / self.end).min(1.0) * last as f64;
        let index = (position as usize).min(last - 1);
        let share = position - index as f64;
        self.values[index] * (1.0 - share) + self.values[index + 1] * share
    }

    /// The same for the look at `n`, given `self` for the look at `n + 1`.
    fn before(&self, n: usize, bound: f64, next_bound: f64) -> Self {
        let root = (n as f64).sqrt();
        // |r| is at most sqrt(n).
        let end = (bound / root).min(1.0).asin();
        // The density is negligible at larger angles.
        let widest = FRAC_PI_2.min(10.0 / root);
        let density = |angle: f64| angle.cos().powi(n as i32 - 1);
        let total = 2.0 * integrate(0.0, widest, density);
        let value = |index: usize| {
            let r = root * (end * index as f64 / (POINTS - 1) as f64).sin();
            let inside = |from: f64, to: f64| {
                integrate(from.max(-widest), to.min(widest), |angle| {
                    density(angle) * self.at(r * angle.cos() + angle.sin())
                })
            };
            // The next r is radius sin(angle + shift).
            let (radius, shift) = (r.hypot(1.0), r.atan());
            if radius <= next_bound {
                return inside(-widest, widest) / total;
            }
            let crossing = (next_bound / radius).asin();
            let parts = [(-widest, crossing - shift), (PI - crossing - shift, widest)];
            let parts = parts.into_iter().filter(|(from, to)| from < to);
            parts.map(|(from, to)| inside(from, to)).sum::<f64>() / total
        };
        Self {
            n: n as f64,
            end,
            values: (0..POINTS).map(value).collect(),
        }
    }
}

/// The integral with [`INTERVALS`] intervals.
fn integrate(from: f64, to: f64, f: impl Fn(f64) -> f64) -> f64 {
    integral(from, to, INTERVALS, f)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{self, Stream};
    use crate::stats::Paired;

    fn proportional_looks(first: usize, last: usize, alpha: f64) -> Vec<Look> {
        let mut looks = Vec::new();
        add_proportional_looks(&mut looks, first, last, alpha);
        looks
    }

    /// Share of samples with mean 0 and standard deviation 1 that are called different at any look.
    fn simulated_rate(looks: &[Look], samples: u64) -> f64 {
        let stream = Stream::new(1, "group_sequential");
        let last = looks.last().unwrap().n;
        let crosses = |sample: &u64| {
            let mut rng = stream.at(*sample);
            let mut normal = || {
                let (u, v) = (1.0 - random::unit(&mut rng), random::unit(&mut rng));
                (-2.0 * u.ln()).sqrt() * (2.0 * PI * v).cos()
            };
            let values: Vec<f64> = (0..last).map(|_| normal()).collect();
            looks.iter().any(|look| {
                let paired = Paired::new(&values[..look.n]).unwrap();
                paired.p_value() < look.level
            })
        };
        (0..samples).filter(crosses).count() as f64 / samples as f64
    }

    #[test]
    fn the_rate_agrees_with_a_simulation() {
        let samples = 20_000;
        for alpha in [0.05, 0.2] {
            let looks = proportional_looks(3, 12, alpha);
            let rate = simulated_rate(&looks, samples);
            let deviation = (alpha * (1.0 - alpha) / samples as f64).sqrt();
            assert!((rate - alpha).abs() < 3.0 * deviation, "{alpha}: {rate}");
        }
        // A fixed list of seeds that is looked at again.
        let again = [3, 5].map(|n| Look { n, level: 0.05 });
        let (exact, rate) = (false_alarm_rate(&again), simulated_rate(&again, samples));
        assert!((exact - rate).abs() < 0.006, "{exact} {rate}");
        assert!(exact > 0.07, "{exact}");
        // After each of the seeds 3 to 12: `experiments/README.md` names this figure.
        let each: Vec<Look> = (3..=12).map(|n| Look { n, level: 0.05 }).collect();
        let rate = false_alarm_rate(&each);
        assert!((rate - 0.184).abs() < 0.001, "{rate}");
    }

    #[test]
    fn one_look_has_the_whole_level() {
        let looks = proportional_looks(5, 5, 0.05);
        let [Look { n: 5, level }] = looks[..] else {
            panic!("{looks:?}");
        };
        assert!((level - 0.05).abs() < 1e-6, "{level}");
    }

    #[test]
    fn levels_grow_in_proportion_to_the_number_of_seeds() {
        // Levels at 3 and 12 seeds by an independent simulation.
        for (alpha, first, last) in [(0.05, 0.0044, 0.0177), (0.01, 0.0007, 0.0029)] {
            let looks = proportional_looks(3, 12, alpha);
            assert_eq!(looks.len(), 10);
            assert!((looks[0].level - first).abs() < 5e-5, "{looks:?}");
            assert!((looks[9].level - last).abs() < 5e-5, "{looks:?}");
            assert!((looks[9].level / looks[0].level - 4.0).abs() < 1e-9);
            assert!((false_alarm_rate(&looks) - alpha).abs() < 1e-6);
        }
    }

    #[test]
    fn many_looks_and_small_levels_are_accurate() {
        // Finer grids give the same rates to 0.5 %.
        for (alpha, first, last, samples) in [(0.05 / 20.0, 3, 12, 100_000), (0.05, 3, 100, 5000)] {
            let looks = proportional_looks(first, last, alpha);
            assert!(looks.iter().all(|look| look.level > 0.0), "{looks:?}");
            let rate = simulated_rate(&looks, samples);
            let deviation = (alpha / samples as f64).sqrt();
            assert!((rate - alpha).abs() < 3.5 * deviation, "{alpha}: {rate}");
        }
    }
}
