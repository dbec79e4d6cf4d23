use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;

/// The interval between two events of training: a number of steps, or a text such as `1 epoch`,
/// `0.5 epochs`, `100000 tokens` or `50 steps`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Every {
    Steps(u64),
    Tokens(u64),
    Epochs(f64),
}

/// The text form of a positive decimal number, as a part of a pattern.
macro_rules! positive_decimal {
    () => {
        r"(0*[1-9][0-9]{0,8}(\.[0-9]{1,9})?|0+\.[0-9]{0,8}[1-9][0-9]{0,8})"
    };
}
pub(super) use positive_decimal;

/// The text form of an interval, as a part of a pattern.
pub(super) const TEXT: &str = concat!(
    r"0*[1-9][0-9]{0,17} (steps?|tokens?)|",
    positive_decimal!(),
    " epochs?"
);

impl Every {
    /// The interval in steps, rounded up like the length of a run, so that an interval of one epoch
    /// ends with the epoch.
    pub(super) fn in_steps(self, tokens_per_step: u64, steps_per_epoch: f64) -> u64 {
        let steps = match self {
            Self::Steps(steps) => return steps,
            Self::Tokens(tokens) => tokens as f64 / tokens_per_step as f64,
            Self::Epochs(epochs) => epochs * steps_per_epoch,
        };
        // A number that only rounding put above a whole number is not rounded up.
        ((steps - 1e-9).ceil() as u64).max(1)
    }

    /// Number of steps; `None` for an interval in tokens or epochs, which a planned run does not have.
    pub fn steps(self) -> Option<u64> {
        match self {
            Self::Steps(steps) => Some(steps),
            Self::Tokens(_) | Self::Epochs(_) => None,
        }
    }

    /// Whether the event takes place after `step` steps.
    pub fn is_due(self, step: u64) -> bool {
        self.steps().is_some_and(|every| step.is_multiple_of(every))
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let (number, unit) = text.split_once(' ')?;
        let whole = || number.parse().ok().filter(|&number: &u64| number > 0);
        Some(match unit {
            "step" | "steps" => Self::Steps(whole()?),
            "token" | "tokens" => Self::Tokens(whole()?),
            "epoch" | "epochs" => {
                let epochs = number.parse().ok();
                Self::Epochs(epochs.filter(|&epochs: &f64| epochs.is_finite() && epochs > 0.0)?)
            }
            _ => return None,
        })
    }
}

impl fmt::Display for Every {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Steps(steps) => write!(f, "{steps} steps"),
            Self::Tokens(tokens) => write!(f, "{tokens} tokens"),
            Self::Epochs(epochs) => write!(f, "{epochs} epochs"),
        }
    }
}

impl Serialize for Every {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Steps(steps) => serializer.serialize_u64(*steps),
            other => serializer.collect_str(other),
        }
    }
}

impl<'de> Deserialize<'de> for Every {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IntervalVisitor;
        impl Visitor<'_> for IntervalVisitor {
            type Value = Every;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of steps, or a text such as `1 epoch` or `100000 tokens`")
            }
            fn visit_u64<E: de::Error>(self, steps: u64) -> Result<Every, E> {
                Ok(Every::Steps(steps))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Every, E> {
                let wrong = || E::invalid_value(de::Unexpected::Str(text), &self);
                Every::parse(text).ok_or_else(wrong)
            }
        }
        deserializer.deserialize_any(IntervalVisitor)
    }
}

impl JsonSchema for Every {
    fn schema_name() -> Cow<'static, str> {
        "Every".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "oneOf": alternatives() })
    }
}

fn alternatives() -> Vec<Schema> {
    number_or_text(TEXT)
}

/// The schemas of an interval that is a number of steps or a text of this pattern.
pub(super) fn number_or_text(pattern: &str) -> Vec<Schema> {
    vec![
        json_schema!({ "type": "integer", "minimum": 1 }),
        json_schema!({ "type": "string", "pattern": format!("^({pattern})$") }),
    ]
}

/// The schema of an interval that may be `null`.
pub(super) fn or_null(_: &mut SchemaGenerator) -> Schema {
    let mut alternatives = alternatives();
    alternatives.push(json_schema!({ "type": "null" }));
    json_schema!({ "oneOf": alternatives })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_and_written_back() {
        let read = |text: &str| serde_json::from_str::<Every>(text).ok();
        for (text, interval) in [
            ("50", Every::Steps(50)),
            ("\"1 epochs\"", Every::Epochs(1.0)),
            ("\"0.25 epochs\"", Every::Epochs(0.25)),
            ("\"100000 tokens\"", Every::Tokens(100_000)),
        ] {
            assert_eq!(read(text), Some(interval), "{text}");
            assert_eq!(serde_json::to_string(&interval).unwrap(), text);
        }
        assert_eq!(read("\"1 epoch\""), Some(Every::Epochs(1.0)));
        assert_eq!(read("\"7 steps\""), Some(Every::Steps(7)));
        for text in [
            "\"1\"",
            "\"0 epochs\"",
            "\"-1 epochs\"",
            "\"NaN epochs\"",
            "\"0 steps\"",
            "\"2 weeks\"",
            "1.5",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn epochs_and_tokens_become_as_many_steps_as_it_takes() {
        assert_eq!(Every::Epochs(1.0).in_steps(768, 100.5), 101);
        assert_eq!(Every::Epochs(0.001).in_steps(768, 100.5), 1);
        assert_eq!(Every::Epochs(0.1).in_steps(768, 30.0), 3);
        assert_eq!(Every::Tokens(1000).in_steps(300, 100.5), 4);
        assert_eq!(Every::Tokens(900).in_steps(300, 100.5), 3);
        assert_eq!(Every::Steps(9).in_steps(300, 100.5), 9);
    }
}
