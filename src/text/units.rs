//! Number formats. All numbers that a user reads are formatted here.

/// Shown in place of a value that does not exist.
pub(crate) const NO_VALUE: &str = "–";

/// A count with an SI prefix and three significant digits: `10.8 M`.
pub(crate) fn count(value: f64) -> String {
    const PREFIXES: [&str; 6] = ["", " k", " M", " G", " T", " P"];
    let mut scaled = value;
    let mut prefix = 0;
    // 999.5 would round up to 1000 of the smaller unit.
    while scaled.abs() >= 999.5 && prefix + 1 < PREFIXES.len() {
        scaled /= 1000.0;
        prefix += 1;
    }
    let digits = match scaled.abs() {
        _ if prefix == 0 && scaled.fract() == 0.0 => 0,
        size if size >= 99.95 => 0,
        size if size >= 9.995 => 1,
        _ => 2,
    };
    format!("{scaled:.digits$}{}", PREFIXES[prefix])
}

/// A number rounded to an integer, with all its digits: `10,788,929`.
pub(crate) fn rounded(value: f64) -> String {
    group_digits(&format!("{value:.0}"))
}

/// A count with all its digits: `50,257`.
pub(crate) fn exact(count: u64) -> String {
    group_digits(&count.to_string())
}

/// Puts a comma between groups of three digits. A minus sign becomes `−` (U+2212).
fn group_digits(number: &str) -> String {
    let (sign, digits) = match number.strip_prefix('-') {
        // A small negative number may round to 0.
        Some("0") => ("", "0"),
        Some(digits) => ("−", digits),
        None => ("", number),
    };
    // Infinity and NaN have no digits to group.
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return format!("{sign}{digits}");
    }
    let mut text = sign.to_owned();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// An amount of data, given in bytes: `1.00 MB`, `512 B`.
pub(crate) fn bytes(bytes: f64) -> String {
    let count = count(bytes);
    match count.contains(' ') {
        true => count + "B",
        false => count + " B",
    }
}

/// A count at an axis tick, without trailing zeros: `50 k`.
pub(crate) fn tick(value: f64) -> String {
    let text = count(value);
    let (number, prefix) = text.split_once(' ').unwrap_or((&text, ""));
    let number = match number.contains('.') {
        true => number.trim_end_matches('0').trim_end_matches('.'),
        false => number,
    };
    format!("{number} {prefix}").trim_end().to_owned()
}

/// A rate in tokens per second: `3.22 k`.
pub(crate) fn rate(tokens_per_second: f64) -> String {
    count(tokens_per_second.round())
}

/// A duration: `0.4 s`, `12 s`, `1 m 20 s`, `2 h 05 m`.
pub(crate) fn duration(seconds: f64) -> String {
    if seconds < 9.95 {
        return format!("{seconds:.1} s");
    }
    let seconds = seconds.round() as u64;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} m {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} m", seconds / 3600, seconds % 3600 / 60),
    }
}

/// A number of seconds with two decimals: `41.97`.
pub(crate) fn seconds(seconds: f64) -> String {
    format!("{seconds:.2}")
}

/// An amount of memory, given in MiB: `340 MiB`, `1.5 GiB`.
pub(crate) fn memory(mib: f64) -> String {
    if mib < 1000.0 {
        format!("{mib:.0} MiB")
    } else {
        format!("{:.1} GiB", mib / 1024.0)
    }
}

/// A loss, in nats per token or bits per byte: `1.2346`.
pub(crate) fn loss(value: f64) -> String {
    format!("{value:.4}")
}

/// A difference of losses, with its sign: `−0.0123`.
pub(crate) fn difference(value: f64) -> String {
    let text = format!("{value:+.4}");
    match text.as_str() {
        "+0.0000" | "-0.0000" => "0.0000".to_owned(),
        _ => text.replace('-', "−"),
    }
}

/// A loss with five decimals, for comparison with a target that is close: `3.27797`.
pub(crate) fn precise_loss(value: f64) -> String {
    format!("{value:.5}")
}

