//! Which settings of a search go together with its results.
//!
//! Results of a search are far from normal: a learning rate that is too large makes them much worse than all others.
//! They are therefore replaced by their ranks, and so are the values of a setting, so that its scale does not matter. The
//! analysis of variance of ranks is close to the test of Kruskal and Wallis (Conover and Iman 1981, *Rank transformations
//! as a bridge between parametric and nonparametric statistics*).

use crate::random::{Stream, shuffle};
use statrs::distribution::{ContinuousCDF, FisherSnedecor};
use statrs::statistics::{Data, OrderStatistics, RankTieBreaker};

/// With fewer results, the p-value comes from permutations: that of the F distribution is too small, because the ranks of
/// few results are far from normal.
const FEW: usize = 40;

/// Number of permutations.
const PERMUTATIONS: u64 = 9999;

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
        let model = Model::new(levels, n)?;
        let (df, all) = (model.df(), dot(&y, &y));
        if df == 0 || all == 0.0 || n < df + 2 {
            return None;
        }
        let explained = model.explained(&y);
        let share = (explained / all).min(1.0);
        let error_df = (n - 1 - df) as f64;
        let f = (share / df as f64) / ((1.0 - share) / error_df);
        let p = match n {
            0..FEW => permuted(&model, y, explained),
            _ if !f.is_finite() => 0.0,
            _ => FisherSnedecor::new(df as f64, error_df).ok()?.sf(f),
        };
        let adjusted = 1.0 - (1.0 - share) * (n - 1) as f64 / error_df;
        Some(Self {
            share: adjusted.max(0.0),
            f,
            p,
        })
    }
}

/// The share of random orders of the results in which a setting explains as much.
fn permuted(model: &Model, mut y: Vec<f64>, explained: f64) -> f64 {
    /// Equal sums can differ by rounding.
    const EQUAL: f64 = 1.0 - 1e-9;
    let mut rng = Stream::new(0, "permutations of results").at(0);
    let mut extreme = 1;
    for _ in 0..PERMUTATIONS {
        shuffle(&mut rng, &mut y);
        extreme += u64::from(model.explained(&y) >= EQUAL * explained);
    }
    extreme as f64 / (PERMUTATIONS + 1) as f64
}

/// What a setting can explain.
enum Model {
    /// Orthonormal columns.
    Columns(Vec<Vec<f64>>),
    /// The group of each result, and the number of results in each group.
    Groups(Vec<usize>, Vec<f64>),
}

impl Model {
    /// `None` with more groups than could be tested.
    fn new(levels: &Levels, n: usize) -> Option<Self> {
        Some(match levels {
            Levels::Numbers(values) => {
                let x = centered(&ranks(values));
                let squares: Vec<f64> = x.iter().map(|x| x * x).collect();
                Self::Columns(orthonormal([x, squares]))
            }
            Levels::Groups(groups) => {
                let last = groups.iter().copied().max().filter(|last| *last < n)?;
                let mut sizes = vec![0.0; last + 1];
                groups.iter().for_each(|&group| sizes[group] += 1.0);
                Self::Groups(groups.clone(), sizes)
            }
        })
    }

    fn df(&self) -> usize {
        match self {
            Self::Columns(columns) => columns.len(),
            Self::Groups(_, sizes) => {
                let groups = sizes.iter().filter(|size| **size > 0.0).count();
                groups.saturating_sub(1)
            }
        }
    }

    /// Sum of squares of `y`, whose mean is 0, that it explains.
    fn explained(&self, y: &[f64]) -> f64 {
        match self {
            Self::Columns(columns) => columns.iter().map(|column| dot(column, y).powi(2)).sum(),
            Self::Groups(groups, sizes) => {
                let mut sums = vec![0.0; sizes.len()];
                for (&group, y) in groups.iter().zip(y) {
                    sums[group] += y;
                }
                let known = sums.iter().zip(sizes).filter(|(_, size)| **size > 0.0);
                known.map(|(sum, size)| sum * sum / size).sum()
            }
        }
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
fn orthonormal(columns: [Vec<f64>; 2]) -> Vec<Vec<f64>> {
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

    /// The expected values are those of numpy 2 and scipy 1: `rankdata`, `lstsq` and `f_oneway`. The p-values are those of
    /// 100,000 permutations there.
    #[test]
    fn associations_agree_with_scipy() {
        let rates = [
            0.0001, 0.002, 0.003, 0.1, 0.0005, 0.001, 0.03, 0.003, 0.01, 0.0002,
        ];
        let found = Association::new(&Levels::Numbers(rates.to_vec()), &RESULTS).unwrap();
        close(found.f, 30.115_579_186_629_954);
        close(found.share, 0.866_133_497_952_943_1);
        assert!((0.0001..0.0006).contains(&found.p), "0.00021: {found:?}");
        let groups = Levels::Groups(vec![0, 1, 1, 0, 2, 2, 0, 1, 2, 0]);
        let found = Association::new(&groups, &RESULTS).unwrap();
        close(found.f, 12.249_999_999_999_991);
        close(found.share, 0.714_285_714_285_714_2);
        assert!((0.004..0.008).contains(&found.p), "0.0057: {found:?}");
    }

    #[test]
    fn many_results_agree_with_scipy() {
        let n = 0..40_usize;
        let results = n.clone().map(|i| ((i * 17) % 41) as f64 + 0.1 * i as f64);
        let results: Vec<f64> = results.collect();
        let numbers = n.clone().map(|i| ((i * 11) % 37) as f64).collect();
        let found = Association::new(&Levels::Numbers(numbers), &results).unwrap();
        close(found.f, 0.991_638_998_290_983_8);
        close(found.p, 0.380_611_870_362_864_1);
        let groups = n.map(|i| (i * i) % 5).collect(); // no result has the values 2 and 3
        let found = Association::new(&Levels::Groups(groups), &results).unwrap();
        close(found.f, 4.273_174_745_229_366);
        close(found.p, 0.021_396_403_081_265_145);
    }

    /// Of the 20 ways to split six results into two groups of three, two are as extreme. F would say 0.021.
    #[test]
    fn few_results_are_not_significant_by_accident() {
        let groups = Levels::Groups(vec![0, 0, 0, 1, 1, 1]);
        let found = Association::new(&groups, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
        assert!((found.p - 0.1).abs() < 0.01, "{found:?}");
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
        assert!(
            all.share > 0.999 && all.p < 0.04,
            "2 of 120 orders: {all:?}"
        );
    }

    /// Of settings without effect, at most about 2.5 % have p < 0.025, also with few results.
    #[test]
    fn the_level_of_the_test_holds() {
        let mut state = 1_u64;
        let mut random = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) as f64
        };
        for n in [6, 9, 45] {
            let mut found = [0, 0];
            for _ in 0..200 {
                let results: Vec<f64> = (0..n).map(|_| random()).collect();
                let values: Vec<f64> = (0..n).map(|_| random()).collect();
                let groups = values.iter().map(|value| *value as usize % 2).collect();
                for (found, levels) in found
                    .iter_mut()
                    .zip([Levels::Numbers(values), Levels::Groups(groups)])
                {
                    let p = Association::new(&levels, &results).map_or(1.0, |found| found.p);
                    *found += u32::from(p < 0.025);
                }
            }
            assert!(
                found.iter().all(|found| *found <= 11),
                "{n} results: {found:?} of 200"
            );
        }
    }
}
