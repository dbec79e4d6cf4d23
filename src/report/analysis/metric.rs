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
        match value.is_infinite() {
            true => "not reached".to_owned(),
            false => self.with_decimals(value, units::decimals_to_show(&[value], self.decimals())),
        }
    }

    /// A value with its unit.
    pub(crate) fn with_unit(self, value: f64) -> String {
        match value.is_infinite() {
            true => self.value(value),
            false => format!("{} {}", self.value(value), self.unit()),
        }
    }

    /// A difference of values with its sign. A small one has more decimals.
    pub(crate) fn difference(self, value: f64) -> String {
        self.difference_with(value, self.decimals_of_difference(value, &[value]))
    }

    /// A difference of values with its sign and this number of decimals.
    pub(crate) fn difference_with(self, value: f64, decimals: usize) -> String {
        match value.is_finite() {
            true => units::signed(value, |size| self.with_decimals(size, decimals)),
            false => units::NO_VALUE.to_owned(),
        }
    }

    /// The number of decimals for a difference, with which none of the values `shown` looks like 0.
    pub(crate) fn decimals_of_difference(self, difference: f64, shown: &[f64]) -> usize {
        let own = self.decimals();
        let is_small = difference.abs() < 10_f64.powi(1 - own as i32);
        let least = own + usize::from(is_small && !self.is_loss());
        units::decimals_to_show(shown, least)
    }

    fn with_decimals(self, value: f64, decimals: usize) -> String {
        match self.kind {
            CompareMetric::StepsToLoss | CompareMetric::TokensPerSecond => {
                units::grouped(value, decimals)
            }
            _ => units::fixed(value, decimals),
        }
    }

    fn is_loss(self) -> bool {
        matches!(
            self.kind,
            CompareMetric::BitsPerByte | CompareMetric::ValLoss | CompareMetric::TrainLoss
        )
    }

    /// The usual number of decimals of a value.
    fn decimals(self) -> usize {
        match self.kind {
            CompareMetric::BitsPerByte | CompareMetric::ValLoss | CompareMetric::TrainLoss => {
                units::LOSS_DECIMALS
            }
            CompareMetric::StepsToLoss | CompareMetric::TokensPerSecond => 0,
            CompareMetric::Seconds => 2,
            CompareMetric::PeakMemoryMb => 1,
        }
    }
}