/// A number with a sign, `+` included. `format` formats its absolute value.
pub(crate) fn signed(value: f64, format: impl Fn(f64) -> String) -> String {
    let sign = match value {
        _ if format(value.abs()) == format(0.0) => "",
        ..0.0 => "−",
        _ => "+",
    };
    sign.to_owned() + &format(value.abs())
}

/// A number as a file has it: `0.005`, `1e300`.
pub(crate) fn as_written(value: f64) -> String {
    match value.abs() {
        0.0 | 1e-6..1e9 => value.to_string(),
        _ => format!("{value:e}"),
    }
}

/// A p-value: `0.0026`, `below 0.0001`.
pub(crate) fn p_value(p: f64) -> String {
    match p {
        ..0.0001 => "below 0.0001".to_owned(),
        0.9999.. => "above 0.9999".to_owned(),
        _ => format!("{p:.4}"),
    }
}

/// A test statistic: `−4.19`, `1.2e16`, `∞`.
pub(crate) fn statistic(value: f64) -> String {
    let text = match value.abs() {
        f64::INFINITY => "∞".to_owned(),
        size if size >= 9999.995 => format!("{size:.1e}"),
        size => format!("{size:.2}"),
    };
    match value < 0.0 && text != "0.00" {
        true => format!("−{text}"),
        false => text,
    }
}

/// Degrees of freedom, which may be a fraction: `7`, `6.09`.
pub(crate) fn degrees_of_freedom(value: f64) -> String {
    match value.fract() {
        0.0 => format!("{value:.0}"),
        _ => format!("{value:.2}"),
    }
}

/// A relative change in percent, given as the ratio of new to old: `+12 %`.
pub(crate) fn change(ratio: f64) -> String {
    let percent = (ratio - 1.0) * 100.0;
    let digits = usize::from(percent.abs() < 9.95);
    format!("{percent:+.digits$} %").replace('-', "−")
}

/// A relative difference that should be small: `equal`, `+0.02 %`, `−1.2 %`.
pub(crate) fn mismatch(difference: f64) -> String {
    let percent = difference.abs() * 100.0;
    match percent {
        0.0 => "equal".to_owned(),
        ..0.005 => "below 0.01 %".to_owned(),
        ..0.995 => format!("{:+.2} %", difference * 100.0).replace('-', "−"),
        _ => change(1.0 + difference),
    }
}

/// A fraction in percent: `0`, `0.02 %`, `12 %`.
pub(crate) fn share(share: f64) -> String {
    let percent = share * 100.0;
    match percent {
        0.0 => "0".to_owned(),
        ..0.005 => "below 0.01 %".to_owned(),
        ..0.995 => format!("{percent:.2} %"),
        ..9.95 => format!("{percent:.1} %"),
        _ => format!("{percent:.0} %"),
    }
}

/// `1 seed`, `3 seeds`.
pub(crate) fn plural(n: usize, noun: &str) -> String {
    match n {
        1 => format!("1 {noun}"),
        _ => format!("{n} {noun}s"),
    }
}

