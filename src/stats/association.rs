//! Which settings of a search go together with its results.
//!
//! Results of a search are far from normal: a learning rate that is too large makes them much worse than all others.
//! They are therefore replaced by their ranks, and so are the values of a setting, so that its scale does not matter. The
//! analysis of variance of ranks is close to the test of Kruskal and Wallis (Conover and Iman 1981, *Rank transformations
//! as a bridge between parametric and nonparametric statistics*).

use statrs::distribution::{ContinuousCDF, FisherSnedecor};
use statrs::statistics::{Data, OrderStatistics, RankTieBreaker};

/// The values of a setting, one for each result.
#[derive(Debug, Clone, PartialEq)]
pub enum Levels {
    /// The results can rise, fall, or be best in the middle: a parabola over the ranks.
    Numbers(Vec<f64>),
    /// Indices of values without an order. Each has a mean of its own.
    Groups(Vec<usize>),
}

/// How the results depend on one setting by itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Association {
    /// Share of the variation of the ranks that the setting explains. It is adjusted for what chance explains, so that it
    /// is about 0 for a setting without effect.
    pub share: f64,
    pub f: f64,
    /// Probability of such an F if the setting has no effect.
    pub p: f64,
}

impl Association {
    /// `None` if the setting has one value only, if all results are equal, or if there are too few of them.
    pub fn new(levels: &Levels, results: &[f64]) -> Option<Self> {
        let y = centered(&ranks(results));
        let n = y.len();
        let columns = match levels {
            Levels::Numbers(values) => {
                let x = centered(&ranks(values));
                let squares: Vec<f64> = x.iter().map(|x| x * x).collect();
                vec![x, squares]
            }
            Levels::Groups(groups) => {
                let last = groups.iter().copied().max()?;
                let indicator = |group: usize| -> Vec<f64> {
                    let is_own = groups.iter().map(|&other| other == group);
                    is_own.map(|is_own| f64::from(u8::from(is_own))).collect()
                };
                (0..last).map(indicator).collect()
            }
        };
        let basis = orthonormal(columns);
        let (df, all) = (basis.len(), dot(&y, &y));
        if df == 0 || all == 0.0 || n < df + 2 {
            return None;
        }
        let explained: f64 = basis.iter().map(|column| dot(column, &y).powi(2)).sum();
        let share = (explained / all).min(1.0);
        let error_df = (n - 1 - df) as f64;
        let f = (share / df as f64) / ((1.0 - share) / error_df);
        let p = match f.is_finite() {
            true => FisherSnedecor::new(df as f64, error_df).ok()?.sf(f),
            false => 0.0,
        };
        let adjusted = 1.0 - (1.0 - share) * (n - 1) as f64 / error_df;
        Some(Self {
            share: adjusted.max(0.0),
            f,
            p,
        })
    }
}

/// Ranks from 1. Equal values have the mean of their ranks.
pub fn ranks(values: &[f64]) -> Vec<f64> {
    Data::new(values.to_vec()).ranks(RankTieBreaker::Average)
}

fn centered(values: &[f64]) -> Vec<f64> {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    values.iter().map(|value| value - mean).collect()
}

/// An orthonormal basis of the columns without their means. A column that depends on the others adds nothing.
fn orthonormal(columns: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    /// What is left of a column that depends on the others, as a share of its length.
    const ROUNDING: f64 = 1e-9;
    let mut basis: Vec<Vec<f64>> = Vec::new();
    for column in columns {
        let mut rest = centered(&column);
        let length = dot(&rest, &rest).sqrt();
        for other in &basis {
            let share = dot(other, &rest);
            rest.iter_mut()
                .zip(other)
                .for_each(|(value, other)| *value -= share * other);
        }
        let left = dot(&rest, &rest).sqrt();
        if left > ROUNDING * length {
            basis.push(rest.iter().map(|value| value / left).collect());
        }
    }
    basis
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESULTS: [f64; 10] = [1.62, 1.48, 1.51, 2490.0, 1.55, 1.49, 1.70, 1.52, 1.58, 1.61];

    fn close(found: f64, expected: f64) {
        assert!(
            (found / expected - 1.0).abs() < 1e-9,
            "{found} is not {expected}"
        );
    }

    /// The expected values are those of numpy 2 and scipy 1: `rankdata`, `lstsq` and `f_oneway`.
    #[test]
    fn associations_agree_with_scipy() {
        let rates = [
            0.0001, 0.002, 0.003, 0.1, 0.0005, 0.001, 0.03, 0.003, 0.01, 0.0002,
        ];
        let found = Association::new(&Levels::Numbers(rates.to_vec()), &RESULTS).unwrap();
        close(found.f, 30.115_579_186_629_954);
        close(found.p, 0.000_364_205_131_680_378_9);
        close(found.share, 0.866_133_497_952_943_1);
        let groups = Levels::Groups(vec![0, 1, 1, 0, 2, 2, 0, 1, 2, 0]);
        let found = Association::new(&groups, &RESULTS).unwrap();
        close(found.f, 12.249_999_999_999_991);
        close(found.p, 0.005_173_163_465_470_866);
        close(found.share, 0.714_285_714_285_714_2);
    }

    #[test]
    fn the_scale_of_a_setting_does_not_matter() {
        let numbers = |scale: fn(f64) -> f64| {
            let values = (1..=10).map(|value| scale(f64::from(value)));
            Association::new(&Levels::Numbers(values.collect()), &RESULTS)
        };
        assert_eq!(numbers(|x| x), numbers(f64::ln));
        assert_eq!(numbers(|x| x), numbers(f64::exp));
    }

    #[test]
    fn two_numbers_are_two_groups() {
        let values = [1.0, 8.0, 8.0, 1.0, 1.0, 8.0, 1.0, 8.0, 1.0, 1.0];
        let groups = values.map(|value| usize::from(value == 8.0));
        let numbers = Association::new(&Levels::Numbers(values.to_vec()), &RESULTS).unwrap();
        let groups = Association::new(&Levels::Groups(groups.to_vec()), &RESULTS).unwrap();
        close(numbers.p, groups.p);
    }

    #[test]
    fn a_setting_that_explains_nothing_or_everything() {
        let n = |n: usize| Levels::Numbers((0..n).map(|i| i as f64).collect());
        assert_eq!(Association::new(&n(3), &[1.0, 2.0, 3.0]), None);
        assert_eq!(Association::new(&n(5), &[1.0; 5]), None);
        assert_eq!(
            Association::new(&Levels::Numbers(vec![0.1; 10]), &RESULTS),
            None
        );
        assert_eq!(Association::new(&n(0), &[]), None);
        let all = Association::new(&n(5), &[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        assert!(all.share > 0.999 && all.p < 1e-6, "{all:?}");
    }

    /// Of settings without effect, about one in twenty has p < 0.05.
    #[test]
    fn the_level_of_the_test_holds() {
        let mut state = 1_u64;
        let mut random = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) as f64
        };
        let mut numbers = 0;
        let mut groups = 0;
        for _ in 0..1000 {
            let results: Vec<f64> = (0..12).map(|_| random()).collect();
            let levels: Vec<f64> = (0..12).map(|_| random()).collect();
            let is_found = |levels: Levels| {
                let found = Association::new(&levels, &results);
                usize::from(found.is_some_and(|found| found.p < 0.05))
            };
            groups += is_found(Levels::Groups(
                levels.iter().map(|value| *value as usize % 3).collect(),
            ));
            numbers += is_found(Levels::Numbers(levels));
        }
        assert!((30..=70).contains(&numbers), "{numbers}");
        assert!((30..=70).contains(&groups), "{groups}");
    }
}
