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
    fixed(scaled, digits) + PREFIXES[prefix]
}

/// A number with a fixed number of decimals: `−0.0123`. A minus sign is `−` (U+2212), and 0 has none.
pub(crate) fn fixed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let is_zero = |size: &str| size.bytes().all(|byte| matches!(byte, b'0' | b'.'));
    match text.strip_prefix('-') {
        Some(size) if is_zero(size) => size.to_owned(),
        Some(size) => format!("−{size}"),
        None => text,
    }
}

/// [`fixed`] with commas between groups of three digits: `10,788,929`.
pub(crate) fn grouped(value: f64, decimals: usize) -> String {
    group_digits(&fixed(value, decimals))
}

/// A number rounded to an integer, with all its digits: `10,788,929`.
pub(crate) fn rounded(value: f64) -> String {
    grouped(value, 0)
}

/// A count with all its digits: `50,257`.
pub(crate) fn exact(count: u64) -> String {
    group_digits(&count.to_string())
}

/// Puts a comma between groups of three digits before the decimal point.
fn group_digits(number: &str) -> String {
    let digits = number.trim_start_matches('−');
    let (whole, fraction) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
    // Infinity and NaN have no digits to group.
    if !whole.bytes().all(|byte| byte.is_ascii_digit()) {
        return number.to_owned();
    }
    let mut text = number[..number.len() - digits.len()].to_owned();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text + fraction
}

/// The number of decimals, at least `least`, with which no value that differs from 0 looks like 0. If `least`
/// is too small, the smallest value gets two significant digits.
pub(crate) fn decimals_to_show(values: &[f64], least: usize) -> usize {
    /// Smaller values are rounding errors of sums of 64-bit numbers.
    const MOST: usize = 17;
    let sizes = values.iter().map(|value| value.abs());
    let smallest = sizes
        .filter(|size| *size > 0.0)
        .fold(f64::INFINITY, f64::min);
    let is_shown = |decimals: &usize| smallest > 0.5 * 10_f64.powi(-(*decimals as i32));
    match (least..MOST).find(is_shown) {
        Some(decimals) if decimals == least => least,
        Some(decimals) => decimals + 1,
        None => MOST.max(least),
    }
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
    let text = match value.abs() < 1.0 {
        true => fixed(value, decimals_to_show(&[value], 2)),
        false => count(value),
    };
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
        return format!("{} s", fixed(seconds, 1));
    }
    let seconds = seconds.round() as u64;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} m {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} m", seconds / 3600, seconds % 3600 / 60),
    }
}

/// A duration that was measured, which is never shown as 0: `below 0.1 s`, `0.4 s`.
pub(crate) fn measured_duration(seconds: f64) -> String {
    match seconds {
        0.0..0.05 => "below 0.1 s".to_owned(),
        _ => duration(seconds),
    }
}

/// An amount of memory, given in MiB: `340 MiB`, `1.5 GiB`.
pub(crate) fn memory(mib: f64) -> String {
    if mib < 1000.0 {
        format!("{mib:.0} MiB")
    } else {
        format!("{:.1} GiB", mib / 1024.0)
    }
}

/// Number of decimals of a loss.
pub(crate) const LOSS_DECIMALS: usize = 4;

/// A loss, in nats per token or bits per byte: `1.2346`.
pub(crate) fn loss(value: f64) -> String {
    fixed(value, LOSS_DECIMALS)
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
        0.0 => "0".to_owned(),
        1e-6..1e9 => value.to_string(),
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
    signed(percent, |size| fixed(size, digits)) + " %"
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
        assert_eq!([0.002, 0.005, -0.5].map(tick), ["0.002", "0.005", "−0.5"]);
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
    fn a_measured_duration_is_not_zero() {
        let shown = [0.04, 0.06, 12.3].map(measured_duration);
        assert_eq!(shown, ["below 0.1 s", "0.1 s", "12 s"]);
    }

    #[test]
    fn memories() {
        let shown = [0.4, 340.2, 1536.0].map(memory);
        assert_eq!(shown, ["0 MiB", "340 MiB", "1.5 GiB"]);
    }

    #[test]
    fn differences_have_a_sign_unless_they_round_to_zero() {
        let shown = [0.012_345, -0.012_345, 0.000_01, -0.000_01, -0.0];
        let shown = shown.map(|value| signed(value, loss));
        assert_eq!(shown, ["+0.0123", "−0.0123", "0.0000", "0.0000", "0.0000"]);
        assert_eq!(
            [1.123, 0.5, 1.004, 0.9999].map(change),
            ["+12 %", "−50 %", "+0.4 %", "0.0 %"]
        );
    }

    #[test]
    fn zero_has_no_sign() {
        assert_eq!([0.0, -0.0, -0.00001].map(loss), ["0.0000"; 3]);
        assert_eq!([-0.0, -0.2].map(rounded), ["0"; 2]);
        assert_eq!(
            [count(-0.0), duration(-0.0), as_written(-0.0)],
            ["0", "0.0 s", "0"]
        );
        assert_eq!([-1.5, f64::NEG_INFINITY].map(loss), ["−1.5000", "−inf"]);
        assert_eq!(grouped(-1_234_567.891, 2), "−1,234,567.89");
    }

    #[test]
    fn small_values_get_the_digits_that_they_need() {
        let decimals = |values: &[f64]| decimals_to_show(values, 4);
        assert_eq!(decimals(&[]), 4);
        assert_eq!(decimals(&[1.5, 0.0, -0.0, f64::INFINITY]), 4);
        assert_eq!(decimals(&[1.5, -0.0002]), 4);
        assert_eq!(decimals(&[-3.6e-5, 0.1]), 6);
        assert_eq!(fixed(-3.6e-5, decimals(&[-3.6e-5])), "−0.000036");
        assert_eq!(decimals_to_show(&[0.3], 0), 2);
        assert_eq!(decimals(&[1e-300]), 17);
    }

    proptest! {
        #[test]
        fn no_value_looks_like_zero(lead in 1.0..10.0, power in -15i32..15, least in 0usize..6) {
            let value: f64 = lead * 10_f64.powi(power);
            let text = fixed(value, decimals_to_show(&[value], least));
            prop_assert!(text.contains(|c: char| ('1'..='9').contains(&c)), "{}", text);
        }
    }

    #[test]
    fn results_of_tests() {
        let shown = [0.005, 3.28, 0.0, 1e300, -1e-9].map(as_written);
        assert_eq!(shown, ["0.005", "3.28", "0", "1e300", "-1e-9"]);
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
