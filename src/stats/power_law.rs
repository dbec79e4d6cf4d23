use super::mean;
use crate::random::{Stream, below};
use rand_core::RngCore;
use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

/// Number of resamples of a bootstrap.
const RESAMPLES: u64 = 1000;

/// Smallest and largest exponent that is tried.
const EXPONENTS: [f64; 2] = [1e-3, 4.0];

/// A loss as a function of the cost of training: `floor + scale * (cost / reference)^-exponent`, with a floor and a
/// scale that are not negative (Hestness et al. 2017; Hoffmann et al. 2022, equation 2 with one variable).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PowerLaw {
    pub floor: f64,
    /// What the loss is above the floor at the reference.
    pub scale: f64,
    pub exponent: f64,
    /// The geometric mean of the costs that it was fitted to.
    pub reference: f64,
}

/// The losses of several seeds at one cost.
#[derive(Debug, Clone, PartialEq)]
pub struct LossesAtCost {
    pub cost: f64,
    pub losses: Vec<f64>,
}

impl PowerLaw {
    /// The curve through points (cost, loss) with the least squares. `None` for fewer than three points, for costs or
    /// losses that are not positive, and if the losses do not fall.
    pub fn fit(points: &[(f64, f64)]) -> Option<Self> {
        let are_valid = points
            .iter()
            .all(|(cost, loss)| [cost, loss].iter().all(|v| v.is_finite() && **v > 0.0));
        if points.len() < 3 || !are_valid {
            return None;
        }
        let logs: f64 = points.iter().map(|(cost, _)| cost.ln()).sum();
        let reference = (logs / points.len() as f64).exp();
        let scaled: Vec<(f64, f64)> = points
            .iter()
            .map(|(cost, loss)| (cost / reference, *loss))
            .collect();
        // For a given exponent, the rest is linear. The best exponent is searched on a logarithmic grid, and then
        // between its neighbors.
        const STEPS: usize = 40;
        let [low, high] = EXPONENTS.map(f64::ln);
        let at = |step: usize| low + (high - low) * step as f64 / STEPS as f64;
        let residual = |log: f64| linear_fit(&scaled, log.exp()).residual;
        let best = (0..=STEPS).min_by(|&a, &b| residual(at(a)).total_cmp(&residual(at(b))))?;
        let (from, to) = (at(best.saturating_sub(1)), at((best + 1).min(STEPS)));
        let exponent = minimum(from, to, residual).exp();
        let fit = linear_fit(&scaled, exponent);
        (fit.scale > 0.0).then_some(Self {
            floor: fit.floor,
            scale: fit.scale,
            exponent,
            reference,
        })
    }

    /// The loss at a cost.
    pub fn loss(&self, cost: f64) -> f64 {
        self.floor + self.scale * (cost / self.reference).powf(-self.exponent)
    }

    /// The cost at which the curve reaches a loss. `None` at the floor and below.
    pub fn cost(&self, loss: f64) -> Option<f64> {
        let above = loss - self.floor;
        let cost = self.reference * (above / self.scale).powf(-1.0 / self.exponent);
        (above > 0.0 && cost.is_finite()).then_some(cost)
    }

    /// Whether the losses determine the exponent: it is not at the end of those that are tried.
    pub fn is_determined(&self) -> bool {
        let [low, high] = EXPONENTS;
        (1.01 * low..0.99 * high).contains(&self.exponent)
    }

    /// The curves that fit resampled losses. Empty if a cost has only one seed, and if more than a few resamples have no
    /// curve.
    ///
    /// The mean at each cost is moved by the mean of residuals, drawn from those of all costs, as if the losses varied as
    /// much at every cost. They are stretched, because few residuals vary less than the losses: by `sqrt(n / (n - 1))`
    /// for `n` seeds, and by the ratio of the quantiles of Student's t and the normal distribution. The draws depend on
    /// `stream` alone.
    pub fn bootstrap(sizes: &[LossesAtCost], stream: &str) -> Vec<Self> {
        let Some(residuals) = Residuals::of(sizes) else {
            return Vec::new();
        };
        let stream = Stream::new(1, stream);
        let resampled =
            (0..RESAMPLES).filter_map(|number| residuals.fit(sizes, &mut stream.at(number)));
        enough(resampled.collect())
    }

    /// The means of as many seeds as `other` has, at its cost, that curves through resampled losses predict: the loss on
    /// the curve, moved by the mean of residuals. Empty where [`Self::bootstrap`] is.
    pub fn predictions(sizes: &[LossesAtCost], other: &LossesAtCost, stream: &str) -> Vec<f64> {
        let Some(residuals) = Residuals::of(sizes) else {
            return Vec::new();
        };
        let stream = Stream::new(1, stream);
        let predicted = |number: u64| {
            let mut rng = stream.at(number);
            let curve = residuals.fit(sizes, &mut rng)?;
            Some(curve.loss(other.cost) + residuals.mean_of(other.losses.len(), &mut rng))
        };
        enough((0..RESAMPLES).filter_map(predicted).collect())
    }
}

