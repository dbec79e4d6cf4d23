use super::{mean, sample_sd};
use statrs::distribution::{ContinuousCDF, StudentsT};

/// The differences `variant - baseline` for the seeds that both have, in the order of `variant`. All
/// pairs are (seed, value).
pub fn paired_differences(variant: &[(u64, f64)], baseline: &[(u64, f64)]) -> Vec<(u64, f64)> {
    let of_baseline = |seed| baseline.iter().find(|(other, _)| *other == seed);
    variant
        .iter()
        .filter_map(|&(seed, value)| of_baseline(seed).map(|&(_, base)| (seed, value - base)))
        .collect()
}

/// A confidence interval, ends included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ConfidenceInterval {
    pub low: f64,
    pub high: f64,
}

impl ConfidenceInterval {
    pub fn contains(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }
}

/// Mean of two or more paired differences, with its standard error and distribution (Student's t).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Paired {
    pub mean: f64,
    /// Standard error of the mean.
    standard_error: f64,
    distribution: StudentsT,
}

impl Paired {
    /// `None` for fewer than two differences, which have no standard error.
    pub fn new(differences: &[f64]) -> Option<Self> {
        let n = differences.len() as f64;
        Some(Self {
            mean: mean(differences)?,
            standard_error: sample_sd(differences)? / n.sqrt(),
            distribution: StudentsT::new(0.0, 1.0, n - 1.0).ok()?,
        })
    }

    /// p-value of the two-sided t-test of the null hypothesis that the true mean is 0.
    pub fn p_value(&self) -> f64 {
        if self.mean == 0.0 {
            return 1.0;
        }
        if self.standard_error == 0.0 {
            return 0.0;
        }
        2.0 * self
            .distribution
            .cdf(-(self.mean / self.standard_error).abs())
    }

    /// The interval of confidence `1 - alpha`.
    pub fn interval(&self, alpha: f64) -> ConfidenceInterval {
        // A standard error of 0 gives an interval of width 0, because the quantile is finite.
        let half_width = self.standard_error * self.distribution.inverse_cdf(1.0 - alpha / 2.0);
        ConfidenceInterval {
            low: self.mean - half_width,
            high: self.mean + half_width,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64, tolerance: f64) -> bool {
        (a - b).abs() <= tolerance * b.abs().max(1.0)
    }

    #[test]
    fn differences_are_paired_by_seed() {
        let baseline = [(1, 1.0), (2, 2.0), (4, 9.0)];
        let variant = [(3, 5.0), (2, 1.5), (1, 1.25)];
        assert_eq!(
            paired_differences(&variant, &baseline),
            [(2, -0.5), (1, 0.25)]
        );
    }

    #[test]
    fn quantiles_of_students_t_agree_with_tables() {
        // NIST/SEMATECH e-Handbook, table 1.3.6.7.2, in more digits.
        for (differences, quantile) in [
            (vec![0.0, 2.0], 12.706_204_736_432_095),
            (vec![0.0, 1.0, 2.0], 4.302_652_729_911_275),
            (vec![0.0, 1.0, 2.0, 3.0, 4.0], 2.776_445_105_198_65),
        ] {
            let paired = Paired::new(&differences).unwrap();
            let interval = paired.interval(0.05);
            let half_width = (interval.high - interval.low) / 2.0;
            let expected = quantile * paired.standard_error;
            assert!(close(half_width, expected, 1e-9), "{half_width} {expected}");
        }
        // At the level of five comparisons, df = 2.
        let paired = Paired::new(&[0.0, 1.0, 2.0]).unwrap();
        let half_width = paired.interval(0.01).high - 1.0;
        assert!(
            close(half_width, 9.924_843_200_918_28 / 3f64.sqrt(), 1e-9),
            "{half_width}"
        );
    }

    #[test]
    fn p_value_agrees_with_a_worked_t_test() {
        // Student's sleep data (1908): differences of the two drugs, t = 4.0621, df = 9.
        let paired = Paired::new(&[1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4]).unwrap();
        assert!(close(paired.mean, 1.58, 1e-12));
        assert!((paired.p_value() - 0.002_832_890).abs() < 1e-8);
        let interval = paired.interval(0.05);
        assert!((interval.low - 0.700_114_2).abs() < 1e-6);
        assert!((interval.high - 2.459_885_8).abs() < 1e-6);
    }

    #[test]
    fn interval_and_p_value_agree_on_zero() {
        let paired = Paired::new(&[-0.01, -0.05, -0.03]).unwrap();
        let p = paired.p_value();
        assert!(!paired.interval(p * 1.01).contains(0.0));
        assert!(paired.interval(p * 0.99).contains(0.0));
    }

    #[test]
    fn identical_differences_have_no_standard_error() {
        let same = Paired::new(&[0.0, 0.0, 0.0]).unwrap();
        assert_eq!(same.p_value(), 1.0);
        assert_eq!(
            same.interval(0.05),
            ConfidenceInterval {
                low: 0.0,
                high: 0.0
            }
        );
        let shifted = Paired::new(&[0.5, 0.5]).unwrap();
        assert_eq!(shifted.p_value(), 0.0);
        assert!(!shifted.interval(0.01).contains(0.0));
        assert_eq!(Paired::new(&[0.5]), None);
    }
}
