use super::Every;
use super::every;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;

/// The interval between checkpoints: a time such as `30 seconds` or `10 minutes`, or an [`Every`]. It does not
/// change a result, so it may depend on the machine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum CheckpointInterval {
    Seconds(f64),
    Every(Every),
}

/// The text form of a time, as a part of a pattern.
const TIME: &str = concat!(every::positive_decimal!(), " (seconds?|minutes?|hours?)");

impl CheckpointInterval {
    /// Whether a checkpoint is due after `step` steps, `seconds` after the last one.
    pub fn is_due(self, step: u64, seconds: f64) -> bool {
        match self {
            Self::Seconds(interval) => seconds >= interval,
            Self::Every(every) => every.is_due(step),
        }
    }

    /// The interval with tokens and epochs converted into steps.
    pub(super) fn in_steps(self, tokens_per_step: u64, steps_per_epoch: f64) -> Self {
        match self {
            Self::Seconds(_) => self,
            Self::Every(every) => Self::Every(Every::Steps(
                every.in_steps(tokens_per_step, steps_per_epoch),
            )),
        }
    }

    fn parse_time(text: &str) -> Option<Self> {
        let (number, unit) = text.split_once(' ')?;
        let seconds = match unit {
            "second" | "seconds" => 1.0,
            "minute" | "minutes" => 60.0,
            "hour" | "hours" => 3600.0,
            _ => return None,
        };
        let number: f64 = number.parse().ok()?;
        let is_interval = number.is_finite() && number > 0.0;
        is_interval.then_some(Self::Seconds(number * seconds))
    }
}

impl Serialize for CheckpointInterval {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Seconds(seconds) => serializer.collect_str(&format_args!("{seconds} seconds")),
            Self::Every(every) => every.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for CheckpointInterval {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Steps(u64),
            Text(String),
        }
        let expected = "a number of steps, or a text such as `30 seconds` or `1 epoch`";
        match Form::deserialize(deserializer) {
            Ok(Form::Steps(steps)) => Ok(Self::Every(Every::Steps(steps))),
            Ok(Form::Text(text)) => Self::parse_time(&text)
                .or_else(|| Every::parse(&text).map(Self::Every))
                .ok_or_else(|| de::Error::invalid_value(de::Unexpected::Str(&text), &expected)),
            Err(_) => Err(de::Error::custom(format_args!("expected {expected}"))),
        }
    }
}

impl JsonSchema for CheckpointInterval {
    fn schema_name() -> Cow<'static, str> {
        "CheckpointInterval".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let text = format!("{TIME}|{}", every::TEXT);
        json_schema!({ "oneOf": every::number_or_text(&text) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_and_written_back() {
        let read = |text: &str| serde_json::from_str::<CheckpointInterval>(text).ok();
        let seconds = CheckpointInterval::Seconds;
        for (text, interval, written) in [
            ("\"30 seconds\"", seconds(30.0), "\"30 seconds\""),
            ("\"1 minute\"", seconds(60.0), "\"60 seconds\""),
            ("\"0.5 hours\"", seconds(1800.0), "\"1800 seconds\""),
            ("100", CheckpointInterval::Every(Every::Steps(100)), "100"),
            (
                "\"1 epoch\"",
                CheckpointInterval::Every(Every::Epochs(1.0)),
                "\"1 epochs\"",
            ),
        ] {
            assert_eq!(read(text), Some(interval), "{text}");
            assert_eq!(serde_json::to_string(&interval).unwrap(), written);
        }
        for text in [
            "\"0 seconds\"",
            "\"-1 minutes\"",
            "\"2 weeks\"",
            "\"60\"",
            "1.5",
            "null",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn due_by_time_or_by_step() {
        let by_time = CheckpointInterval::Seconds(10.0);
        assert!(by_time.is_due(1, 10.0) && !by_time.is_due(100, 9.9));
        let by_step = CheckpointInterval::Every(Every::Steps(5));
        assert!(by_step.is_due(10, 0.0) && !by_step.is_due(11, 1e9));
    }
}