/// The results of resamples, or none if too many have failed: the rest would not show how uncertain they are.
fn enough<T>(resampled: Vec<T>) -> Vec<T> {
    match resampled.len() as f64 >= 0.975 * RESAMPLES as f64 {
        true => resampled,
        false => Vec::new(),
    }
}

/// The distances of losses from the means of their costs, stretched.
struct Residuals(Vec<f64>);

impl Residuals {
    /// `None` if a cost has only one seed.
    fn of(sizes: &[LossesAtCost]) -> Option<Self> {
        if sizes.iter().any(|size| size.losses.len() < 2) {
            return None;
        }
        let degrees_of_freedom: usize = sizes.iter().map(|size| size.losses.len() - 1).sum();
        let t = StudentsT::new(0.0, 1.0, degrees_of_freedom as f64).ok()?;
        let widening = t.inverse_cdf(0.975) / Normal::standard().inverse_cdf(0.975);
        let of_size = |size: &LossesAtCost| {
            let center = size.mean()?;
            let n = size.losses.len() as f64;
            let stretch = widening * (n / (n - 1.0)).sqrt();
            let residuals = size.losses.iter().map(|loss| stretch * (loss - center));
            Some(residuals.collect::<Vec<f64>>())
        };
        let all: Vec<Vec<f64>> = sizes.iter().map(of_size).collect::<Option<_>>()?;
        Some(Self(all.concat()))
    }

    /// The mean of `n` residuals, drawn with replacement.
    fn mean_of(&self, n: usize, rng: &mut impl RngCore) -> f64 {
        let drawn = (0..n).map(|_| self.0[below(rng, self.0.len() as u64) as usize]);
        drawn.sum::<f64>() / n as f64
    }

    fn fit(&self, sizes: &[LossesAtCost], rng: &mut impl RngCore) -> Option<PowerLaw> {
        let point = |size: &LossesAtCost| {
            Some((
                size.cost,
                size.mean()? + self.mean_of(size.losses.len(), rng),
            ))
        };
        let points: Option<Vec<(f64, f64)>> = sizes.iter().map(point).collect();
        PowerLaw::fit(&points?)
    }
}

impl LossesAtCost {
    /// Mean loss.
    pub fn mean(&self) -> Option<f64> {
        mean(&self.losses)
    }
}

/// Floor and scale for one exponent.
struct LinearFit {
    floor: f64,
    scale: f64,
    /// Sum of the squares of what is left.
    residual: f64,
}

/// The best floor and scale that are not negative, for an exponent.
fn linear_fit(points: &[(f64, f64)], exponent: f64) -> LinearFit {
    let powers: Vec<(f64, f64)> = points
        .iter()
        .map(|(cost, loss)| (cost.powf(-exponent), *loss))
        .collect();
    let n = powers.len() as f64;
    let mean_power = powers.iter().map(|(power, _)| power).sum::<f64>() / n;
    let mean_loss = powers.iter().map(|(_, loss)| loss).sum::<f64>() / n;
    let spread: f64 = powers.iter().map(|(p, _)| (p - mean_power).powi(2)).sum();
    let product: f64 = powers
        .iter()
        .map(|(p, loss)| (p - mean_power) * (loss - mean_loss))
        .sum();
    let scale = if spread > 0.0 { product / spread } else { 0.0 };
    let floor = mean_loss - scale * mean_power;
    let (floor, scale) = if scale <= 0.0 {
        (mean_loss, 0.0)
    } else if floor < 0.0 {
        let squares: f64 = powers.iter().map(|(p, _)| p * p).sum();
        let products: f64 = powers.iter().map(|(p, loss)| p * loss).sum();
        (0.0, products / squares)
    } else {
        (floor, scale)
    };
    let left = |(power, loss): &(f64, f64)| (loss - floor - scale * power).powi(2);
    LinearFit {
        floor,
        scale,
        residual: powers.iter().map(left).sum(),
    }
}

