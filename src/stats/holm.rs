/// What Holm's correction says of one of several tests.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Level at which this test is decided: an interval of confidence `1 - level` leaves 0 out
    /// exactly where the test is rejected.
    pub level: f64,
    pub rejected: bool,
}

/// Holm's step-down correction (Holm 1979): the probability of one or more wrong rejections among
/// all the tests stays below `alpha`, whichever of their hypotheses are true.
///
/// The smallest p-value is held against `alpha / m`, the next against `alpha / (m - 1)` and so on
/// until the first that fails, which fails all that are larger. Those share the level at which it
/// failed, so that their intervals all contain 0.
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
        // Levels 0.0125, 0.0167, 0.025, 0.05: 0.005 and 0.01 pass, 0.03 fails and takes 0.04 along.
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
        /// What the report relies on: the verdict and the interval never disagree.
        #[test]
        fn rejected_is_below_its_own_level(p_values in prop::collection::vec(0.0f64..=1.0, 0..20)) {
            for (p, step) in p_values.iter().zip(holm(&p_values, 0.05)) {
                prop_assert_eq!(step.rejected, *p < step.level);
            }
        }

        #[test]
        fn between_bonferroni_and_no_correction(p_values in prop::collection::vec(0.0f64..0.2, 1..20)) {
            let m = p_values.len() as f64;
            for (p, step) in p_values.iter().zip(holm(&p_values, 0.05)) {
                prop_assert!(!step.rejected || *p < 0.05);
                prop_assert!(step.rejected || *p >= 0.05 / m);
            }
        }
    }
}
