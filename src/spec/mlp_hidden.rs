use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;

/// Width of the hidden layer of an MLP, in the form in which a file has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MlpHidden {
    /// `matched`: a gated MLP gets as many parameters as one that is not gated.
    Matched,
    /// `4x`, `2.5x`, `8/3x`: a multiple of the width of the residual stream. The fraction is exact, so
    /// that only the product is rounded down.
    Multiple {
        numerator: usize,
        denominator: usize,
    },
    /// `512`: a number of columns.
    Width(usize),
}

/// Text forms of [`MlpHidden`]. They are short, so that products do not overflow.
const PATTERN: &str = r"^(matched|[0-9]{1,4}(\.[0-9]{1,4}|/[1-9][0-9]{0,3})?x)$";

impl MlpHidden {
    /// The width, for a residual stream of width `n_embd`.
    pub fn width(self, n_embd: usize, is_gated: bool) -> usize {
        match self {
            Self::Matched if is_gated => ((n_embd.saturating_mul(8) / 3 + 4) / 8 * 8).max(1),
            Self::Matched => n_embd.saturating_mul(4),
            Self::Multiple {
                numerator,
                denominator,
            } => n_embd.saturating_mul(numerator) / denominator,
            Self::Width(width) => width,
        }
    }

    /// A text of [`PATTERN`].
    fn parse(text: &str) -> Option<Self> {
        if text == "matched" {
            return Some(Self::Matched);
        }
        let multiple = text.strip_suffix('x')?;
        let number = |digits: &str| match digits.len() {
            1..=8 => digits.parse::<usize>().ok(),
            _ => None,
        };
        let (numerator, denominator) = if let Some((over, under)) = multiple.split_once('/') {
            (number(over)?, number(under)?)
        } else if let Some((whole, decimals)) = multiple.split_once('.') {
            number(decimals)?;
            let digits = u32::try_from(decimals.len()).ok()?;
            (number(&format!("{whole}{decimals}"))?, 10usize.pow(digits))
        } else {
            (number(multiple)?, 1)
        };
        (denominator > 0).then_some(Self::Multiple {
            numerator,
            denominator,
        })
    }
}

impl fmt::Display for MlpHidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Matched => f.write_str("matched"),
            Self::Multiple {
                numerator,
                denominator: 1,
            } => write!(f, "{numerator}x"),
            // A power of ten comes from a decimal number and is written as one.
            Self::Multiple {
                numerator,
                denominator: denominator @ (10 | 100 | 1000 | 10_000),
            } => {
                let digits = denominator.ilog10() as usize;
                let (whole, decimals) = (numerator / denominator, numerator % denominator);
                write!(f, "{whole}.{decimals:0digits$}x")
            }
            Self::Multiple {
                numerator,
                denominator,
            } => write!(f, "{numerator}/{denominator}x"),
            Self::Width(width) => write!(f, "{width}"),
        }
    }
}

impl Serialize for MlpHidden {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Width(width) => width.serialize(serializer),
            text => serializer.collect_str(text),
        }
    }
}

impl<'de> Deserialize<'de> for MlpHidden {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct HiddenVisitor;
        impl Visitor<'_> for HiddenVisitor {
            type Value = MlpHidden;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a width, a multiple such as 4x, or matched")
            }
            fn visit_u64<E: de::Error>(self, width: u64) -> Result<MlpHidden, E> {
                let width = usize::try_from(width).map_err(E::custom)?;
                Ok(MlpHidden::Width(width))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<MlpHidden, E> {
                let unknown = || E::invalid_value(de::Unexpected::Str(text), &self);
                MlpHidden::parse(text).ok_or_else(unknown)
            }
        }
        deserializer.deserialize_any(HiddenVisitor)
    }
}

impl JsonSchema for MlpHidden {
    fn schema_name() -> Cow<'static, str> {
        "MlpHidden".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "oneOf": [
                { "type": "integer", "minimum": 1, "maximum": 1_000_000 },
                { "type": "string", "pattern": PATTERN },
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Mlp;

    #[test]
    fn a_width_is_a_number_a_multiple_or_matched() {
        let cases = [
            ("85", 32, Mlp::Swiglu, 85),
            ("8/3x", 32, Mlp::Swiglu, 85),
            ("8/3x", 3, Mlp::Swiglu, 8),
            ("4x", 384, Mlp::Relu, 1536),
            ("2.5x", 10, Mlp::GeluTanh, 25),
            ("2.05x", 100, Mlp::GeluTanh, 205),
            ("matched", 128, Mlp::GeluTanh, 512),
            ("matched", 128, Mlp::Swiglu, 344),
            ("matched", 1, Mlp::Geglu, 1),
        ];
        for (text, n_embd, mlp, width) in cases {
            let hidden: MlpHidden = serde_yaml::from_str(text).unwrap();
            assert_eq!(hidden.width(n_embd, mlp.gated()), width, "{text}");
            assert_eq!(serde_yaml::to_string(&hidden).unwrap().trim(), text);
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["4 x", "x", "1/0x", "-1x", "4.x", "4/x", "1.2.3x", "auto"] {
            assert!(serde_yaml::from_str::<MlpHidden>(text).is_err(), "{text}");
        }
    }
}