/// Where a function with one minimum between `low` and `high` has it, by golden-section search.
fn minimum(mut low: f64, mut high: f64, value: impl Fn(f64) -> f64) -> f64 {
    const GOLDEN: f64 = 0.618_033_988_749_894_8;
    let (mut left, mut right) = (high - GOLDEN * (high - low), low + GOLDEN * (high - low));
    let (mut at_left, mut at_right) = (value(left), value(right));
    for _ in 0..40 {
        if at_left <= at_right {
            (high, right, at_right) = (right, left, at_left);
            left = high - GOLDEN * (high - low);
            at_left = value(left);
        } else {
            (low, left, at_left) = (left, right, at_right);
            right = low + GOLDEN * (high - low);
            at_right = value(right);
        }
    }
    (low + high) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::percentile_interval;
    use proptest::prelude::*;

    const COSTS: [f64; 5] = [1e11, 3e11, 1e12, 3e12, 1e13];

    fn points(floor: f64, scale: f64, exponent: f64) -> Vec<(f64, f64)> {
        let curve = PowerLaw {
            floor,
            scale,
            exponent,
            reference: 1e12,
        };
        COSTS.map(|cost| (cost, curve.loss(cost))).to_vec()
    }

    #[test]
    fn a_curve_is_found_again() {
        for (floor, scale, exponent) in [(1.5, 0.6, 0.3), (0.0, 2.0, 0.05), (1.1, 0.01, 1.2)] {
            let points = points(floor, scale, exponent);
            let fit = PowerLaw::fit(&points).unwrap();
            assert!((fit.exponent / exponent - 1.0).abs() < 1e-3, "{fit:?}");
            assert!((fit.floor - floor).abs() < 1e-3, "{fit:?}");
            for (cost, loss) in points {
                assert!((fit.loss(cost) - loss).abs() < 1e-6, "{fit:?}");
                let found = fit.cost(loss).unwrap();
                assert!((found / cost - 1.0).abs() < 1e-3, "{found} {cost}");
            }
        }
    }

    /// scipy.optimize.curve_fit(lambda c, e, a, b: e + a * (c / ref) ** -b, costs, losses, bounds=(0, [9, 9, 4])), with
    /// ref = geometric mean of the costs.
    #[test]
    fn a_fit_of_noisy_losses_agrees_with_scipy() {
        let losses = [2.71, 2.33, 2.052, 1.861, 1.744];
        let points: Vec<(f64, f64)> = COSTS.into_iter().zip(losses).collect();
        let fit = PowerLaw::fit(&points).unwrap();
        let expected = [1.476_869_657_7, 0.573_426_569_7, 0.335_799_718_4];
        for (own, expected) in [fit.floor, fit.scale, fit.exponent]
            .into_iter()
            .zip(expected)
        {
            assert!((own / expected - 1.0).abs() < 1e-4, "{fit:?} {expected}");
        }
    }

    #[test]
    fn losses_that_do_not_fall_have_no_curve() {
        let rising: Vec<(f64, f64)> = COSTS.iter().map(|&cost| (cost, cost.ln())).collect();
        assert_eq!(PowerLaw::fit(&rising), None);
        assert_eq!(PowerLaw::fit(&rising[..2]), None);
        assert_eq!(
            PowerLaw::fit(&[(1.0, 3.0), (2.0, f64::NAN), (3.0, 1.0)]),
            None
        );
    }

    /// The shares of the intervals that contain the true loss at a larger cost, and a measured mean there, over many
    /// sweeps with noise. With an exact 95 % interval, fewer than 86 of 100 have a probability below 1 in 1,000.
    #[test]
    fn intervals_of_few_seeds_contain_the_truth() {
        let curve = PowerLaw {
            floor: 1.4,
            scale: 0.5,
            exponent: 0.35,
            reference: 1e12,
        };
        const TRIALS: u64 = 100;
        for seeds in [3, 8] {
            let (mut of_curve, mut of_mean) = (0, 0);
            for trial in 0..TRIALS {
                let mut rng = Stream::new(trial, "noise").at(seeds);
                let mut noise = || {
                    let sum: f64 = (0..12).map(|_| crate::random::unit(&mut rng)).sum();
                    0.004 * (sum - 6.0)
                };
                let mut at = |cost: f64| LossesAtCost {
                    cost,
                    losses: (0..seeds).map(|_| curve.loss(cost) + noise()).collect(),
                };
                let sizes = COSTS.map(&mut at);
                let largest = at(3e13);
                let interval = |values: Vec<f64>| percentile_interval(values, 0.05).unwrap();
                let fits = PowerLaw::bootstrap(&sizes, "fits");
                let losses = fits.iter().map(|fit| fit.loss(largest.cost)).collect();
                of_curve += u32::from(interval(losses).contains(curve.loss(largest.cost)));
                let means = PowerLaw::predictions(&sizes, &largest, "predictions");
                of_mean += u32::from(interval(means).contains(largest.mean().unwrap()));
            }
            assert!(
                of_curve >= 86 && of_mean >= 86,
                "{of_curve} {of_mean} with {seeds} seeds"
            );
        }
    }

    proptest! {
        #[test]
        fn a_fit_is_finite_and_not_worse_than_a_constant(
            losses in prop::collection::vec(0.1..9.0, 3..7),
        ) {
            let points: Vec<(f64, f64)> = losses
                .iter()
                .enumerate()
                .map(|(index, loss)| (10f64.powi(11 + index as i32), *loss))
                .collect();
            if let Some(fit) = PowerLaw::fit(&points) {
                let center = mean(&losses).unwrap();
                let squares = |value: &dyn Fn(f64) -> f64| -> f64 {
                    points.iter().map(|(cost, loss)| (loss - value(*cost)).powi(2)).sum()
                };
                prop_assert!(fit.floor >= 0.0 && fit.scale > 0.0 && fit.exponent.is_finite());
                prop_assert!(squares(&|cost| fit.loss(cost)) <= squares(&|_| center) * (1.0 + 1e-9));
            }
        }
    }
}
