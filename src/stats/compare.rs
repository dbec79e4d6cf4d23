use super::{ConfidenceInterval, Design, Paired, mean};

/// Level of the interval of one comparison by itself.
const SINGLE_LEVEL: f64 = 0.05;

/// The verdict on the difference between a variant and the baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Better,
    Worse,
    /// The corrected interval lies within the margin: the difference is too small to matter.
    Equivalent,
    /// The corrected interval contains 0, or there is no interval.
    Inconclusive,
}

/// A variant compared with the baseline.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Number of differences, one per seed.
    pub pairs: usize,
    /// Mean of the differences `variant - baseline`.
    pub mean: f64,
    /// The 95 % interval of this difference, as if it were the only one. `None` in a sequential design.
    pub interval: Option<ConfidenceInterval>,
    /// The interval at the level that the design gives to this test. The verdict follows from it.
    pub corrected: Option<ConfidenceInterval>,
    /// Whether the difference does not depend on the seed. It has no interval, and its verdict is certain.
    pub is_exact: bool,
    pub verdict: Verdict,
}

/// Compares a variant with the baseline by its paired differences. `None` without differences. There is
/// no test if a difference is infinite.
pub fn compare(differences: &[f64], design: &Design) -> Option<Comparison> {
    let untested = Comparison::untested(differences)?;
    let pairs = differences.len();
    let paired = Paired::new(differences).filter(|_| untested.mean.is_finite());
    let Some((paired, level)) = paired.zip(design.level(pairs)) else {
        return Some(untested);
    };
    let corrected = paired.interval(level);
    let verdict = verdict(corrected, design);
    // After a data-dependent number of tests, the plain interval does not have its nominal coverage.
    let is_fixed = !design.is_sequential();
    Some(Comparison {
        interval: is_fixed.then(|| paired.interval(SINGLE_LEVEL)),
        corrected: Some(corrected),
        verdict,
        ..untested
    })
}

impl Comparison {
    /// A comparison before its test. `None` without differences.
    pub fn untested(differences: &[f64]) -> Option<Self> {
        Some(Self {
            pairs: differences.len(),
            mean: mean(differences)?,
            interval: None,
            corrected: None,
            is_exact: false,
            verdict: Verdict::Inconclusive,
        })
    }

    /// A difference that is the same for every seed.
    pub fn exact(difference: f64, design: &Design) -> Self {
        let interval = ConfidenceInterval {
            low: difference,
            high: difference,
        };
        Self {
            pairs: 1,
            mean: difference,
            interval: None,
            corrected: None,
            is_exact: true,
            verdict: match difference.is_finite() {
                true => verdict(interval, design),
                false => Verdict::Inconclusive,
            },
        }
    }
}

fn verdict(interval: ConfidenceInterval, design: &Design) -> Verdict {
    let within = |margin: f64| -margin < interval.low && interval.high < margin;
    if design.margin().is_some_and(within) {
        return Verdict::Equivalent;
    }
    if interval.contains(0.0) {
        Verdict::Inconclusive
    } else if (interval.low > 0.0) == design.is_better_higher() {
        Verdict::Better
    } else {
        Verdict::Worse
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict_of(differences: &[f64], design: &Design) -> Verdict {
        compare(differences, design).unwrap().verdict
    }

    #[test]
    fn every_verdict() {
        let design = Design::fixed(4).with_margin(Some(0.02));
        let cases = [
            (vec![-0.100, -0.101, -0.099], Verdict::Better),
            (vec![0.100, 0.101, 0.099], Verdict::Worse),
            (vec![0.001, 0.0012, 0.0009], Verdict::Equivalent),
            (vec![-0.1, 0.1, 0.05], Verdict::Inconclusive),
            (vec![-0.5], Verdict::Inconclusive),
        ];
        for (differences, expected) in cases {
            assert_eq!(
                verdict_of(&differences, &design),
                expected,
                "{differences:?}"
            );
        }
        assert_eq!(compare(&[], &design), None);
    }

    #[test]
    fn an_exact_difference_has_a_verdict_and_no_interval() {
        let design = Design::fixed(4).with_margin(Some(0.02));
        for (difference, expected) in [
            (-0.5, Verdict::Better),
            (0.5, Verdict::Worse),
            (0.01, Verdict::Equivalent),
            (f64::INFINITY, Verdict::Inconclusive),
        ] {
            let comparison = Comparison::exact(difference, &design);
            assert_eq!(comparison.verdict, expected, "{difference}");
            assert_eq!((comparison.interval, comparison.corrected), (None, None));
        }
        let equal = Comparison::exact(0.0, &Design::fixed(1));
        assert_eq!(equal.verdict, Verdict::Inconclusive);
    }

    #[test]
    fn a_higher_value_can_be_better() {
        let design = Design::fixed(1).with_better_higher(true);
        assert_eq!(verdict_of(&[5.0, 5.1, 4.9], &design), Verdict::Better);
        assert_eq!(verdict_of(&[-5.0, -5.1, -4.9], &design), Verdict::Worse);
    }

    #[test]
    fn infinite_differences_have_no_test() {
        for differences in [
            vec![f64::INFINITY, 0.1, 0.2],
            vec![f64::INFINITY, f64::NEG_INFINITY, 0.1],
        ] {
            let design = Design::fixed(1).with_margin(Some(f64::INFINITY));
            let comparison = compare(&differences, &design).unwrap();
            assert_eq!(comparison.verdict, Verdict::Inconclusive);
            assert_eq!((comparison.corrected, comparison.interval), (None, None));
        }
    }

    #[test]
    fn without_a_margin_nothing_is_equivalent() {
        let tiny = [0.001, 0.0012, 0.0009];
        assert_eq!(verdict_of(&tiny, &Design::fixed(1)), Verdict::Worse);
        let none = [0.0, 0.0, 0.0];
        assert_eq!(verdict_of(&none, &Design::fixed(1)), Verdict::Inconclusive);
    }

    #[test]
    fn a_significant_difference_can_become_inconclusive_among_many() {
        // p = 0.03 by itself: below 0.05, above 0.05 / 5.
        let close_call = [-0.010, -0.018, -0.020];
        assert_eq!(verdict_of(&close_call, &Design::fixed(1)), Verdict::Better);
        assert_eq!(
            verdict_of(&close_call, &Design::fixed(5)),
            Verdict::Inconclusive
        );
    }

    #[test]
    fn a_sequential_design_has_no_test_before_its_first_look() {
        let design = Design::sequential(1, 3, &[12]);
        let early = compare(&[-0.100, -0.101], &design).unwrap();
        assert_eq!(
            (early.verdict, early.corrected),
            (Verdict::Inconclusive, None)
        );
        assert_eq!(early.interval, None);
    }
}
