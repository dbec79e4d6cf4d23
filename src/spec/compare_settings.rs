use super::Percent;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// How the variants are compared with the baseline.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Compare {
    /// The smallest difference that matters: a number of bits per byte, such as `0.01`, or a share of the
    /// baseline's mean, such as `0.5%`. A variant whose interval lies within the margin is equivalent to
    /// the baseline. Without a margin, no variant is called equivalent.
    #[schemars(schema_with = "or_null")]
    pub margin: Option<Margin>,
}

/// The smallest difference that matters, in the form in which a file has it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Margin {
    /// `0.01`, in the unit of the metric.
    Absolute(f64),
    /// `0.5%` of the baseline's mean, as 0.5.
    Percent(f64),
}

impl Margin {
    /// The margin in the unit of the metric, given the baseline's mean.
    pub fn absolute(self, baseline: f64) -> f64 {
        match self {
            Self::Absolute(margin) => margin,
            Self::Percent(percent) => percent / 100.0 * baseline.abs(),
        }
    }
}

impl fmt::Display for Margin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absolute(margin) => write!(f, "{margin}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

impl Serialize for Margin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Absolute(margin) => serializer.serialize_f64(*margin),
            Self::Percent(_) => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for Margin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MarginVisitor;
        impl Visitor<'_> for MarginVisitor {
            type Value = Margin;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number above 0, or a percentage such as `0.5%`")
            }
            fn visit_f64<E: de::Error>(self, margin: f64) -> Result<Margin, E> {
                Ok(Margin::Absolute(margin))
            }
            fn visit_u64<E: de::Error>(self, margin: u64) -> Result<Margin, E> {
                Ok(Margin::Absolute(margin as f64))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Margin, E> {
                let percent = Percent::parse(text).map(Percent::value);
                let wrong = || E::invalid_value(de::Unexpected::Str(text), &self);
                percent.map(Margin::Percent).ok_or_else(wrong)
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
            ("0.5%", Margin::Percent(0.5)),
        ] {
            let read: Margin = serde_yaml::from_str(text).unwrap();
            assert_eq!(read, margin);
            let written = serde_yaml::to_string(&read).unwrap();
            assert_eq!(serde_yaml::from_str::<Margin>(&written).unwrap(), margin);
        }
        assert!(serde_yaml::from_str::<Margin>("half").is_err());
        assert_eq!(Margin::Percent(0.5).absolute(2.0), 0.01);
    }
}
