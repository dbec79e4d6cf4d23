use super::{Choice, Percent};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// How the variants are compared with the baseline.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Compare {
    /// The metric by which the variants are compared and ranked.
    pub metric: CompareMetric,
    /// The validation loss to reach with `metric: steps_to_loss`, in nats per token.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub target_loss: Option<f64>,
    /// The smallest difference that matters: a number in the unit of the metric, such as `0.01`, or a
    /// share of the baseline's mean above 0 % and below 1000 %, such as `0.5%`. A variant whose interval lies
    /// within the margin is equivalent to the baseline. Without a margin, no variant is called equivalent.
    #[schemars(schema_with = "or_null")]
    pub margin: Option<Margin>,
}

/// A metric by which variants are compared. Each run has one value, measured after its last step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CompareMetric {
    /// Cross-entropy of the validation split, in bits per byte of the text.
    #[default]
    BitsPerByte,
    /// Cross-entropy of the validation split, in nats per token. The variants must have the same tokens.
    ValLoss,
    /// Mean batch loss of the last tenth of the steps, in nats per token. The variants must have the same
    /// tokens.
    TrainLoss,
    /// Number of training steps until the validation loss is at most `target_loss`, interpolated between
    /// evaluations. The variants must have the same tokens.
    StepsToLoss,
    /// Training speed in tokens per second. Higher is better. It depends on the machine and on what else
    /// it does.
    TokensPerSecond,
    /// Duration of the run in seconds, evaluation and sampling included. It depends on the machine and on
    /// what else it does.
    Seconds,
    /// Peak memory of the run in MiB.
    PeakMemoryMb,
}

impl Choice for CompareMetric {
    const PATH: &'static str = "compare.metric";

    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::StepsToLoss => &["compare.target_loss"],
            _ => &[],
        }
    }
}

impl CompareMetric {
    /// Whether a higher value is better.
    pub fn is_better_higher(self) -> bool {
        self == Self::TokensPerSecond
    }

    /// Whether it is a measurement of time or memory, which varies even if a run is repeated exactly.
    pub fn is_measurement(self) -> bool {
        matches!(
            self,
            Self::TokensPerSecond | Self::Seconds | Self::PeakMemoryMb
        )
    }

    /// Whether it is a loss per token, which cannot be compared between tokenizers.
    pub fn is_per_token(self) -> bool {
        match self {
            Self::ValLoss | Self::TrainLoss | Self::StepsToLoss => true,
            Self::BitsPerByte | Self::TokensPerSecond | Self::Seconds | Self::PeakMemoryMb => false,
        }
    }
}

/// The smallest difference that matters, in the form in which a file has it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Margin {
    /// `0.01`, in the unit of the metric.
    Absolute(f64),
    /// `0.5%` of the baseline's mean.
    Percent(Percent),
}

impl Margin {
    /// The margin in the unit of the metric, given the baseline's mean.
    pub fn absolute(self, baseline: f64) -> f64 {
        match self {
            Self::Absolute(margin) => margin,
            Self::Percent(percent) => percent.fraction() * baseline.abs(),
        }
    }
}

impl fmt::Display for Margin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absolute(margin) => write!(f, "{margin}"),
            Self::Percent(percent) => percent.fmt(f),
        }
    }
}

impl Serialize for Margin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Absolute(margin) => serializer.serialize_f64(*margin),
            Self::Percent(percent) => percent.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Margin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MarginVisitor;
        impl Visitor<'_> for MarginVisitor {
            type Value = Margin;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a number above 0, or a percentage above 0 and below 1000, such as `0.5%`",
                )
            }
            fn visit_f64<E: de::Error>(self, margin: f64) -> Result<Margin, E> {
                Ok(Margin::Absolute(margin))
            }
            fn visit_u64<E: de::Error>(self, margin: u64) -> Result<Margin, E> {
                Ok(Margin::Absolute(margin as f64))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Margin, E> {
                let wrong = || E::invalid_value(de::Unexpected::Str(text), &self);
                Percent::parse(text).map(Margin::Percent).ok_or_else(wrong)
            }
        }
        deserializer.deserialize_any(MarginVisitor)
    }
}

/// The schema of a margin that may be `null`.
fn or_null(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "oneOf": [
        { "type": "number", "exclusiveMinimum": 0 },
        { "type": "string", "pattern": Percent::PATTERN },
        { "type": "null" },
    ] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_margin_is_read_and_written() {
        for (text, margin) in [
            ("0.01", Margin::Absolute(0.01)),
            ("1", Margin::Absolute(1.0)),
            ("0.5%", Margin::Percent(Percent::new(0.5))),
        ] {
            let read: Margin = serde_yaml::from_str(text).unwrap();
            assert_eq!(read, margin);
            let written = serde_yaml::to_string(&read).unwrap();
            assert_eq!(serde_yaml::from_str::<Margin>(&written).unwrap(), margin);
        }
        assert!(serde_yaml::from_str::<Margin>("half").is_err());
        let percent = Margin::Percent(Percent::new(0.5));
        assert_eq!(percent.absolute(2.0), 0.01);
        assert_eq!(percent.to_string(), "0.5 %");
        assert_eq!(Margin::Absolute(0.01).to_string(), "0.01");
    }
}
