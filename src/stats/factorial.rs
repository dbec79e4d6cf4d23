//! Effects of the factors of a full factorial experiment in randomized complete blocks.
//!
//! Every combination of the levels of all factors is measured once in each block. Here a block is a seed: all
//! combinations with the same seed see the same batches. An effect consists of contrasts, which are sums of means with
//! weights that add up to 0. A contrast is computed in each block, and its mean over the blocks is tested by Student's
//! t. The usual analysis of variance (Montgomery, *Design and Analysis of Experiments*, section 5.6) instead has one
//! variance for all combinations, which is wrong if some of them vary more between seeds than others, as a high
//! learning rate does.

use super::{ConfidenceInterval, SampleMean, mean, sample_sd, t_test};
use statrs::distribution::{ContinuousCDF, StudentsT};

/// The measurements.
#[derive(Debug, Clone, PartialEq)]
pub struct Factorial {
    /// Number of levels of each factor.
    levels: Vec<usize>,
    /// The values (combination, block). The last factor varies fastest.
    values: Vec<Vec<f64>>,
}

/// The effect of a factor, or the interaction of several.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Effect {
    /// Share of the variation between combinations that the effect explains.
    pub share: f64,
    /// Probability that a contrast of the effect is so far from 0 if there is no effect, corrected for the number of
    /// its contrasts (Bonferroni).
    pub p: f64,
}

impl Factorial {
    /// `values` has the measurements of each combination, one for each block, and the last factor varies fastest.
    /// `None` without two blocks, two combinations, or finite values.
    pub fn new(levels: &[usize], values: Vec<Vec<f64>>) -> Option<Self> {
        let blocks = values.first()?.len();
        let is_full = levels.iter().product::<usize>() == values.len();
        let is_complete = values.iter().all(|values| values.len() == blocks);
        let is_finite = values.iter().flatten().all(|value| value.is_finite());
        (is_full && is_complete && is_finite && blocks > 1 && values.len() > 1).then(|| Self {
            levels: levels.to_vec(),
            values,
        })
    }

    /// The mean over all combinations in which some factors have the levels given, and over all blocks.
    pub fn mean(&self, fixed: &[(usize, usize)]) -> f64 {
        mean(&self.means(fixed)).unwrap_or(f64::NAN)
    }

    /// [`Self::mean`] of each block.
    fn means(&self, fixed: &[(usize, usize)]) -> Vec<f64> {
        let is_fixed = |index: usize| {
            let mut fixed = fixed.iter();
            fixed.all(|&(factor, level)| self.level(index, factor) == level)
        };
        let combinations = self.values.iter().enumerate();
        let combinations: Vec<&Vec<f64>> = combinations
            .filter(|(index, _)| is_fixed(*index))
            .map(|(_, values)| values)
            .collect();
        let sum = |block: usize| combinations.iter().map(|values| values[block]).sum::<f64>();
        let blocks = 0..self.values[0].len();
        blocks
            .map(|block| sum(block) / combinations.len() as f64)
            .collect()
    }

    /// The effect of one factor, or the interaction of several, by their indices.
    pub fn effect(&self, factors: &[usize]) -> Effect {
        let combinations: usize = factors.iter().map(|&factor| self.levels[factor]).product();
        let contrasts =
            (0..combinations).map(|number| self.contrast(&self.combination(factors, number)));
        let contrasts: Vec<SampleMean> = contrasts
            .filter_map(|contrast| SampleMean::new(&contrast))
            .collect();
        let repeats = (self.values.len() / combinations) as f64;
        let squares = repeats
            * contrasts
                .iter()
                .map(|contrast| contrast.mean.powi(2))
                .sum::<f64>();
        let grand = self.mean(&[]);
        let cells = self.values.iter().filter_map(|values| mean(values));
        let all = cells.map(|cell| (cell - grand).powi(2)).sum::<f64>();
        let tests = contrasts
            .iter()
            .filter_map(|contrast| t_test(contrast, 0.0));
        let smallest = tests
            .map(|test| 2.0 * test.p_below.min(test.p_above))
            .fold(1.0, f64::min);
        // The contrasts of the second of two levels are those of the first with another sign.
        let different = |&factor: &usize| match self.levels[factor] {
            2 => 1,
            levels => levels,
        };
        let different: usize = factors.iter().map(different).product();
        Effect {
            share: if all > 0.0 { squares / all } else { 0.0 },
            p: (different as f64 * smallest).min(1.0),
        }
    }

