use super::group_sequential::{Look, false_alarm_rate, proportional_looks};
use std::sync::{Mutex, PoisonError};

/// Family-wise error rate: the probability that a report calls at least one difference better or worse
/// although all variants are equal.
const ALPHA: f64 = 0.05;

/// How the variants of an experiment are compared with the baseline. Its error rates hold if it is not
/// changed after results are known.
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
    /// One test of each comparison.
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
            looks: Some(cached_looks(first, last, fixed.alpha)),
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

    /// The looks at up to `pairs` pairs.
    fn looks_up_to(&self, pairs: usize) -> Vec<Look> {
        match &self.looks {
            Some(looks) => looks
                .iter()
                .copied()
                .filter(|look| look.n <= pairs)
                .collect(),
            None => vec![Look {
                n: pairs,
                level: self.alpha,
            }],
        }
    }

    /// Whether comparisons are tested repeatedly while seeds are added.
    pub fn is_sequential(&self) -> bool {
        self.looks.is_some()
    }
}

/// An upper bound of the family-wise error rate if several designs were used one after another, each with
/// up to a number of pairs.
pub fn rate_of_repeated_designs(comparisons: usize, designs: &[(Design, usize)]) -> f64 {
    let mut looks: Vec<Look> = Vec::new();
    for look in designs
        .iter()
        .flat_map(|(design, pairs)| design.looks_up_to(*pairs))
    {
        match looks.iter_mut().find(|known| known.n == look.n) {
            Some(known) => known.level = known.level.max(look.level),
            None if look.n >= 2 => looks.push(look),
            None => {} // a single pair has no test
        }
    }
    looks.sort_by_key(|look| look.n);
    (comparisons as f64 * false_alarm_rate(&looks)).min(1.0)
}

/// The looks of one design.
struct CachedLooks {
    first: usize,
    last: usize,
    alpha: f64,
    looks: Vec<Look>,
}

/// [`proportional_looks`]. A sweep needs the same ones after every run.
fn cached_looks(first: usize, last: usize, alpha: f64) -> Vec<Look> {
    static CACHE: Mutex<Vec<CachedLooks>> = Mutex::new(Vec::new());
    let mut cache = CACHE.lock().unwrap_or_else(PoisonError::into_inner);
    let known = cache
        .iter()
        .find(|known| (known.first, known.last, known.alpha) == (first, last, alpha));
    if let Some(known) = known {
        return known.looks.clone();
    }
    let looks = proportional_looks(first, last, alpha);
    cache.push(CachedLooks {
        first,
        last,
        alpha,
        looks: looks.clone(),
    });
    looks
}
