/// The integral of a function by Simpson's rule, with an even number of intervals.
pub(super) fn integral(from: f64, to: f64, intervals: usize, f: impl Fn(f64) -> f64) -> f64 {
    let step = (to - from) / intervals as f64;
    let inner = |index: usize| {
        let weight = if index % 2 == 1 { 4.0 } else { 2.0 };
        weight * f(from + step * index as f64)
    };
    step / 3.0 * (f(from) + f(to) + (1..intervals).map(inner).sum::<f64>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cubic_polynomials_are_exact() {
        let cubic = |x: f64| 4.0 * x.powi(3) - 2.0 * x + 1.0;
        for intervals in [2, 10] {
            let value = integral(1.0, 3.0, intervals, cubic);
            assert!((value - 74.0).abs() < 1e-12, "{value}");
        }
    }
}
