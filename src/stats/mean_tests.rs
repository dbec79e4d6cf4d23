//! One-sided tests of means: Student's t, Welch's t, and z with a known standard deviation.

use super::{mean, sample_sd};
use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

/// Mean of a sample, with what its tests need.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SampleMean {
    /// Number of values.
    pub n: usize,
    pub mean: f64,
    /// Standard deviation with divisor n - 1. `None` for one value.
    pub sd: Option<f64>,
}

impl SampleMean {
    /// `None` for an empty slice.
    pub fn new(values: &[f64]) -> Option<Self> {
        Some(Self {
            n: values.len(),
            mean: mean(values)?,
            sd: sample_sd(values),
        })
    }

    /// Estimated variance of the mean.
    fn variance(&self) -> Option<f64> {
        Some(self.sd?.powi(2) / self.n as f64)
    }
}

/// A test of the null hypothesis that a mean, or a difference of means, has a given value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MeanTest {
    /// (estimate - value of the null hypothesis) / standard error. Without spread it is infinite, or 0 if
    /// the two are equal.
    pub statistic: f64,
    /// Of Student's t distribution. `None` for the normal distribution.
    pub degrees_of_freedom: Option<f64>,
    /// Probability of a statistic at most as high under the null hypothesis: the p-value of the claim that
    /// the mean is below the value.
    pub p_below: f64,
    /// Probability of a statistic at least as high under the null hypothesis: the p-value of the claim that
    /// the mean is above the value.
    pub p_above: f64,
}

/// Student's t test of a mean against a value (Student, *Biometrika* 6, 1908). `None` for fewer than two
/// values.
pub fn t_test(sample: &SampleMean, null: f64) -> Option<MeanTest> {
    let standard_error = sample.variance()?.sqrt();
    let degrees_of_freedom = sample.n as f64 - 1.0;
    MeanTest::students_t(sample.mean - null, standard_error, degrees_of_freedom)
}

/// Welch's t test of a difference of means, `first - second`, against a value, with the degrees of freedom
/// of Welch and Satterthwaite (Welch, *Biometrika* 34, 1947). `None` if a sample has fewer than two values.
pub fn welch_test(first: &SampleMean, second: &SampleMean, null: f64) -> Option<MeanTest> {
    let (a, b) = (first.variance()?, second.variance()?);
    let (most_a, most_b) = (first.n as f64 - 1.0, second.n as f64 - 1.0);
    let degrees_of_freedom = match a + b > 0.0 {
        true => (a + b).powi(2) / (a.powi(2) / most_a + b.powi(2) / most_b),
        // The formula is not defined, and the result does not depend on it.
        false => most_a + most_b,
    };
    let estimate = first.mean - second.mean - null;
    MeanTest::students_t(estimate, (a + b).sqrt(), degrees_of_freedom)
}

/// z test of a mean against a value, with a known standard deviation of one value. `None` if `sigma` is
/// not a positive number.
pub fn z_test(sample: &SampleMean, null: f64, sigma: f64) -> Option<MeanTest> {
    let normal = Normal::standard();
    let standard_error = sigma / (sample.n as f64).sqrt();
    (sigma.is_finite() && sigma > 0.0)
        .then(|| MeanTest::new(sample.mean - null, standard_error, &normal, None))
}

impl MeanTest {
    fn students_t(estimate: f64, standard_error: f64, degrees_of_freedom: f64) -> Option<Self> {
        let t = StudentsT::new(0.0, 1.0, degrees_of_freedom).ok()?;
        Some(Self::new(
            estimate,
            standard_error,
            &t,
            Some(degrees_of_freedom),
        ))
    }

    fn new(
        estimate: f64,
        standard_error: f64,
        distribution: &impl ContinuousCDF<f64, f64>,
        degrees_of_freedom: Option<f64>,
    ) -> Self {
        if standard_error == 0.0 {
            return Self::without_spread(estimate, degrees_of_freedom);
        }
        let statistic = estimate / standard_error;
        Self {
            statistic,
            degrees_of_freedom,
            p_below: distribution.cdf(statistic),
            // More exact than 1 - p_below, because the distribution is symmetric.
            p_above: distribution.cdf(-statistic),
        }
    }

