use super::group_sequential::{Look, add_proportional_looks, false_alarm_rate};
use std::sync::{Mutex, PoisonError};

/// Family-wise error rate: the probability that a report calls at least one difference better or worse
/// although all variants are equal.
pub const ALPHA: f64 = 0.05;

/// Share of the error rate that is kept for a raised maximum number of seeds.
const RESERVE: f64 = 0.1;

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
    /// Share of `alpha` that is kept for a raised maximum number of seeds.
    reserve: f64,
    /// The smallest difference that matters.
    margin: Option<f64>,
    is_better_higher: bool,
}

impl Design {
    /// One test of each comparison.
    pub fn fixed(comparisons: usize) -> Self {
        Self {
            alpha: ALPHA / comparisons.max(1) as f64,
            looks: None,
            reserve: 0.0,
            margin: None,
            is_better_higher: false,
        }
    }

    /// A test of each comparison with every number of seeds from `first` to the last of `maxima`, until it
    /// is decided. The numbers before the last are the maxima of earlier plans, in this order: a tenth of
    /// the error rate is kept, so that the maximum can be raised once the results are known.
    pub fn sequential(comparisons: usize, first: usize, maxima: &[usize]) -> Self {
        let fixed = Self::fixed(comparisons);
        Self {
            looks: Some(cached_looks(first, maxima, fixed.alpha)),
            reserve: RESERVE.powi(plans(first, maxima).count() as i32),
            ..fixed
        }
    }

    /// With the smallest difference that matters. Smaller differences are called equivalent.
    pub fn with_margin(self, margin: Option<f64>) -> Self {
        Self { margin, ..self }
    }

    /// For a metric of which a higher value is better.
    pub fn with_better_higher(self, is_better_higher: bool) -> Self {
        Self {
            is_better_higher,
            ..self
        }
    }

