use super::{ConfidenceInterval, Paired, holm, mean};

/// Family-wise error rate: the probability that a report calls at least one difference significant
/// although there is none.
const ALPHA: f64 = 0.05;

/// The verdict on the difference between a variant and the baseline. Lower values are better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Better,
    Worse,
    /// The corrected interval contains 0.
    Inconclusive,
    /// Only one seed is shared, so there is a difference but no interval.
    OneSeed,
}

/// A variant compared with the baseline.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Mean of the differences `variant - baseline`.
    pub mean: f64,
    /// The 95 % interval of this difference, without a correction for several comparisons.
    pub interval: Option<ConfidenceInterval>,
    /// The interval at the level that Holm's correction gives to this difference. It contains 0 if
    /// and only if the verdict is inconclusive.
    pub corrected: Option<ConfidenceInterval>,
    pub verdict: Verdict,
}

/// Compares several variants with one baseline. Each variant is given by its paired differences. The
/// result is `None` for a variant without differences. Only variants with at least two differences
/// enter Holm's correction.
pub fn compare(differences: &[Vec<f64>]) -> Vec<Option<Comparison>> {
    let paired: Vec<Option<Paired>> = differences.iter().map(|d| Paired::new(d)).collect();
    let p_values: Vec<f64> = paired.iter().flatten().map(Paired::p_value).collect();
    let mut steps = holm(&p_values, ALPHA).into_iter();
    let mut compare_one = |differences: &[f64], paired: Option<Paired>| {
        let mean = mean(differences)?;
        let Some((paired, step)) = paired.and_then(|paired| Some((paired, steps.next()?))) else {
            return Some(Comparison {
                mean,
                interval: None,
                corrected: None,
                verdict: Verdict::OneSeed,
            });
        };
        Some(Comparison {
            mean,
            interval: Some(paired.interval(ALPHA)),
            corrected: Some(paired.interval(step.level)),
            verdict: match step.rejected {
                false => Verdict::Inconclusive,
                true if mean < 0.0 => Verdict::Better,
                true => Verdict::Worse,
            },
        })
    };
    differences
        .iter()
        .zip(paired)
        .map(|(differences, paired)| compare_one(differences, paired))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(differences: &[Vec<f64>]) -> Vec<Option<Verdict>> {
        let comparisons = compare(differences);
        comparisons
            .iter()
            .map(|c| c.as_ref().map(|c| c.verdict))
            .collect()
    }

    #[test]
    fn every_verdict() {
        let differences = [
            vec![-0.100, -0.101, -0.099],
            vec![],
            vec![0.100, 0.101, 0.099],
            vec![-0.1, 0.1, 0.05],
            vec![-0.5],
        ];
        assert_eq!(
            verdicts(&differences),
            [
                Some(Verdict::Better),
                None,
                Some(Verdict::Worse),
                Some(Verdict::Inconclusive),
                Some(Verdict::OneSeed),
            ]
        );
    }

    #[test]
    fn a_significant_difference_can_become_inconclusive_among_many() {
        // p = 0.03 by itself: below 0.05, above 0.05 / 5.
        let close_call = vec![-0.010, -0.018, -0.020];
        assert_eq!(
            verdicts(std::slice::from_ref(&close_call)),
            [Some(Verdict::Better)]
        );
        let mut family = vec![vec![-0.1, 0.1, 0.05]; 4];
        family.push(close_call);
        assert_eq!(verdicts(&family)[4], Some(Verdict::Inconclusive));
    }

    #[test]
    fn the_corrected_interval_contains_zero_if_and_only_if_inconclusive() {
        let differences = [
            vec![-0.100, -0.101, -0.099],
            vec![-0.010, -0.018, -0.020],
            vec![0.01, 0.02, -0.04],
        ];
        for comparison in compare(&differences).into_iter().flatten() {
            let contains = comparison.corrected.unwrap().contains(0.0);
            assert_eq!(contains, comparison.verdict == Verdict::Inconclusive);
        }
    }
}
