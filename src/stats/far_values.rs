/// The values, in increasing order, without those that are so far above the others that these could not be told apart in a
/// plot: at more than `far` times the distance of the median from the lowest one. If the median is the lowest one, its
/// distance is that of the next value.
pub fn without_far_above(mut values: Vec<f64>, far: f64) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    let Some(&lowest) = values.first() else {
        return values;
    };
    let upper_half = values[values.len() / 2..].iter();
    let mut distances = upper_half.map(|value| value - lowest);
    if let Some(distance) = distances.find(|distance| *distance > 0.0) {
        values.retain(|value| value - lowest <= far * distance);
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_far_above_the_others_are_left_out() {
        let near = |values: &[f64]| without_far_above(values.to_vec(), 6.0);
        assert_eq!(near(&[2.0, 1.5, 1.6, 1.55, 2490.0]), [1.5, 1.55, 1.6, 2.0]);
        assert!(near(&[]).is_empty());
        assert_eq!(near(&[1.5]), [1.5]);
    }

    #[test]
    fn a_median_that_is_the_lowest_value_leaves_the_others() {
        let near = |values: &[f64]| without_far_above(values.to_vec(), 6.0);
        assert_eq!(
            near(&[1.5, 1.5, 1.5, 1.6, 1.7, 2490.0]),
            [1.5, 1.5, 1.5, 1.6, 1.7]
        );
        assert_eq!(near(&[1.5, 1.5]), [1.5, 1.5]);
        assert_eq!(near(&[1.5, 1.5, 1.5, 1.8]), [1.5, 1.5, 1.5, 1.8]);
    }
}