/// `a`, `a and b`, `a, b and c`.
pub(crate) fn list<S: AsRef<str>>(items: &[S]) -> String {
    let items: Vec<&str> = items.iter().map(AsRef::as_ref).collect();
    match items.as_slice() {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn shares_and_exact_counts() {
        let shown = [0.0, 0.000_01, 0.0012, 0.034, 0.5].map(share);
        assert_eq!(shown, ["0", "below 0.01 %", "0.12 %", "3.4 %", "50 %"]);
        let shown = [7, 999, 1000, 50_257, 1_000_000].map(exact);
        assert_eq!(shown, ["7", "999", "1,000", "50,257", "1,000,000"]);
    }

    #[test]
    fn mismatches_have_their_sign() {
        let shown = [0.0, 1e-6, -0.0002, 0.0123, 0.5].map(mismatch);
        let expected = ["equal", "below 0.01 %", "−0.02 %", "+1.2 %", "+50 %"];
        assert_eq!(shown, expected);
    }

    #[test]
    fn counts() {
        let shown = [
            0.0,
            7.0,
            999.0,
            1000.0,
            3217.0,
            65_536.0,
            999_600.0,
            10_812_345.0,
            1.5e9,
        ];
        let shown: Vec<String> = shown.into_iter().map(count).collect();
        let expected = [
            "0", "7", "999", "1.00 k", "3.22 k", "65.5 k", "1.00 M", "10.8 M", "1.50 G",
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn rounded_numbers_have_all_their_digits() {
        let shown = [
            0.0,
            65.0,
            999.0,
            1000.0,
            10_788_929.0,
            -804_096.0,
            -0.3,
            f64::NEG_INFINITY,
        ];
        let expected = [
            "0",
            "65",
            "999",
            "1,000",
            "10,788,929",
            "−804,096",
            "0",
            "−inf",
        ];
        assert_eq!(shown.map(rounded), expected);
    }

    proptest! {
        #[test]
        fn grouping_digits_loses_nothing(value in any::<i32>()) {
            let text = rounded(f64::from(value));
            let plain = text.replace(',', "").replace('−', "-");
            prop_assert_eq!(plain.parse::<i32>(), Ok(value));
            let unsigned = text.trim_start_matches('−');
            let groups: Vec<&str> = unsigned.split(',').collect();
            prop_assert!((1..=3).contains(&groups[0].len()), "{}", text);
            prop_assert!(groups[1..].iter().all(|group| group.len() == 3), "{}", text);
        }
    }

    #[test]
    fn amounts_of_data() {
        assert_eq!([512.0, 1e6].map(bytes), ["512 B", "1.00 MB"]);
    }

    #[test]
    fn ticks() {
        let shown = [0.0, 0.1, 0.25, 20.0, 50_000.0, 1.0e6, 1.5e6].map(tick);
        assert_eq!(shown, ["0", "0.1", "0.25", "20", "50 k", "1 M", "1.5 M"]);
    }

    #[test]
    fn durations() {
        let shown = [0.42, 9.96, 12.3, 59.6, 80.0, 3599.6, 7500.0].map(duration);
        let expected = [
            "0.4 s", "10 s", "12 s", "1 m 00 s", "1 m 20 s", "1 h 00 m", "2 h 05 m",
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn memories() {
        let shown = [0.4, 340.2, 1536.0].map(memory);
        assert_eq!(shown, ["0 MiB", "340 MiB", "1.5 GiB"]);
    }

    #[test]
    fn differences_have_a_sign_unless_they_round_to_zero() {
        let shown = [0.012_345, -0.012_345, 0.000_01, -0.000_01].map(difference);
        assert_eq!(shown, ["+0.0123", "−0.0123", "0.0000", "0.0000"]);
        assert_eq!(
            [1.123, 0.5, 1.004].map(change),
            ["+12 %", "−50 %", "+0.4 %"]
        );
    }

    #[test]
    fn results_of_tests() {
        assert_eq!(precise_loss(3.277_974), "3.27797");
        let shown = [0.005, 3.28, 0.0, 1e300, -1e-9].map(as_written);
        assert_eq!(shown, ["0.005", "3.28", "0", "1e300", "-1e-9"]);
        let shown = [-0.002_026, 0.002_026, -0.000_001].map(|value| signed(value, precise_loss));
        assert_eq!(shown, ["−0.00203", "+0.00203", "0.00000"]);
        let shown = [0.0, 2.1e-5, 0.0026, 0.5, 1.0].map(p_value);
        assert_eq!(
            shown,
            [
                "below 0.0001",
                "below 0.0001",
                "0.0026",
                "0.5000",
                "above 0.9999"
            ]
        );
        let shown = [-4.1917, 0.0, -0.001, 1.2e16, f64::NEG_INFINITY].map(statistic);
        assert_eq!(shown, ["−4.19", "0.00", "0.00", "1.2e16", "−∞"]);
        assert_eq!([7.0, 6.0869].map(degrees_of_freedom), ["7", "6.09"]);
    }

    #[test]
    fn words() {
        assert_eq!([plural(1, "seed"), plural(0, "run")], ["1 seed", "0 runs"]);
        assert_eq!(list(&["a", "b", "c"]), "a, b and c");
        assert_eq!(list(&["a"]), "a");
    }
}