    /// The limit for a standard error of 0. An estimate that is equal to the value of the null hypothesis
    /// is evidence for neither direction.
    fn without_spread(estimate: f64, degrees_of_freedom: Option<f64>) -> Self {
        let (statistic, p_below) = if estimate < 0.0 {
            (f64::NEG_INFINITY, 0.0)
        } else if estimate > 0.0 {
            (f64::INFINITY, 1.0)
        } else {
            (0.0, 0.5)
        };
        Self {
            statistic,
            degrees_of_freedom,
            p_below,
            p_above: 1.0 - p_below,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample(values: &[f64]) -> SampleMean {
        SampleMean::new(values).unwrap()
    }

    #[track_caller]
    fn assert_test(test: MeanTest, statistic: f64, degrees_of_freedom: Option<f64>, p_below: f64) {
        let close = |a: f64, b: f64| (a - b).abs() <= 1e-9 * b.abs();
        assert!(close(test.statistic, statistic), "{test:?}");
        assert!(close(test.p_below, p_below), "{test:?}");
        assert!((test.p_below + test.p_above - 1.0).abs() < 1e-12);
        match (test.degrees_of_freedom, degrees_of_freedom) {
            (Some(measured), Some(expected)) => assert!(close(measured, expected), "{test:?}"),
            (measured, expected) => assert_eq!(measured, expected),
        }
    }

    /// Validation losses of eight runs of a speedrun with the target 3.28.
    const EIGHT: [f64; 8] = [
        3.27676, 3.27770, 3.27869, 3.27831, 3.27789, 3.27830, 3.27757, 3.27857,
    ];

    #[test]
    fn one_sample_t_test_agrees_with_scipy() {
        // scipy.stats.ttest_1samp(values, 3.28, alternative="less")
        let eight = t_test(&sample(&EIGHT), 3.28).unwrap();
        assert_test(
            eight,
            -9.051_669_711_137_066,
            Some(7.0),
            2.054_864_653_775_244_5e-5,
        );
        let four = t_test(&sample(&[3.2772, 3.2756, 3.2784, 3.2783]), 3.28).unwrap();
        assert_test(
            four,
            -4.031_509_798_210_804,
            Some(3.0),
            0.013_719_282_688_711_837,
        );
    }

    #[test]
    fn z_test_is_the_rule_of_the_speedrun() {
        let eight = sample(&EIGHT);
        let rule = |target: f64| (target - eight.mean) * 8f64.sqrt();
        assert!((eight.mean - 3.27797).abs() < 5e-6);
        assert!((rule(3.28) - 0.00573).abs() < 5e-6, "{}", rule(3.28));
        // scipy.stats.norm.cdf((3.28 - mean) * sqrt(8) / -0.0013) and norm.ppf(0.99) * 0.0013
        let test = z_test(&eight, 3.28, 0.0013).unwrap();
        assert_test(test, -4.408_538_816_550_806, None, 5.203_518_497_184_778e-6);
        let least = 0.003_024_252_236_253_093;
        for target in [3.2788, 3.2790, 3.2791, 3.28] {
            let p = z_test(&eight, target, 0.0013).unwrap().p_below;
            assert_eq!(p <= 0.01, rule(target) >= least, "{target}");
        }
    }

    #[test]
    fn welch_test_agrees_with_scipy() {
        // scipy.stats.ttest_ind_from_stats(1.05807, 0.00103, 4, 1.060755, 0.000933, 6,
        // equal_var=False, alternative="less"); the degrees of freedom by their formula.
        let summary = |n, mean, sd| SampleMean {
            n,
            mean,
            sd: Some(sd),
        };
        let first = summary(4, 1.05807, 0.00103);
        let second = summary(6, 1.060755, 0.000933);
        let test = welch_test(&first, &second, 0.0).unwrap();
        let df = 6.086_935_701_345_902;
        assert_test(
            test,
            -4.191_699_024_108_461,
            Some(df),
            0.002_779_439_561_371_509_5,
        );
        let reversed = welch_test(&second, &first, 0.0).unwrap();
        assert_eq!(reversed.p_above, test.p_below);
    }

    const VARIANT: [f64; 5] = [1.412, 1.433, 1.399, 1.420, 1.405];
    const BASELINE: [f64; 5] = [1.425, 1.441, 1.411, 1.437, 1.416];

    #[test]
    fn paired_test_with_a_margin_agrees_with_scipy() {
        // scipy.stats.ttest_rel(variant, baseline - by, alternative="less")
        let differences: Vec<f64> = VARIANT.iter().zip(BASELINE).map(|(a, b)| a - b).collect();
        for (by, statistic, p) in [
            (0.0, -8.339_748_309_700_76, 0.000_564_920_194_777_660_8),
            (0.005, -4.921_818_674_577_579, 0.003_959_537_141_198_289),
            (0.02, 5.331_970_230_792_264, 0.997_021_320_116_691_9),
        ] {
            let test = t_test(&sample(&differences), -by).unwrap();
            assert_test(test, statistic, Some(4.0), p);
        }
    }

    #[test]
    fn welch_test_with_a_margin_agrees_with_scipy() {
        // scipy.stats.ttest_ind(variant, baseline - by, equal_var=False, alternative="less")
        for (by, statistic, p) in [
            (0.005, -0.867_155_248_235_919_3, 0.205_563_240_998_478_45),
            (0.02, 0.939_418_185_588_876_9, 0.812_486_589_180_128),
        ] {
            let test = welch_test(&sample(&VARIANT), &sample(&BASELINE), -by).unwrap();
            assert_test(test, statistic, Some(7.994_907_050_646_387), p);
        }
    }

    #[test]
    fn values_without_spread_are_certain() {
        let same = sample(&[2.0, 2.0, 2.0]);
        for (null, statistic, below, above) in [
            (3.0, f64::NEG_INFINITY, 0.0, 1.0),
            (1.0, f64::INFINITY, 1.0, 0.0),
            (2.0, 0.0, 0.5, 0.5),
        ] {
            let test = t_test(&same, null).unwrap();
            assert_eq!(
                (test.statistic, test.p_below, test.p_above),
                (statistic, below, above)
            );
        }
        let other = sample(&[1.5, 1.5]);
        let test = welch_test(&same, &other, 0.0).unwrap();
        assert_eq!((test.p_above, test.degrees_of_freedom), (0.0, Some(3.0)));
    }

    #[test]
    fn one_value_has_a_z_test_only() {
        let one = sample(&[3.2]);
        assert_eq!(t_test(&one, 3.28), None);
        assert_eq!(welch_test(&one, &sample(&EIGHT), 0.0), None);
        assert!(z_test(&one, 3.28, 0.0013).unwrap().p_below < 1e-9);
        assert_eq!(z_test(&one, 3.28, 0.0), None);
        assert_eq!(SampleMean::new(&[]), None);
    }

    proptest! {
        /// Welch's degrees of freedom lie between the smaller and the sum of both samples.
        #[test]
        fn degrees_of_freedom_are_bounded(
            first in proptest::collection::vec(-1.0..1.0f64, 2..8),
            second in proptest::collection::vec(-1.0..1.0f64, 2..8),
        ) {
            let test = welch_test(&sample(&first), &sample(&second), 0.0).unwrap();
            let df = test.degrees_of_freedom.unwrap();
            let (a, b) = (first.len() as f64 - 1.0, second.len() as f64 - 1.0);
            prop_assert!(a.min(b) - 1e-9 <= df && df <= a + b + 1e-9);
        }
    }
}
