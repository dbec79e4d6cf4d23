use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;
use std::fmt;

/// A percentage such as `0.5%`, above 0 and below 1000.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Percent(f64);

impl Percent {
    /// A percentage is below this number of percent.
    pub const BOUND: f64 = 1000.0;

    /// The form of a percentage in a file: at most three digits before the point, as [`Self::BOUND`] says.
    pub(super) const PATTERN: &str =
        r"^(0*[1-9][0-9]{0,2}(\.[0-9]{1,9})?|0+\.[0-9]{0,8}[1-9][0-9]{0,8})%$";

    /// 1 for `1%`.
    pub const fn new(percent: f64) -> Self {
        Self(percent)
    }

    /// 1 for `1%`.
    pub fn value(self) -> f64 {
        self.0
    }

    /// 0.01 for `1%`.
    pub fn fraction(self) -> f64 {
        self.0 / 100.0
    }

    /// Reads a text such as `0.5%`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let number: f64 = text.strip_suffix('%')?.parse().ok()?;
        (number > 0.0 && number < Self::BOUND).then_some(Self(number))
    }
}

/// In the form of a text: `0.5 %`.
impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", self.0)
    }
}

/// In the form of a file: `0.5%`.
impl Serialize for Percent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}%", self.0))
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = || {
            let found = de::Unexpected::Str(&text);
            de::Error::invalid_value(
                found,
                &"a percentage above 0 and below 1000, such as `0.5%`",
            )
        };
        Self::parse(&text).ok_or_else(wrong)
    }
}

impl JsonSchema for Percent {
    fn schema_name() -> Cow<'static, str> {
        "Percent".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": Self::PATTERN })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_is_read_and_written() {
        let percent: Percent = serde_yaml::from_str("0.5%").unwrap();
        assert_eq!((percent.value(), percent.fraction()), (0.5, 0.005));
        assert_eq!(serde_yaml::to_string(&percent).unwrap().trim(), "0.5%");
        assert_eq!(percent.to_string(), "0.5 %");
        assert!(serde_yaml::from_str::<Percent>("999.9%").is_ok());
        for text in [
            "0.5", "0%", "-1%", "half", "NaN%", "inf%", "%", "1000%", "5000%",
        ] {
            assert!(serde_yaml::from_str::<Percent>(text).is_err(), "{text}");
        }
    }
}
