//! The gate: what a metric has to keep so that a variant has not become worse.

use crate::spec::{CompareMetric, Margin};
use crate::stats::ConfidenceInterval;
use schemars::JsonSchema;
use serde::Serialize;
use std::str::FromStr;

/// The largest acceptable worsening of a metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gate {
    pub metric: CompareMetric,
    /// In the unit of the metric, or a share of the earlier mean.
    pub tolerance: Margin,
}

/// `METRIC: TOLERANCE`, such as `bits_per_byte: 0.5%`.
impl FromStr for Gate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (metric, tolerance) = text
            .split_once(':')
            .ok_or("expected METRIC: TOLERANCE, such as `bits_per_byte: 0.5%`")?;
        let metric: CompareMetric = serde_yaml::from_str(metric)
            .map_err(|_| format!("`{metric}` is no metric of a table of runs"))?;
        if metric == CompareMetric::StepsToLoss {
            return Err("a table of runs does not have the metric steps_to_loss".to_owned());
        }
        let read: Option<Margin> = serde_yaml::from_str(tolerance).ok();
        let tolerance = read.filter(is_tolerance).ok_or_else(|| {
            format!(
                "`{}` is neither a number of at least 0 nor a percentage above 0, such as 0.5%",
                tolerance.trim()
            )
        })?;
        Ok(Self { metric, tolerance })
    }
}

/// A tolerance of 0 accepts no worsening at all. Percentages are checked where they are read.
fn is_tolerance(margin: &Margin) -> bool {
    match margin {
        Margin::Absolute(tolerance) => tolerance.is_finite() && *tolerance >= 0.0,
        Margin::Percent(_) => true,
    }
}

/// Whether a variant has become worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GateResult {
    /// No value has changed.
    Unchanged,
    /// It is not worse by more than the tolerance.
    Passed,
    /// There is no gate.
    NotTested,
    /// The interval contains both more and less than the tolerance, there is only one seed, results are absent, or the
    /// tokenizers differ and the metric is a loss per token.
    Undecided,
    /// It is worse by more than the tolerance, or has lost results because runs failed or diverged.
    Worse,
}

impl GateResult {
    /// `change` is the interval of the change. An exact change is both of its ends.
    pub(super) fn of(
        change: Option<ConfidenceInterval>,
        tolerance: f64,
        is_better_higher: bool,
    ) -> Self {
        let Some(ConfidenceInterval { low, high }) = change else {
            return Self::Undecided;
        };
        // The least and the most by which it may be worse.
        let (least, most) = match is_better_higher {
            true => (-high, -low),
            false => (low, high),
        };
        match (least > tolerance, most > tolerance) {
            (true, _) => Self::Worse,
            (false, true) => Self::Undecided,
            (false, false) => Self::Passed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gates_are_read_from_text() {
        let gate: Gate = "bits_per_byte: 0.5%".parse().unwrap();
        assert_eq!(gate.metric, CompareMetric::BitsPerByte);
        assert_eq!(gate.tolerance.absolute(2.0), 0.01);
        let gate: Gate = "tokens_per_second:100".parse().unwrap();
        assert_eq!(gate.tolerance, Margin::Absolute(100.0));
        let gate: Gate = "bits_per_byte: 0".parse().unwrap();
        assert_eq!(gate.tolerance, Margin::Absolute(0.0));
        for wrong in ["", "bits_per_byte", "loss: 1", "steps_to_loss: 1"] {
            assert!(wrong.parse::<Gate>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_tolerance_is_finite_and_not_negative() {
        for wrong in ["x", "-1", "-0.5", "-1%", "0%", ".inf", ".nan"] {
            let error = format!("seconds: {wrong}").parse::<Gate>().unwrap_err();
            let expected = format!(
                "`{wrong}` is neither a number of at least 0 nor a percentage above 0, such as 0.5%"
            );
            assert_eq!(error, expected);
        }
    }
}
