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
    fn too_few_values_have_no_result() {
        assert_eq!(mean(&[]), None);
        assert!(mean(&[-0.0, -0.0]).unwrap().is_sign_positive());
        assert_eq!(sample_sd(&[]), None);
        assert_eq!(sample_sd(&[1.0]), None);
        assert_eq!(sample_sd(&[1.0, 1.0]), Some(0.0));
    }
}
