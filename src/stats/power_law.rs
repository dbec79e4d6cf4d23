use super::mean;
use crate::random::{Stream, below};
use rand_core::RngCore;

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
        const STEPS: usize = 120;
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

    /// The curves that fit resampled losses: at each cost, as many seeds as there are, drawn with replacement. The
    /// distance of a drawn loss from its mean is stretched, because the spread of `n` resampled values is too small by
    /// `sqrt((n - 1) / n)`. The draws depend on `stream` alone. Empty if a cost has only one seed.
    pub fn bootstrap(sizes: &[LossesAtCost], stream: &str) -> Vec<Self> {
        if sizes.iter().any(|size| size.losses.len() < 2) {
            return Vec::new();
        }
        let stream = Stream::new(1, stream);
        let resample = |number: u64| {
            let mut rng = stream.at(number);
            let point = |size: &LossesAtCost| Some((size.cost, size.resampled_mean(&mut rng)?));
            let points: Option<Vec<(f64, f64)>> = sizes.iter().map(point).collect();
            Self::fit(&points?)
        };
        (0..RESAMPLES).filter_map(resample).collect()
    }
}

impl LossesAtCost {
    /// Mean loss.
    pub fn mean(&self) -> Option<f64> {
        mean(&self.losses)
    }

    fn resampled_mean(&self, rng: &mut impl RngCore) -> Option<f64> {
        let n = self.losses.len();
        let center = self.mean()?;
        let drawn: f64 = (0..n)
            .map(|_| self.losses[below(rng, n as u64) as usize] - center)
            .sum();
        let stretch = (n as f64 / (n as f64 - 1.0)).sqrt();
        Some(center + stretch * drawn / n as f64)
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
    for _ in 0..60 {
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

    /// The share of intervals that contain the true exponent and the true loss at a larger cost is close to 95 %.
    #[test]
    fn bands_cover_the_truth() {
        let curve = PowerLaw {
            floor: 1.4,
            scale: 0.5,
            exponent: 0.35,
            reference: 1e12,
        };
        let mut covered = 0;
        const TRIALS: u64 = 60;
        for trial in 0..TRIALS {
            let mut rng = Stream::new(trial, "noise").at(0);
            let mut noise = || {
                let sum: f64 = (0..12).map(|_| crate::random::unit(&mut rng)).sum();
                0.004 * (sum - 6.0)
            };
            let sizes = COSTS.map(|cost| LossesAtCost {
                cost,
                losses: (0..8).map(|_| curve.loss(cost) + noise()).collect(),
            });
            let mut predicted: Vec<f64> = PowerLaw::bootstrap(&sizes, "bands")
                .iter()
                .map(|fit| fit.loss(3e13))
                .collect();
            predicted.sort_by(f64::total_cmp);
            let n = predicted.len();
            let (low, high) = (predicted[n / 40], predicted[n - 1 - n / 40]);
            covered += u64::from((low..=high).contains(&curve.loss(3e13)));
        }
        assert!(covered * 100 >= TRIALS * 83, "{covered} of {TRIALS}");
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