    /// The interval of [`Self::mean`], for fixed blocks. It leaves out the variation of the blocks, which is the same
    /// for all levels.
    pub fn mean_interval(&self, fixed: &[(usize, usize)], alpha: f64) -> ConfidenceInterval {
        let difference = differences(&self.means(fixed), &self.means(&[]));
        let interval = interval(&difference, alpha);
        let grand = self.mean(&[]);
        ConfidenceInterval {
            low: grand + interval.low,
            high: grand + interval.high,
        }
    }

    /// The mean of a level minus that of another one, and its interval.
    pub fn difference(
        &self,
        factor: usize,
        [level, other]: [usize; 2],
        alpha: f64,
    ) -> (f64, ConfidenceInterval) {
        let [level, other] = [level, other].map(|level| self.means(&[(factor, level)]));
        let differences = differences(&level, &other);
        let difference = mean(&differences).unwrap_or(f64::NAN);
        (difference, interval(&differences, alpha))
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

    /// The mean of a combination without the effects of its parts, in each block.
    fn contrast(&self, fixed: &[(usize, usize)]) -> Vec<f64> {
        let mut sums = vec![0.0; self.values[0].len()];
        for subset in 0..1_u32 << fixed.len() {
            let chosen = fixed.iter().enumerate();
            let chosen = chosen.filter(|(index, _)| subset >> index & 1 == 1);
            let chosen: Vec<_> = chosen.map(|(_, pair)| *pair).collect();
            let sign = if (fixed.len() - chosen.len()).is_multiple_of(2) {
                1.0
            } else {
                -1.0
            };
            for (sum, mean) in sums.iter_mut().zip(self.means(&chosen)) {
                *sum += sign * mean;
            }
        }
        sums
    }
}

fn differences(values: &[f64], others: &[f64]) -> Vec<f64> {
    values.iter().zip(others).map(|(a, b)| a - b).collect()
}

/// Student's interval of a mean.
fn interval(values: &[f64], alpha: f64) -> ConfidenceInterval {
    let n = values.len() as f64;
    let (mean, sd) = (
        mean(values).unwrap_or(f64::NAN),
        sample_sd(values).unwrap_or(f64::NAN),
    );
    let t =
        StudentsT::new(0.0, 1.0, n - 1.0).map_or(f64::NAN, |t| t.inverse_cdf(1.0 - alpha / 2.0));
    let half = t * sd / n.sqrt();
    ConfidenceInterval {
        low: mean - half,
        high: mean + half,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Stream, unit};
    use statrs::distribution::Normal;

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
        let values = values.map(|values| values.to_vec());
        Factorial::new(&[2, 3], values.to_vec()).unwrap()
    }

    #[track_caller]
    fn close(found: f64, expected: f64) {
        assert!(
            (found / expected - 1.0).abs() < 1e-9,
            "{found} is not {expected}"
        );
    }

    /// The shares are those of statsmodels 0.14: `anova_lm(ols("y ~ C(a) * C(b) + C(s)", data).fit(), typ=2)`. The
    /// p-values are those of scipy 1.17: `ttest_1samp` of the contrast of each block.
    #[test]
    fn effects_agree_with_statsmodels_and_scipy() {
        let factorial = example();
        let squares = [
            0.057_722_041_666_667_16,
            0.034_083,
            0.001_720_333_333_333_15,
        ];
        let all: f64 = squares.iter().sum();
        for (factors, squares, p) in [
            (&[0][..], squares[0], 0.000_215_384_191_908_343_03),
            (&[1], squares[1], 0.002_673_191_601_798_736),
            (&[0, 1], squares[2], 0.324_010_311_355_416_9 / 2.0),
        ] {
            let effect = factorial.effect(factors);
            close(effect.share, squares / all);
            close(effect.p, p);
        }
        close(factorial.mean(&[(1, 2)]), 1.486_625);
        close(factorial.mean(&[(0, 1), (1, 0)]), 1.629);
    }

