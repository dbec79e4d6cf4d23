use statrs::distribution::{Beta, ContinuousCDF};
use std::fmt;

/// A relative frequency.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    pub(crate) hits: usize,
    pub(crate) of: usize,
}

impl Rate {
    /// How many of the items have the property.
    pub(crate) fn count<T>(items: &[T], has: impl Fn(&T) -> bool) -> Self {
        Self {
            hits: items.iter().filter(|item| has(item)).count(),
            of: items.len(),
        }
    }

    pub(crate) fn value(self) -> f64 {
        self.hits as f64 / self.of as f64
    }

    /// The exact binomial confidence interval with 95 % (Clopper and Pearson 1934).
    pub(crate) fn interval(self) -> (f64, f64) {
        let (hits, misses) = (self.hits as f64, (self.of - self.hits) as f64);
        let quantile = |a, b, p| Beta::new(a, b).map_or(f64::NAN, |beta| beta.inverse_cdf(p));
        let low = match self.hits {
            0 => 0.0,
            _ => quantile(hits, misses + 1.0, 0.025),
        };
        let high = match self.of - self.hits {
            0 => 1.0,
            _ => quantile(hits + 1.0, misses, 0.975),
        };
        (low, high)
    }

    /// Whether the rate is at most the limit, up to three standard errors.
    pub(crate) fn is_at_most(self, limit: f64) -> bool {
        let standard_error = (limit * (1.0 - limit) / self.of as f64).sqrt();
        self.value() <= limit + 3.0 * standard_error
    }

    /// Whether the rate is at least the limit, up to three standard errors.
    pub(crate) fn is_at_least(self, limit: f64) -> bool {
        let misses = Self {
            hits: self.of - self.hits,
            ..self
        };
        misses.is_at_most(1.0 - limit)
    }
}

/// In percent. A precision sets the number of digits after the point.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(2);
        write!(f, "{:.digits$} %", 100.0 * self.value())
    }
}
