/// The result of Holm's correction for one of several tests.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Significance level of this test. The interval of confidence `1 - level` excludes 0 if and only
    /// if the test is rejected.
    pub level: f64,
    pub rejected: bool,
}

/// Holm's step-down correction (Holm 1979). The probability of at least one wrong rejection among
/// all tests is at most `alpha`, whichever of the null hypotheses are true.
///
/// The smallest p-value is compared with `alpha / m`, the next with `alpha / (m - 1)`, and so on. The
/// first test that is not rejected ends the procedure: no test with a larger p-value is rejected. All
/// tests that are not rejected share the last level, so that their intervals all contain 0.
pub fn holm(p_values: &[f64], alpha: f64) -> Vec<Step> {
    let m = p_values.len();
    let mut order: Vec<usize> = (0..m).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut steps = vec![
        Step {
            level: alpha,
            rejected: false
        };
        m
    ];
    let mut failed_at = None;
    for (rank, &index) in order.iter().enumerate() {
        let level = failed_at.unwrap_or(alpha / (m - rank) as f64);
        let rejected = failed_at.is_none() && p_values[index] < level;
        if !rejected {
            failed_at = Some(level);
        }
        steps[index] = Step { level, rejected };
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn worked_example() {
        // The levels are 0.0125, 0.0167, 0.025 and 0.05. The p-values 0.005 and 0.01 are below
        // theirs. 0.03 is not, so neither 0.03 nor 0.04 is rejected.
        let steps = holm(&[0.01, 0.04, 0.03, 0.005], 0.05);
        let rejected: Vec<bool> = steps.iter().map(|step| step.rejected).collect();
        assert_eq!(rejected, [true, false, false, true]);
        assert_eq!(steps[3].level, 0.05 / 4.0);
        assert_eq!(steps[0].level, 0.05 / 3.0);
        assert_eq!(steps[2].level, 0.05 / 2.0);
        assert_eq!(steps[1].level, steps[2].level);
    }

    #[test]
    fn one_test_needs_no_correction() {
        let step = Step {
            level: 0.05,
            rejected: true,
        };
        assert_eq!(holm(&[0.04], 0.05), [step]);
        assert_eq!(holm(&[], 0.05), []);
    }

    proptest! {
        /// The report relies on this: the verdict and the interval always agree.
        #[test]
        fn a_test_is_rejected_if_and_only_if_p_is_below_its_level(p_values in prop::collection::vec(0.0f64..=1.0, 0..20)) {
            for (p, step) in p_values.iter().zip(holm(&p_values, 0.05)) {
                prop_assert_eq!(step.rejected, *p < step.level);
            }
        }

        #[test]
        fn holm_lies_between_bonferroni_and_no_correction(p_values in prop::collection::vec(0.0f64..0.2, 1..20)) {
            let m = p_values.len() as f64;
            for (p, step) in p_values.iter().zip(holm(&p_values, 0.05)) {
                prop_assert!(!step.rejected || *p < 0.05);
                prop_assert!(step.rejected || *p >= 0.05 / m);
            }
        }
    }
}
