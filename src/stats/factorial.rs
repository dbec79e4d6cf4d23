//! Analysis of variance of a full factorial experiment in randomized complete blocks.
//!
//! Every combination of the levels of all factors is measured once in each block (Montgomery, *Design and Analysis of
//! Experiments*, sections 4.1 and 5.6). Here a block is a seed: the difference between seeds is removed from the
//! error, because all combinations with the same seed see the same batches.

use super::ConfidenceInterval;
use statrs::distribution::{ContinuousCDF, FisherSnedecor, StudentsT};

/// The measurements and what is known of their variation.
#[derive(Debug, Clone, PartialEq)]
pub struct Factorial {
    /// Number of levels of each factor.
    levels: Vec<usize>,
    /// The mean over the blocks of each combination. The last factor varies fastest.
    cells: Vec<f64>,
    blocks: usize,
    /// Mean square of the error, and its degrees of freedom.
    error: f64,
    error_df: f64,
}

/// The effect of a factor, or the interaction of several.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Effect {
    pub df: usize,
    /// Share of the variation between combinations that the effect explains.
    pub share: f64,
    pub f: f64,
    /// Probability of such an F if there is no effect.
    pub p: f64,
}

impl Factorial {
    /// `values` has the measurements of each combination, one for each block, and the last factor varies fastest.
    /// `None` without two blocks, two combinations, or finite values, and if the values have no error at all.
    pub fn new(levels: &[usize], values: &[Vec<f64>]) -> Option<Self> {
        let blocks = values.first()?.len();
        let is_full = levels.iter().product::<usize>() == values.len();
        let is_complete = values.iter().all(|values| values.len() == blocks);
        let is_finite = values.iter().flatten().all(|value| value.is_finite());
        if !is_full || !is_complete || !is_finite || blocks < 2 || values.len() < 2 {
            return None;
        }
        let (n, b) = (values.len() as f64, blocks as f64);
        let cells: Vec<f64> = values.iter().map(|v| v.iter().sum::<f64>() / b).collect();
        let grand = cells.iter().sum::<f64>() / n;
        let mut error = 0.0;
        for block in 0..blocks {
            let mean = values.iter().map(|v| v[block]).sum::<f64>() / n;
            for (values, cell) in values.iter().zip(&cells) {
                error += (values[block] - mean - cell + grand).powi(2);
            }
        }
        let error_df = (n - 1.0) * (b - 1.0);
        let error = error / error_df;
        (error > 0.0).then(|| Self {
            levels: levels.to_vec(),
            cells,
            blocks,
            error,
            error_df,
        })
    }

    /// The mean over all combinations in which some factors have the levels given.
    pub fn mean(&self, fixed: &[(usize, usize)]) -> f64 {
        let mut sum = 0.0;
        let mut count = 0.0;
        for (index, value) in self.cells.iter().enumerate() {
            if fixed
                .iter()
                .all(|&(factor, level)| self.level(index, factor) == level)
            {
                sum += value;
                count += 1.0;
            }
        }
        sum / count
    }

    /// The effect of one factor, or the interaction of several, by their indices.
    pub fn effect(&self, factors: &[usize]) -> Effect {
        let combinations: usize = factors.iter().map(|&factor| self.levels[factor]).product();
        let repeats = (self.cells.len() * self.blocks / combinations) as f64;
        let mut squares = 0.0;
        for combination in 0..combinations {
            let fixed = self.combination(factors, combination);
            squares += repeats * self.contrast(&fixed).powi(2);
        }
        let grand = self.mean(&[]);
        let deviations = self.cells.iter().map(|cell| (cell - grand).powi(2));
        let all = self.blocks as f64 * deviations.sum::<f64>();
        let df: usize = factors
            .iter()
            .map(|&factor| self.levels[factor] - 1)
            .product();
        let f = squares / df as f64 / self.error;
        let p = FisherSnedecor::new(df as f64, self.error_df).map_or(f64::NAN, |d| d.sf(f));
        Effect {
            df,
            share: if all > 0.0 { squares / all } else { 0.0 },
            f,
            p,
        }
    }

    /// The interval of [`Self::mean`], for fixed blocks. It leaves out the variation of the blocks, which is the same
    /// for all levels.
    pub fn mean_interval(&self, fixed: &[(usize, usize)], alpha: f64) -> ConfidenceInterval {
        let levels: usize = fixed
            .iter()
            .map(|&(factor, _)| self.levels[factor])
            .product();
        let n = (self.cells.len() * self.blocks / levels) as f64;
        self.interval(self.mean(fixed), (self.error / n).sqrt(), alpha)
    }

    /// The mean of a level minus that of another one, and its interval.
    pub fn difference(
        &self,
        factor: usize,
        [level, other]: [usize; 2],
        alpha: f64,
    ) -> (f64, ConfidenceInterval) {
        let difference = self.mean(&[(factor, level)]) - self.mean(&[(factor, other)]);
        let repeats = (self.cells.len() * self.blocks / self.levels[factor]) as f64;
        let error = (2.0 * self.error / repeats).sqrt();
        (difference, self.interval(difference, error, alpha))
    }

    fn interval(&self, value: f64, error: f64, alpha: f64) -> ConfidenceInterval {
        let t = StudentsT::new(0.0, 1.0, self.error_df)
            .map_or(f64::NAN, |t| t.inverse_cdf(1.0 - alpha / 2.0));
        ConfidenceInterval {
            low: value - t * error,
            high: value + t * error,
        }
    }

