//! The value of a plain (unquoted) scalar in the core schema of YAML 1.2.2, section 10.3.2.
//!
//! Unlike in YAML 1.1, `no`, `on` and `1_000` are strings, and `1e-3` is a number.

use super::tree::Value;

/// Resolves a plain scalar.
pub(super) fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Value::Float(f64::NAN),
        _ => {}
    }
    integer(text)
        .or_else(|| float(text))
        .unwrap_or_else(|| Value::Str(text.to_owned()))
}

fn integer(text: &str) -> Option<Value> {
    let radix = |digits: &str, radix| {
        let legal = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
        legal
            .then(|| i128::from_str_radix(digits, radix).map_or(Value::Float(f64::MAX), Value::Int))
    };
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(digits, 8);
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let legal = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    // More digits than i128 holds is a float: out of range wherever an integer is expected.
    legal.then(|| match text.parse() {
        Ok(int) => Value::Int(int),
        Err(_) => Value::Float(text.parse().unwrap_or(f64::MAX)),
    })
}

fn float(text: &str) -> Option<Value> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") {
        let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
        return Some(Value::Float(sign * f64::INFINITY));
    }
    // Rust reads `inf`, `nan` and `infinity` as floats too; YAML does not.
    let first = unsigned.strip_prefix('.').unwrap_or(unsigned);
    let numeric = first.starts_with(|c: char| c.is_ascii_digit());
    let value = numeric.then(|| text.parse().ok()).flatten()?;
    Some(Value::Float(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_yaml_1_2() {
        for (text, value) in [
            ("12", Value::Int(12)),
            ("-0", Value::Int(0)),
            ("+7", Value::Int(7)),
            ("0x1F", Value::Int(31)),
            ("0o17", Value::Int(15)),
            ("010", Value::Int(10)),
            ("1e-3", Value::Float(1e-3)),
            ("1.0e-3", Value::Float(1e-3)),
            (".5", Value::Float(0.5)),
            ("5.", Value::Float(5.0)),
            ("-.inf", Value::Float(f64::NEG_INFINITY)),
        ] {
            assert_eq!(resolve(text), value, "{text}");
        }
        assert!(matches!(resolve(".nan"), Value::Float(x) if x.is_nan()));
    }

    #[test]
    fn what_looks_like_yaml_1_1_is_a_string() {
        for text in [
            "no", "yes", "on", "off", "1_000", "1:30", "inf", "nan", "0x", "0o8", "e3", ".", "-",
            "1e", "+", "1.2.3", "12abc",
        ] {
            assert_eq!(resolve(text), Value::Str(text.to_owned()));
        }
    }

    #[test]
    fn an_integer_too_long_for_any_field_is_still_a_number() {
        let digits = "9".repeat(100);
        assert!(matches!(resolve(&digits), Value::Float(x) if x > 1e99));
        assert!(matches!(resolve(&format!("0x{digits}")), Value::Float(_)));
    }
}
