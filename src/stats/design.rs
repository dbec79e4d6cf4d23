use super::group_sequential::{Look, proportional_looks};

/// Family-wise error rate: the probability that a report calls at least one difference better or worse
/// although all variants are equal.
const ALPHA: f64 = 0.05;

/// How the variants of an experiment are compared with the baseline. It is fixed before any result is
/// known.
///
/// The family-wise error rate is divided by the number of comparisons (Bonferroni). Each comparison is
/// therefore tested by itself, and its interval at this level agrees with its verdict. All intervals of a
/// report together contain the true differences with a probability of at least 95 %.
#[derive(Debug, Clone, PartialEq)]
pub struct Design {
    /// Significance level of one comparison, over all looks.
    alpha: f64,
    /// The looks, if the number of seeds depends on the results.
    looks: Option<Vec<Look>>,
    /// The smallest difference that matters.
    margin: Option<f64>,
}

impl Design {
    /// One test of each comparison, when all of its seeds have ended.
    pub fn fixed(comparisons: usize) -> Self {
        Self {
            alpha: ALPHA / comparisons.max(1) as f64,
            looks: None,
            margin: None,
        }
    }

    /// A test of each comparison with every number of seeds from `first` to `last`, until it is decided.
    pub fn sequential(comparisons: usize, first: usize, last: usize) -> Self {
        let fixed = Self::fixed(comparisons);
        Self {
            looks: Some(proportional_looks(&[], first, last, fixed.alpha)),
            ..fixed
        }
    }

    /// With the smallest difference that matters. Smaller differences are called equivalent.
    pub fn with_margin(self, margin: Option<f64>) -> Self {
        Self { margin, ..self }
    }

    /// Two-sided significance level of a test with this number of pairs. `None` if the design has no such
    /// test.
    pub fn level(&self, pairs: usize) -> Option<f64> {
        match &self.looks {
            None => Some(self.alpha),
            Some(looks) => looks
                .iter()
                .find(|look| look.n == pairs)
                .map(|look| look.level),
        }
    }

    /// Significance level of one comparison, over all looks.
    pub fn alpha(&self) -> f64 {
        self.alpha
    }

    /// The smallest difference that matters, if there is one.
    pub fn margin(&self) -> Option<f64> {
        self.margin
    }

    /// Whether comparisons are tested repeatedly while seeds are added.
    pub fn is_sequential(&self) -> bool {
        self.looks.is_some()
    }
}
