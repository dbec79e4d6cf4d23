use super::ConfidenceInterval;

/// Arithmetic mean. `None` for an empty slice. The mean of negative zeros is 0, so that it is equal to other
/// zeros wherever it is compared or shown.
pub fn mean(values: &[f64]) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    Some(values.iter().sum::<f64>() / values.len() as f64 + 0.0)
}

/// Sample standard deviation, with divisor n - 1. `None` for fewer than two values.
pub fn sample_sd(values: &[f64]) -> Option<f64> {
    if values.len() < 2 {
        return None;
    }
    let mean = mean(values)?;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some((squares / (values.len() - 1) as f64).sqrt())
}

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
    fn known_values() {
        let values = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0];
        assert_eq!(mean(&values), Some(5.0));
        // Sum of squares 32 over 7.
        let sd = sample_sd(&values).unwrap();
        assert!((sd - 2.138_089_935_299_395).abs() < 1e-15, "{sd}");
    }

    #[test]
    fn an_interval_leaves_out_as_many_values_at_each_end() {
        let values: Vec<f64> = (0..1000).rev().map(f64::from).collect();
        let interval = percentile_interval(values.clone(), 0.05).unwrap();
        assert_eq!((interval.low, interval.high), (25.0, 974.0));
        assert_eq!(percentile_interval(values[..99].to_vec(), 0.05), None);
        assert_eq!(percentile_interval(vec![f64::NAN; 200], 0.05), None);
    }

    #[test]
    fn too_few_values_have_no_result() {
        assert_eq!(mean(&[]), None);
        assert!(mean(&[-0.0, -0.0]).unwrap().is_sign_positive());
        assert_eq!(sample_sd(&[]), None);
        assert_eq!(sample_sd(&[1.0]), None);
        assert_eq!(sample_sd(&[1.0, 1.0]), Some(0.0));
    }
}
