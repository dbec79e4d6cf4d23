/// The point between `low` and `high` at which the increasing function `f` is 0, to a relative precision of
/// about 1e-9, by the Illinois variant of false position (Dowell & Jarratt 1971). The end at which `f` is
/// closer to 0 if both values have the same sign.
pub(super) fn root(mut low: f64, mut high: f64, f: impl Fn(f64) -> f64) -> f64 {
    const MAX_STEPS: usize = 60;
    let (mut at_low, mut at_high) = (f(low), f(high));
    if at_low > 0.0 || at_high < 0.0 {
        return if at_low > 0.0 { low } else { high };
    }
    let mut last_side = 0;
    for _ in 0..MAX_STEPS {
        if at_high == at_low || high - low <= 1e-9 * high.abs().max(low.abs()) {
            break;
        }
        let middle = (low * at_high - high * at_low) / (at_high - at_low);
        let value = f(middle);
        // An end that stays twice counts half, so that the next point falls on its side.
        if value < 0.0 {
            (low, at_low) = (middle, value);
            at_high *= if last_side == -1 { 0.5 } else { 1.0 };
            last_side = -1;
        } else if value > 0.0 {
            (high, at_high) = (middle, value);
            at_low *= if last_side == 1 { 0.5 } else { 1.0 };
            last_side = 1;
        } else {
            return middle;
        }
        if value.abs() < 1e-12 {
            return middle;
        }
    }
    f64::midpoint(low, high)
}

#[cfg(test)]
mod tests {
    use super::root;

    #[test]
    fn roots_of_increasing_functions() {
        let square = root(0.0, 5.0, |x| x * x - 2.0);
        assert!((square - 2f64.sqrt()).abs() < 1e-8, "{square}");
        let steep = root(-30.0, 5.0, |x: f64| x.exp() - 1e-6);
        assert!((steep - 1e-6f64.ln()).abs() < 1e-4, "{steep}");
        assert_eq!(root(0.0, 1.0, |x| x - 2.0), 1.0);
        assert_eq!(root(0.0, 1.0, |x| x + 2.0), 0.0);
    }
}
