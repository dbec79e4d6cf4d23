//! The metric of the comparison in words and numbers.

use crate::spec::{Compare, CompareMetric};
use crate::text::units;

/// The metric by which the variants are compared.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Metric {
    pub(crate) kind: CompareMetric,
    target_loss: f64,
}

impl Metric {
    pub(crate) fn of(compare: &Compare) -> Self {
        Self {
            kind: compare.metric,
            target_loss: compare.target_loss.unwrap_or(f64::NAN),
        }
    }

    /// Whether it is bits per byte, the metric of most plots and tables.
    pub(crate) fn is_bits_per_byte(self) -> bool {
        self.kind == CompareMetric::BitsPerByte
    }

    /// Its name and unit: `validation loss (nats per token)`.
    pub(crate) fn title(self) -> String {
        let name = match self.kind {
            CompareMetric::BitsPerByte => return "bits per byte".to_owned(),
            CompareMetric::ValLoss => "validation loss",
            CompareMetric::TrainLoss => "training loss",
            CompareMetric::StepsToLoss => {
                return format!("steps to a validation loss of {}", self.target_loss);
            }
            CompareMetric::TokensPerSecond => "training speed",
            CompareMetric::Seconds => "duration",
            CompareMetric::PeakMemoryMb => "peak memory",
        };
        format!("{name} ({})", self.unit())
    }

    pub(crate) fn unit(self) -> &'static str {
        match self.kind {
            CompareMetric::BitsPerByte => "bits per byte",
            CompareMetric::ValLoss | CompareMetric::TrainLoss => "nats per token",
            CompareMetric::StepsToLoss => "steps",
            CompareMetric::TokensPerSecond => "tokens per second",
            CompareMetric::Seconds => "seconds",
            CompareMetric::PeakMemoryMb => "MiB",
        }
    }

    /// What the best variant has: `the lowest loss`.
    pub(crate) fn best(self) -> &'static str {
        match self.kind {
            CompareMetric::BitsPerByte | CompareMetric::ValLoss => "the lowest loss",
            CompareMetric::TrainLoss => "the lowest training loss",
            CompareMetric::StepsToLoss => "the fewest steps",
            CompareMetric::TokensPerSecond => "the highest speed",
            CompareMetric::Seconds => "the shortest duration",
            CompareMetric::PeakMemoryMb => "the lowest peak memory",
        }
    }

    /// What a better variant has than another: `a lower loss`.
    pub(crate) fn better(self) -> &'static str {
        match self.kind {
            CompareMetric::BitsPerByte | CompareMetric::ValLoss => "a lower loss",
            CompareMetric::TrainLoss => "a lower training loss",
            CompareMetric::StepsToLoss => "fewer steps",
            CompareMetric::TokensPerSecond => "a higher speed",
            CompareMetric::Seconds => "a shorter duration",
            CompareMetric::PeakMemoryMb => "a lower peak memory",
        }
    }

    /// What a run has to reach: `a validation loss of 1.8`.
    pub(crate) fn goal(self) -> String {
        format!("a validation loss of {}", self.target_loss)
    }

    /// A value without its unit.
    pub(crate) fn value(self, value: f64) -> String {
        match self.decimals() {
            _ if value.is_infinite() => "not reached".to_owned(),
            None => units::loss(value),
            Some(0) => units::rounded(value),
            Some(decimals) => format!("{value:.0$}", decimals as usize),
        }
    }

    /// A value with its unit.
    pub(crate) fn with_unit(self, value: f64) -> String {
        match value.is_infinite() {
            true => "not reached".to_owned(),
            false => format!("{} {}", self.value(value), self.unit()),
        }
    }

    /// A difference of values with its sign. A small one has one more decimal.
    pub(crate) fn difference(self, value: f64) -> String {
        match self.decimals() {
            _ if !value.is_finite() => units::NO_VALUE.to_owned(),
            None => units::difference(value),
            Some(decimals) if value.abs() < 10_f64.powi(1 - decimals) => {
                let decimals = decimals as usize + 1;
                units::signed(value, |size| format!("{size:.decimals$}"))
            }
            Some(_) => units::signed(value, |size| self.value(size)),
        }
    }

    /// Number of decimals; `None` for losses.
    fn decimals(self) -> Option<i32> {
        match self.kind {
            CompareMetric::BitsPerByte | CompareMetric::ValLoss | CompareMetric::TrainLoss => None,
            CompareMetric::StepsToLoss | CompareMetric::TokensPerSecond => Some(0),
            CompareMetric::Seconds => Some(2),
            CompareMetric::PeakMemoryMb => Some(1),
        }
    }
}
