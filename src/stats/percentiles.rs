use super::ConfidenceInterval;

/// The interval between the percentiles of resampled values that leaves out `alpha / 2` of them at each end. `None` for
/// fewer than 100 values, and if one is not a number.
pub fn percentile_interval(mut values: Vec<f64>, alpha: f64) -> Option<ConfidenceInterval> {
    const FEWEST: usize = 100;
    if values.len() < FEWEST || values.iter().any(|value| value.is_nan()) {
        return None;
    }
    values.sort_by(f64::total_cmp);
    let left_out = (values.len() as f64 * alpha / 2.0) as usize;
    Some(ConfidenceInterval {
        low: values[left_out],
        high: values[values.len() - 1 - left_out],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_leaves_out_as_many_values_at_each_end() {
        let values: Vec<f64> = (0..1000).rev().map(f64::from).collect();
        let interval = percentile_interval(values.clone(), 0.05).unwrap();
        assert_eq!((interval.low, interval.high), (25.0, 974.0));
        assert_eq!(percentile_interval(values[..99].to_vec(), 0.05), None);
        assert_eq!(percentile_interval(vec![f64::NAN; 200], 0.05), None);
    }
}