    /// The intervals of scipy: `ttest_1samp(...).confidence_interval(0.95)`.
    #[test]
    fn intervals_agree_with_scipy() {
        let factorial = example();
        let interval = factorial.mean_interval(&[(0, 1)], 0.05);
        close(interval.low, 1.568_960_877_239_928);
        close(interval.high, 1.583_372_456_093_405);
        let (difference, interval) = factorial.difference(1, [2, 0], 0.05);
        close(difference, -0.090_75);
        close(interval.low, -0.112_417_333_794_880_64);
        close(interval.high, -0.069_082_666_205_119_35);
    }

    #[test]
    fn an_incomplete_experiment_is_not_analyzed() {
        let values = vec![vec![1.0, 2.0], vec![2.0, 4.0]];
        assert!(Factorial::new(&[2], values.clone()).is_some());
        assert_eq!(Factorial::new(&[3], values), None);
        assert_eq!(Factorial::new(&[2], vec![vec![1.0], vec![2.0]]), None);
        let with_nan = vec![vec![1.0, 2.0], vec![2.0, f64::NAN]];
        assert_eq!(Factorial::new(&[2], with_nan), None);
        assert_eq!(Factorial::new(&[], Vec::new()), None);
    }

    #[test]
    fn shares_of_three_factors_add_up() {
        let value = |index: usize| (index * index * 7 % 31) as f64;
        let values: Vec<Vec<f64>> = (0..12)
            .map(|i| vec![value(i), value(i + 5), value(i + 9)])
            .collect();
        let factorial = Factorial::new(&[2, 3, 2], values).unwrap();
        let sets: [&[usize]; 7] = [&[0], &[1], &[2], &[0, 1], &[0, 2], &[1, 2], &[0, 1, 2]];
        let shares: f64 = sets
            .iter()
            .map(|factors| factorial.effect(factors).share)
            .sum();
        close(shares, 1.0);
    }

    /// Three learning rates, of which the highest varies most between seeds. An analysis of variance with one
    /// variance covers 78 % of its means, and calls 10 % of such experiments significant.
    #[test]
    fn noisy_levels_give_no_false_effects() {
        const EXPERIMENTS: u64 = 2000;
        const SDS: [f64; 3] = [0.015, 0.045, 0.122];
        let (mut false_effects, mut covered) = (0, [0; 3]);
        for experiment in 0..EXPERIMENTS {
            let mut noise = Stream::new(experiment, "factorial").at(0);
            let mut normal = || Normal::standard().inverse_cdf(unit(&mut noise));
            let mut cell = |sd: f64| (0..4).map(|_| sd * normal()).collect();
            let values = (0..2)
                .flat_map(|_| SDS)
                .map(&mut cell)
                .collect::<Vec<Vec<f64>>>();
            let factorial = Factorial::new(&[2, 3], values).unwrap();
            let smallest = [&[0][..], &[1], &[0, 1]].map(|factors| factorial.effect(factors).p);
            false_effects += usize::from(smallest.into_iter().fold(1.0, f64::min) < 0.05 / 3.0);
            for (level, covered) in covered.iter_mut().enumerate() {
                // The true means are 0. What the seeds have in common is left out.
                let interval = factorial.mean_interval(&[(1, level)], 0.05);
                let grand = factorial.mean(&[]);
                *covered += usize::from(interval.low <= grand && grand <= interval.high);
            }
        }
        let share = |count: usize| count as f64 / EXPERIMENTS as f64;
        assert!(share(false_effects) <= 0.05, "{false_effects}");
        assert!(
            covered.iter().all(|&covered| share(covered) > 0.94),
            "{covered:?}"
        );
    }
}
