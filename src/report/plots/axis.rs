/// Wanted number of steps between ticks.
const STEPS: f64 = 6.0;

/// A range of values along one side of a plot.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    logarithmic: bool,
    pub(super) ticks: Vec<f64>,
}

impl Axis {
    /// Contains all the values, with a margin at both ends. `None` without a finite value.
    pub(super) fn linear(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let (low, high) = bounds(values)?;
        let span = if high > low {
            high - low
        } else {
            low.abs().max(1.0) * 0.02
        };
        let (low, high) = (low - 0.06 * span, high + 0.06 * span);
        Some(Self {
            low,
            high,
            logarithmic: false,
            ticks: linear_ticks(low, high, STEPS),
        })
    }

    /// From exactly 0, with a margin at the upper end.
    pub(super) fn from_zero(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let (_, high) = bounds(values)?;
        let high = if high > 0.0 { high * 1.02 } else { 1.0 };
        Some(Self {
            low: 0.0,
            high,
            logarithmic: false,
            ticks: linear_ticks(0.0, high, STEPS),
        })
    }

    /// Logarithmic if the values span more than a factor of `ratio`, and linear otherwise.
    pub(super) fn logarithmic_beyond(ratio: f64, values: &[f64]) -> Option<Self> {
        let positive = values.iter().copied().filter(|value| *value > 0.0);
        let (low, high) = bounds(positive)?;
        if high / low <= ratio {
            return Self::linear(values.iter().copied());
        }
        let margin = (high / low).powf(0.06);
        // A loss in a foreign file can be as large as a float. With ends of 0 or infinity, there would
        // be a tick for every integer.
        let low = (low / margin).max(f64::MIN_POSITIVE);
        let high = (high * margin).min(f64::MAX);
        Some(Self {
            low,
            high,
            logarithmic: true,
            ticks: logarithmic_ticks(low, high),
        })
    }

    /// Another number of ticks, for a linear axis whose labels need more room.
    pub(super) fn with_steps(mut self, steps: f64) -> Self {
        self.ticks = linear_ticks(self.low, self.high, steps);
        self
    }

    /// With ticks at these values, if there are few.
    pub(super) fn with_ticks(mut self, values: Vec<f64>) -> Self {
        if values.len() <= 8 {
            self.ticks = values;
        }
        self
    }

    /// From `low` to `high` exactly.
    pub(super) fn between(low: f64, high: f64) -> Self {
        Self {
            low,
            high,
            logarithmic: false,
            ticks: linear_ticks(low, high, STEPS),
        }
    }

    pub(super) fn low(&self) -> f64 {
        self.low
    }

    pub(super) fn high(&self) -> f64 {
        self.high
    }

    pub(super) fn is_logarithmic(&self) -> bool {
        self.logarithmic
    }

    /// Position of a value: 0 at the low end, 1 at the high end.
    pub(super) fn share(&self, value: f64) -> f64 {
        match self.logarithmic {
            true => (value / self.low).ln() / (self.high / self.low).ln(),
            false => (value - self.low) / (self.high - self.low),
        }
    }

    /// Number of decimals that makes neighboring ticks distinct.
    pub(super) fn decimals(&self) -> usize {
        let step = self.ticks.windows(2).map(|pair| pair[1] - pair[0]);
        let smallest = step.fold(f64::INFINITY, f64::min);
        match smallest.is_finite() {
            true => (-smallest.log10() - 1e-9).ceil().clamp(0.0, 17.0) as usize,
            false => 2,
        }
    }
}

fn bounds(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    values
        .into_iter()
        .filter(|value| value.is_finite())
        .fold(None, |bounds, value| match bounds {
            None => Some((value, value)),
            Some((low, high)) => Some((value.min(low), value.max(high))),
        })
}

/// Multiples of 1, 2 or 5 times a power of ten, about `steps` of them.
fn linear_ticks(low: f64, high: f64, steps: f64) -> Vec<f64> {
    let rough = (high - low) / steps;
    let power = 10f64.powf(rough.log10().floor());
    let step = match rough / power {
        ratio if ratio < 1.5 => power,
        ratio if ratio < 3.5 => 2.0 * power,
        ratio if ratio < 7.5 => 5.0 * power,
        _ => 10.0 * power,
    };
    let first = (low / step).ceil() as i64;
    let last = (high / step).floor() as i64;
    let tick = |multiple: i64| match step < 1.0 {
        // Division by an integer gives 0.3 for three steps of 0.1, not 0.30000000000000004.
        true => multiple as f64 / step.recip().round(),
        false => multiple as f64 * step,
    };
    (first..=last).map(tick).collect()
}

/// Powers of ten and multiples of them, at most eight ticks.
fn logarithmic_ticks(low: f64, high: f64) -> Vec<f64> {
    let first = low.log10().floor() as i32;
    let last = high.log10().ceil() as i32;
    let ticks = |leads: &[f64]| -> Vec<f64> {
        (first..=last)
            .flat_map(|power| leads.iter().map(move |lead| lead * 10f64.powi(power)))
            .filter(|tick| (low..=high).contains(tick))
            .collect()
    };
    [&[1.0, 2.0, 5.0][..], &[1.0, 3.0], &[1.0]]
        .into_iter()
        .map(ticks)
        .find(|ticks| ticks.len() <= 8)
        .unwrap_or_else(|| ticks(&[1.0]).into_iter().step_by(3).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_numbers() {
        let axis = Axis::linear([1.4, 2.4]).unwrap();
        assert_eq!(axis.ticks, [1.4, 1.6, 1.8, 2.0, 2.2, 2.4]);
        assert_eq!(axis.decimals(), 1);
        let axis = Axis::from_zero([384_000.0]).unwrap();
        assert_eq!(
            axis.ticks,
            [0.0, 50e3, 100e3, 150e3, 200e3, 250e3, 300e3, 350e3]
        );
        let axis = Axis::logarithmic_beyond(5.0, &[4200.0, 800_000.0]).unwrap();
        assert_eq!(axis.ticks, [5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6]);
    }

    #[test]
    fn one_value_has_an_axis_too() {
        for value in [0.0, 1.5, -3.0] {
            let axis = Axis::linear([value]).unwrap();
            assert!((axis.share(value) - 0.5).abs() < 1e-9);
            assert!((3..=9).contains(&axis.ticks.len()), "{:?}", axis.ticks);
        }
        assert!(Axis::linear([f64::NAN]).is_none());
    }

    #[test]
    fn a_logarithmic_axis_of_the_largest_numbers_has_few_ticks() {
        for values in [[1.0, f64::MAX], [f64::MIN_POSITIVE, 1.0]] {
            let axis = Axis::logarithmic_beyond(5.0, &values).unwrap();
            assert!(axis.ticks.len() < 400, "{}", axis.ticks.len());
            assert!(axis.ticks.iter().all(|tick| tick.is_finite()));
        }
    }

    #[test]
    fn ends_are_zero_and_one() {
        let axis = Axis::logarithmic_beyond(5.0, &[1.0, 100.0]).unwrap();
        assert!((axis.share(10.0) - 0.5).abs() < 1e-9);
        assert!(axis.share(1.0) > 0.0 && axis.share(100.0) < 1.0);
    }
}
