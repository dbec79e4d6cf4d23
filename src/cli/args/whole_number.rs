//! Whole numbers on the command line.

use std::fmt::Display;
use std::num::{IntErrorKind, ParseIntError};
use std::str::FromStr;

/// A type of integers that are not negative.
pub(super) trait Count: FromStr<Err = ParseIntError> + Display + Sized {
    const MAX: Self;
}

impl Count for u64 {
    const MAX: Self = Self::MAX;
}

impl Count for usize {
    const MAX: Self = Self::MAX;
}

/// Parses an integer that is not negative.
pub(super) fn count<T: Count>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: ParseIntError| {
        let digits = text.strip_prefix('-');
        let is_negative = digits.is_some_and(|digits| digits.parse::<f64>().is_ok());
        match error.kind() {
            _ if is_negative => "the value must not be negative".to_owned(),
            IntErrorKind::PosOverflow => format!("the value must be at most {}", T::MAX),
            _ => format!("expected an integer from 0 to {}", T::MAX),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn negative_numbers_are_called_so() {
        assert_eq!(count::<usize>("5"), Ok(5));
        for negative in ["-1", "-99999999999999999999999", "-0.5"] {
            let error = count::<u64>(negative).unwrap_err();
            assert_eq!(error, "the value must not be negative", "{negative}");
        }
        for (text, expected) in [
            ("x", "expected an integer from 0 to "),
            ("-", "expected an integer from 0 to "),
            ("1.5", "expected an integer from 0 to "),
            (
                "99999999999999999999999",
                "the value must be at most 18446744073709551615",
            ),
        ] {
            let error = count::<u64>(text).unwrap_err();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
    }
}