    /// The level of a factor in a combination.
    fn level(&self, combination: usize, factor: usize) -> usize {
        let faster: usize = self.levels[factor + 1..].iter().product();
        combination / faster % self.levels[factor]
    }

    /// The levels of some factors, by the number of their combination.
    fn combination(&self, factors: &[usize], mut number: usize) -> Vec<(usize, usize)> {
        let mut fixed = Vec::new();
        for &factor in factors {
            fixed.push((factor, number % self.levels[factor]));
            number /= self.levels[factor];
        }
        fixed
    }

    /// The mean of a combination without the effects of its parts.
    fn contrast(&self, fixed: &[(usize, usize)]) -> f64 {
        let mut sum = 0.0;
        for subset in 0..1_u32 << fixed.len() {
            let chosen = fixed.iter().enumerate();
            let chosen = chosen.filter(|(index, _)| subset >> index & 1 == 1);
            let chosen: Vec<_> = chosen.map(|(_, pair)| *pair).collect();
            let sign = if (fixed.len() - chosen.len()).is_multiple_of(2) {
                1.0
            } else {
                -1.0
            };
            sum += sign * self.mean(&chosen);
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two levels by three levels in four blocks.
    fn example() -> Factorial {
        let values = [
            [1.5, 1.526, 1.535, 1.542],
            [1.441, 1.45, 1.491, 1.537],
            [1.39, 1.408, 1.45, 1.467],
            [1.602, 1.601, 1.639, 1.674],
            [1.523, 1.561, 1.552, 1.584],
            [1.493, 1.545, 1.545, 1.595],
        ];
        Factorial::new(&[2, 3], &values.map(|values| values.to_vec())).unwrap()
    }

    fn close(found: f64, expected: f64) {
        assert!(
            (found / expected - 1.0).abs() < 1e-9,
            "{found} is not {expected}"
        );
    }

    /// The expected values are those of statsmodels 0.14: `anova_lm(ols("y ~ C(a) * C(b) + C(s)", data).fit(), typ=2)`.
    #[test]
    fn effects_agree_with_statsmodels() {
        let factorial = example();
        let squares = [
            0.057_722_041_666_667_16,
            0.034_083,
            0.001_720_333_333_333_15,
        ];
        let all: f64 = squares.iter().sum();
        for (factors, df, squares, f, p) in [
            (
                &[0][..],
                1,
                squares[0],
                268.741_965_521_257_7,
                5.505_508_058_994_476e-11,
            ),
            (
                &[1],
                2,
                squares[1],
                79.341_722_385_320_47,
                1.053_164_621_724_310_5e-8,
            ),
            (
                &[0, 1],
                2,
                squares[2],
                4.004_759_256_624_389,
                0.040_399_683_341_367_08,
            ),
        ] {
            let effect = factorial.effect(factors);
            assert_eq!(effect.df, df);
            close(effect.share, squares / all);
            close(effect.f, f);
            close(effect.p, p);
        }
        close(factorial.mean(&[(1, 2)]), 1.486_625);
        close(factorial.mean(&[(0, 1), (1, 0)]), 1.629);
    }

    /// t with 15 degrees of freedom is 2.1314 at 95 %, and the mean square of the error is 0.00021479.
    #[test]
    fn intervals_have_the_error_of_the_blocks() {
        let factorial = example();
        let half = 2.131_449_545_559_776 * (0.000_214_786_111_111_110_75_f64 / 12.0).sqrt();
        let interval = factorial.mean_interval(&[(0, 1)], 0.05);
        close(interval.high - interval.low, 2.0 * half);
        let (difference, interval) = factorial.difference(0, [1, 0], 0.05);
        close(
            difference,
            1.576_166_666_666_666_7 - 1.478_083_333_333_333_2,
        );
        close(interval.high - difference, half * 2.0_f64.sqrt());
    }

    #[test]
    fn an_incomplete_experiment_is_not_analyzed() {
        let values = vec![vec![1.0, 2.0], vec![2.0, 4.0]];
        assert!(Factorial::new(&[2], &values).is_some());
        assert_eq!(Factorial::new(&[3], &values), None);
        assert_eq!(Factorial::new(&[2], &[vec![1.0], vec![2.0]]), None);
        assert_eq!(
            Factorial::new(&[2], &[vec![1.0, 2.0], vec![2.0, f64::NAN]]),
            None
        );
        assert_eq!(
            Factorial::new(&[2], &[vec![1.0, 2.0], vec![2.0, 3.0]]),
            None,
            "no error"
        );
        assert_eq!(Factorial::new(&[], &[]), None);
    }

    #[test]
    fn effects_of_three_factors_add_up() {
        let value = |index: usize| (index * index * 7 % 31) as f64;
        let values: Vec<Vec<f64>> = (0..12)
            .map(|i| vec![value(i), value(i + 5), value(i + 9)])
            .collect();
        let factorial = Factorial::new(&[2, 3, 2], &values).unwrap();
        let sets: [&[usize]; 7] = [&[0], &[1], &[2], &[0, 1], &[0, 2], &[1, 2], &[0, 1, 2]];
        let shares: f64 = sets
            .iter()
            .map(|factors| factorial.effect(factors).share)
            .sum();
        close(shares, 1.0);
        let df: usize = sets
            .iter()
            .map(|factors| factorial.effect(factors).df)
            .sum();
        assert_eq!(df, 11);
    }
}
