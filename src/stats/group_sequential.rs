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

use statrs::distribution::{ContinuousCDF, StudentsT};
use std::f64::consts::{FRAC_PI_2, PI};

/// Points of `r` between 0 and a bound at which a probability is stored.
const POINTS: usize = 128;

/// Intervals of the integrals over φ, an even number.
const INTERVALS: usize = 96;

/// Largest level of a look. Greater ones would make the bound of `r` less than 1.
const MAX_LEVEL: f64 = 0.3;

/// One test of a sample that grows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Look {
    /// Size of the sample, at least 2.
    pub n: usize,
    /// Two-sided significance level of this look.
    pub level: f64,
}

/// The looks `first..=last`, with levels in proportion to the size of the sample. The probability that a
/// sample with mean 0 is called different at any of `earlier` or of these looks is `alpha`. `earlier` are
/// looks at smaller samples, whose levels are given.
///
/// Returns no look where `earlier` have used up all of `alpha`.
pub fn proportional_looks(earlier: &[Look], first: usize, last: usize, alpha: f64) -> Vec<Look> {
    let looks = |slope: f64| -> Vec<Look> {
        let look = |n: usize| Look {
            n,
            level: slope * n as f64,
        };
        (first.max(2)..=last).map(look).collect()
    };
    let total = |slope: f64| {
        let mut all = earlier.to_vec();
        all.extend(looks(slope));
        false_alarm_rate(&all)
    };
    if first > last || total(0.0) >= alpha {
        return Vec::new();
    }
    // The last look alone has at most the level alpha.
    let (mut low, mut high) = (0.0, alpha.min(MAX_LEVEL) / last as f64);
    for _ in 0..50 {
        let middle = (low + high) / 2.0;
        match total(middle) <= alpha {
            true => low = middle,
            false => high = middle,
        }
    }
    looks(low)
}

/// The probability that independent normal values with mean 0 are called different at any of the looks,
/// which are sorted by `n`. Looks with a level of 0 are permitted.
pub fn false_alarm_rate(looks: &[Look]) -> f64 {
    let looks: Vec<Look> = looks.iter().copied().filter(|look| look.level > 0.0).collect();
    let (Some(first), Some(last)) = (looks.first(), looks.last()) else {
        return 0.0;
    };
    let bound = |n: usize| {
        let look = looks.iter().find(|look| look.n == n);
        look.map_or(f64::INFINITY, |look| bound_of_r(*look))
    };
    let mut later = Later::certain();
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
    1.0 - inside / integrate(0.0, FRAC_PI_2, density)
}

/// The bound of |r| at a look.
fn bound_of_r(look: Look) -> f64 {
    let n = look.n as f64;
    let t = quantile(look.n, look.level);
    t * (n / (n - 1.0 + t * t)).sqrt()
}

/// The bound of |t| for a sample of `n` at a two-sided level.
fn quantile(n: usize, level: f64) -> f64 {
    let distribution = StudentsT::new(0.0, 1.0, n as f64 - 1.0).expect("two values or more");
    -distribution.inverse_cdf(level / 2.0)
}

/// The probability to cross no bound at later looks, given r. It is the same for r and -r.
struct Later {
    /// Bound of r at this look.
    bound: f64,
    /// Values at equal distances from 0 to the bound. Empty if there are no later looks.
    values: Vec<f64>,
}

impl Later {
    fn certain() -> Self {
        Self {
            bound: 0.0,
            values: Vec::new(),
        }
    }

    fn at(&self, r: f64) -> f64 {
        let Some(last) = self.values.len().checked_sub(1) else {
            return 1.0;
        };
        let position = (r.abs() / self.bound).min(1.0) * last as f64;
        let index = (position as usize).min(last - 1);
        let share = position - index as f64;
        self.values[index] * (1.0 - share) + self.values[index + 1] * share
    }

    /// The same for the look at `n`, given `self` for the look at `n + 1`.
    fn before(&self, n: usize, bound: f64, next_bound: f64) -> Self {
        // |r| is at most sqrt(n).
        let bound = bound.min((n as f64).sqrt());
        let density = |angle: f64| angle.cos().powi(n as i32 - 1);
        let total = 2.0 * integrate(0.0, FRAC_PI_2, density);
        let value = |index: usize| {
            let r = bound * index as f64 / (POINTS - 1) as f64;
            let inside = |from: f64, to: f64| {
                integrate(from, to, |angle| {
                    density(angle) * self.at(r * angle.cos() + angle.sin())
                })
            };
            // The next r is radius sin(angle + shift).
            let (radius, shift) = (r.hypot(1.0), r.atan());
            if radius <= next_bound {
                return inside(-FRAC_PI_2, FRAC_PI_2) / total;
            }
            let crossing = (next_bound / radius).asin();
            let parts = [
                (-FRAC_PI_2, crossing - shift),
                (PI - crossing - shift, FRAC_PI_2),
            ];
            let parts = parts.into_iter().filter(|(from, to)| from < to);
            parts.map(|(from, to)| inside(from, to)).sum::<f64>() / total
        };
        Self {
            bound,
            values: (0..POINTS).map(value).collect(),
        }
    }
}

/// The integral by Simpson's rule.
fn integrate(from: f64, to: f64, f: impl Fn(f64) -> f64) -> f64 {
    let step = (to - from) / INTERVALS as f64;
    let inner = |index: usize| {
        let weight = if index % 2 == 1 { 4.0 } else { 2.0 };
        weight * f(from + step * index as f64)
    };
    step / 3.0 * (f(from) + f(to) + (1..INTERVALS).map(inner).sum::<f64>())
}