    /// Whether a higher value is better.
    pub fn is_better_higher(&self) -> bool {
        self.is_better_higher
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

    /// Significance level of a single test with more seeds: that of a new sweep, or about that of the last
    /// test if the maximum of this design is raised once more.
    pub(super) fn level_of_more_seeds(&self) -> f64 {
        match self.looks {
            None => self.alpha,
            // The last of several correlated tests gets about a third of what is left.
            Some(_) => self.alpha * self.reserve * (1.0 - RESERVE) / 3.0,
        }
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

/// A design and the seeds with which it was used, in this order.
#[derive(Debug, Clone)]
pub struct UsedDesign {
    pub design: Design,
    pub seeds: Vec<u64>,
}

/// An upper bound of the family-wise error rate if several designs were used one after another. Seeds that
/// continue those of another design are the same sample, which was looked at again. Other seeds are another
/// sample.
pub fn rate_of_repeated_designs(comparisons: usize, designs: &[UsedDesign]) -> f64 {
    let mut samples: Vec<Vec<&UsedDesign>> = Vec::new();
    for used in designs {
        let continues = |other: &&UsedDesign| {
            other.seeds.starts_with(&used.seeds) || used.seeds.starts_with(&other.seeds)
        };
        match samples
            .iter_mut()
            .find(|sample| sample.iter().all(continues))
        {
            Some(sample) => sample.push(used),
            None => samples.push(vec![used]),
        }
    }
    let rates = samples.iter().map(|sample| rate_of_one_sample(sample));
    (comparisons as f64 * rates.sum::<f64>()).min(1.0)
}

/// The error rate of one comparison over the looks of all designs that were used for a sample.
fn rate_of_one_sample(designs: &[&UsedDesign]) -> f64 {
    let mut looks: Vec<Look> = Vec::new();
    let all = designs
        .iter()
        .flat_map(|used| used.design.looks_up_to(used.seeds.len()));
    for look in all {
        match looks.iter_mut().find(|known| known.n == look.n) {
            Some(known) => known.level = known.level.max(look.level),
            None if look.n >= 2 => looks.push(look),
            None => {} // a single pair has no test
        }
    }
    looks.sort_by_key(|look| look.n);
    false_alarm_rate(&looks)
}

/// The looks of one design.
struct CachedLooks {
    first: usize,
    maxima: Vec<usize>,
    alpha: f64,
    looks: Vec<Look>,
}

/// The looks of [`Design::sequential`]. A sweep needs the same ones after every run.
fn cached_looks(first: usize, maxima: &[usize], alpha: f64) -> Vec<Look> {
    static CACHE: Mutex<Vec<CachedLooks>> = Mutex::new(Vec::new());
    let mut cache = CACHE.lock().unwrap_or_else(PoisonError::into_inner);
    let known = cache
        .iter()
        .find(|known| (known.first, known.alpha) == (first, alpha) && known.maxima == maxima);
    if let Some(known) = known {
        return known.looks.clone();
    }
    let looks = looks(first, maxima, alpha);
    cache.push(CachedLooks {
        first,
        maxima: maxima.to_vec(),
        alpha,
        looks: looks.clone(),
    });
    looks
}

/// The first and the last look of a first plan, and of each plan that raises the maximum.
fn plans(first: usize, maxima: &[usize]) -> impl Iterator<Item = (usize, usize)> {
    let mut next = first;
    maxima.iter().filter_map(move |&last| {
        let plan = (next <= last).then_some((next, last));
        next = next.max(last + 1);
        plan
    })
}

/// The looks of a first plan, and of each plan that raises the maximum. Each uses all but a tenth of what
/// is left of `alpha`.
fn looks(first: usize, maxima: &[usize], alpha: f64) -> Vec<Look> {
    let mut looks = Vec::new();
    let mut reserve = 1.0;
    for (next, last) in plans(first, maxima) {
        reserve *= RESERVE;
        add_proportional_looks(&mut looks, next, last, alpha * (1.0 - reserve));
    }
    looks
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `experiments/README.md` names these figures.
    #[test]
    fn levels_of_three_to_twelve_seeds() {
        let design = Design::sequential(1, 3, &[12]);
        let levels = [3, 4, 12].map(|pairs| format!("{:.4}", design.level(pairs).unwrap()));
        assert_eq!(levels, ["0.0039", "0.0052", "0.0157"]);
    }

    #[test]
    fn other_seeds_are_another_sample() {
        let designs = |lists: &[&[u64]]| -> Vec<UsedDesign> {
            let used = |seeds: &&[u64]| UsedDesign {
                design: Design::fixed(1),
                seeds: seeds.to_vec(),
            };
            lists.iter().map(used).collect()
        };
        let rate = |lists: &[&[u64]]| rate_of_repeated_designs(1, &designs(lists));
        assert!((rate(&[&[1, 2, 3], &[1, 2, 3]]) - 0.05).abs() < 1e-6);
        let longer = rate(&[&[1, 2, 3], &[1, 2, 3, 4, 5]]);
        assert!((0.07..0.09).contains(&longer), "{longer}");
        for other in [&[1, 4, 5], &[4, 5, 6]] {
            assert!((rate(&[&[1, 2, 3], other]) - 0.1).abs() < 1e-6);
        }
    }

    #[test]
    fn raised_maxima_use_what_is_left_of_the_error_rate() {
        let planned = looks(3, &[12], 0.05);
        assert!((false_alarm_rate(&planned) - 0.045).abs() < 1e-6);
        // The added tests repeat much of the earlier ones, or are many.
        for maxima in [vec![5, 6], vec![3, 100], vec![12, 13]] {
            let rate = false_alarm_rate(&looks(3, &maxima, 0.01));
            assert!((rate - 0.0099).abs() < 1e-6, "{maxima:?}: {rate}");
        }
        let raised = looks(3, &[6, 4, 12, 20], 0.05);
        assert_eq!(raised[..4], looks(3, &[6], 0.05));
        assert_eq!(raised.len(), 18);
        assert!((false_alarm_rate(&raised[..10]) - 0.0495).abs() < 1e-6);
        assert!((false_alarm_rate(&raised) - 0.04995).abs() < 1e-6);
    }
}
