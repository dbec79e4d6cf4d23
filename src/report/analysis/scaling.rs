//! How the losses of the variants fall with the size of training, and whether the differences between them grow or shrink.

use super::metric::Metric;
use super::ranking::{Ranking, Variant};
use super::wording;
use crate::report::loaded_results::{Results, Run};
use crate::results::RunState;
use crate::spec::CompareMetric;
use crate::stats::{
    ALPHA, Comparison, ConfidenceInterval, Design, LossesAtCost, Paired, PowerLaw, Verdict,
    compare, mean, paired_differences, percentile_interval,
};
use crate::text::units;

/// The variants at all sizes.
#[derive(Debug)]
pub(crate) struct Scaling<'a> {
    /// The baseline, and then the others in the order of the file. A variant that no size changes is left out.
    pub(crate) variants: Vec<ScaledVariant<'a>>,
    pub(crate) baseline: &'a str,
    /// Number of sizes of the experiment.
    sizes: usize,
    /// Whether the metric is a loss, which can fall like a power law.
    is_loss: bool,
}

/// One variant at all sizes.
#[derive(Debug)]
pub(crate) struct ScaledVariant<'a> {
    pub(crate) variant: &'a Variant<'a>,
    /// Those with a result, the smallest first.
    pub(crate) sizes: Vec<AtSize>,
    /// How its difference from the baseline changes. `None` for the baseline, and while runs have not ended.
    pub(crate) trend: Option<Trend>,
    /// `None` before [`Scaling::fit`], for metrics that are no loss, for fewer than three sizes, without a result at each
    /// of them, and for losses that do not fall like a power law.
    pub(crate) fit: Option<Fit>,
}

/// A variant at one size.
#[derive(Debug)]
pub(crate) struct AtSize {
    /// Index of the size.
    size: usize,
    pub(crate) params: u64,
    /// FLOPs of the training of one run.
    pub(crate) flops: f64,
    /// (seed, metric).
    values: Vec<(u64, f64)>,
    /// Mean of the metric.
    pub(crate) mean: f64,
    /// The difference from the baseline at this size. `None` for the baseline, and without a common seed.
    pub(crate) difference: Option<Difference>,
}

/// The mean difference from the baseline over the common seeds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Difference {
    pub(crate) mean: f64,
    /// The 95 % interval, as if it were the only one. `None` with one seed.
    pub(crate) interval: Option<ConfidenceInterval>,
}

/// How a difference changes from the smallest to the largest size.
#[derive(Debug)]
pub(crate) struct Trend {
    /// The change of a line through the differences of each seed, over the logarithm of the FLOPs of the baseline.
    pub(crate) change: Comparison,
    /// The mean differences at the smallest and at the largest size.
    ends: [f64; 2],
    /// FLOPs at the largest size, divided by those at the smallest.
    pub(crate) range: f64,
    /// Whether one of the two has more seeds at some size, so that the change uses a part of the results.
    uses_fewer_seeds: bool,
}

/// A power law through the losses of a variant.
#[derive(Debug)]
pub(crate) struct Fit {
    pub(crate) curve: PowerLaw,
    /// Fits of resampled seeds. Empty with one seed.
    pub(crate) resampled: Vec<PowerLaw>,
    /// The largest size, predicted from the smaller ones. `None` for fewer than four sizes, and if the losses of the
    /// smaller ones do not determine a curve.
    pub(crate) prediction: Option<Prediction>,
    /// How many times the FLOPs of this variant the baseline would need for the same loss at the largest size. `None`
    /// for the baseline.
    pub(crate) flops_ratio: Option<Estimated>,
}

/// An estimate from fits. `None` stands for more than any FLOPs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Estimated {
    pub(crate) value: Option<f64>,
    /// The 95 % interval over the resampled fits. An end is infinite if fits there have no value. `None` with one seed.
    pub(crate) interval: Option<ConfidenceInterval>,
}

#[derive(Debug)]
pub(crate) struct Prediction {
    pub(crate) predicted: f64,
    /// The 95 % interval of the mean of as many seeds at the largest size. `None` with one seed.
    pub(crate) interval: Option<ConfidenceInterval>,
    pub(crate) measured: f64,
}

impl<'a> Scaling<'a> {
    /// `None` if the experiment has one size, and before the baseline has a result.
    pub(crate) fn new(results: &'a Results, ranking: &'a Ranking<'a>) -> Option<Self> {
        let scale = results.plan.experiment.sweep.as_ref()?.scale.as_ref()?;
        let last = scale.sizes.len().checked_sub(1)?;
        let of_baseline = ranking.baseline()?;
        let baseline = sizes(results, of_baseline, last);
        if baseline.is_empty() {
            return None;
        }
        let mut others: Vec<&Variant> = ranking.variants.iter().collect();
        others.retain(|variant| !variant.is_baseline && has_smaller_size(results, variant.name));
        others.sort_by_key(|variant| variant.position);
        // The variants that are compared, also earlier ones.
        let design = Design::fixed(ranking.comparisons.max(1))
            .with_margin(ranking.absolute_margin)
            .with_better_higher(ranking.metric.kind.is_better_higher());
        let mut variants: Vec<ScaledVariant> = others
            .into_iter()
            .map(|variant| {
                let mut own = sizes(results, variant, last);
                for at in &mut own {
                    let mut same = baseline.iter().filter(|base| base.size == at.size);
                    at.difference = same
                        .next()
                        .and_then(|base| Difference::new(&at.values, &base.values));
                }
                let has_ended = [variant.name, of_baseline.name]
                    .iter()
                    .all(|name| have_ended(results, name));
                let trend = has_ended
                    .then(|| Trend::new(&own, &baseline, last + 1, &design))
                    .flatten();
                ScaledVariant {
                    variant,
                    trend,
                    fit: None,
                    sizes: own,
                }
            })
            .collect();
        let of_baseline = ScaledVariant {
            variant: of_baseline,
            sizes: baseline,
            trend: None,
            fit: None,
        };
        variants.insert(0, of_baseline);
        let is_loss = matches!(
            ranking.metric.kind,
            CompareMetric::BitsPerByte | CompareMetric::ValLoss | CompareMetric::TrainLoss
        );
        Some(Self {
            variants,
            baseline: ranking.baseline,
            sizes: last + 1,
            is_loss,
        })
    }

    /// Fits a power law to each variant. With its resampled seeds it takes longer than everything else.
    pub(crate) fn fit(&mut self) {
        for scaled in &mut self.variants {
            if self.is_loss && scaled.sizes.len() == self.sizes {
                scaled.fit = Fit::new(scaled.variant.name, &scaled.sizes);
            }
        }
        let Some((baseline, others)) = self.variants.split_first_mut() else {
            return;
        };
        for scaled in others {
            if let (Some(fit), Some(base), Some(largest)) =
                (&mut scaled.fit, &baseline.fit, scaled.sizes.last())
            {
                fit.flops_ratio = Some(flops_ratio(base, fit, largest));
            }
        }
    }

    /// Whether a fit has intervals from resampled seeds.
    pub(crate) fn has_resampled_fits(&self) -> bool {
        let mut fits = self
            .variants
            .iter()
            .filter_map(|scaled| scaled.fit.as_ref());
        fits.any(|fit| !fit.resampled.is_empty())
    }

    /// What changes with size, a sentence for each variant.
    pub(crate) fn sentences(&self, metric: Metric) -> Vec<String> {
        let sentence = |scaled: &ScaledVariant| {
            let trend = scaled.trend.as_ref()?;
            Some(trend.sentence(scaled.variant.name, self.baseline, metric))
        };
        self.variants.iter().filter_map(sentence).collect()
    }
}

/// All runs of a variant that are compared or show the trend.
fn runs_of<'a>(results: &'a Results, variant: &str) -> impl Iterator<Item = &'a Run> {
    let smaller = results
        .runs
        .iter()
        .filter(move |run| run.planned.smaller_size.is_some() && run.variant() == variant);
    smaller.chain(results.runs_of(variant))
}

fn has_smaller_size(results: &Results, variant: &str) -> bool {
    runs_of(results, variant).any(|run| run.planned.smaller_size.is_some())
}

fn have_ended(results: &Results, variant: &str) -> bool {
    let mut states = runs_of(results, variant).map(Run::state);
    states.all(|state| !matches!(state, RunState::NotStarted | RunState::Stopped))
}

/// The sizes of a variant with a result. `last` is the index of the largest.
fn sizes(results: &Results, variant: &Variant, last: usize) -> Vec<AtSize> {
    let at = |size: usize| {
        let runs = runs_of(results, variant.name);
        let runs: Vec<&Run> = runs
            .filter(|run| run.planned.smaller_size.unwrap_or(last) == size)
            .collect();
        // Those of the runs with a value, because a run that ends early costs less.
        let known = runs.iter().filter_map(|run| {
            let value = run.value.filter(|value| value.is_finite())?;
            let flops = run.planned.flops_per_token * run.outcome()?.tokens as f64;
            Some(((run.planned.spec.seed, value), flops))
        });
        let (values, flops): (Vec<(u64, f64)>, Vec<f64>) = known.unzip();
        Some(AtSize {
            size,
            params: runs.first()?.params(),
            flops: mean(&flops)?,
            mean: mean(&values.iter().map(|(_, value)| *value).collect::<Vec<_>>())?,
            values,
            difference: None,
        })
    };
    (0..=last).filter_map(at).collect()
}

impl Difference {
    fn new(own: &[(u64, f64)], baseline: &[(u64, f64)]) -> Option<Self> {
        let differences = paired_differences(own, baseline);
        let differences: Vec<f64> = differences.into_iter().map(|(_, value)| value).collect();
        Some(Self {
            mean: mean(&differences)?,
            interval: Paired::new(&differences).map(|paired| paired.interval(ALPHA)),
        })
    }
}

impl Trend {
    /// From the seeds that have a result at every size of both. `None` without such a seed, and if a size has no result.
    fn new(own: &[AtSize], baseline: &[AtSize], number: usize, design: &Design) -> Option<Self> {
        if own.len() != number || baseline.len() != number {
            return None;
        }
        let by_size: Vec<Vec<(u64, f64)>> = own
            .iter()
            .zip(baseline)
            .map(|(own, base)| paired_differences(&own.values, &base.values))
            .collect();
        let of_seed = |(seed, _): &(u64, f64)| {
            let at_size = |differences: &Vec<(u64, f64)>| {
                let mut all = differences.iter();
                all.find(|(other, _)| other == seed)
                    .map(|(_, value)| *value)
            };
            by_size.iter().map(at_size).collect::<Option<Vec<f64>>>()
        };
        let by_seed: Vec<Vec<f64>> = by_size.first()?.iter().filter_map(of_seed).collect();
        let xs: Vec<f64> = baseline.iter().map(|at| at.flops.ln()).collect();
        let range = xs.last()? - xs.first()?;
        let changes: Vec<f64> = by_seed.iter().map(|ys| slope(&xs, ys) * range).collect();
        let mean_at = |size: usize| mean(&by_seed.iter().map(|ys| ys[size]).collect::<Vec<_>>());
        if range <= 0.0 {
            return None;
        }
        let mut sizes = own.iter().chain(baseline);
        let uses_fewer_seeds = sizes.any(|at| at.values.len() > by_seed.len());
        Some(Self {
            uses_fewer_seeds,
            change: compare(&changes, design)?,
            ends: [mean_at(0)?, mean_at(number - 1)?],
            range: range.exp(),
        })
    }

    /// FLOPs at the largest size, divided by those at the smallest, with two digits or more.
    fn range_in_words(&self) -> String {
        units::fixed(self.range, usize::from(self.range < 9.95))
    }

    /// What happens to the difference.
    pub(crate) fn kind(&self, metric: Metric) -> TrendKind {
        let gains = self
            .ends
            .map(|difference| (difference > 0.0) == metric.kind.is_better_higher());
        match (self.change.verdict, gains) {
            (Verdict::Better, [true, _]) => TrendKind::GainGrows,
            (Verdict::Better, [false, false]) => TrendKind::LossShrinks,
            (Verdict::Better, [false, true]) => TrendKind::LossBecomesGain,
            (Verdict::Worse, [_, true]) => TrendKind::GainShrinks,
            (Verdict::Worse, [false, false]) => TrendKind::LossGrows,
            (Verdict::Worse, [true, false]) => TrendKind::GainBecomesLoss,
            (Verdict::Equivalent, _) => TrendKind::Holds,
            (Verdict::Inconclusive, _) => TrendKind::Inconclusive,
        }
    }

    fn sentence(&self, variant: &str, baseline: &str, metric: Metric) -> String {
        let text = wording::difference(metric, &self.change);
        let interval = text.interval_in_words();
        format!(
            "{}: over the {}-fold range of FLOPs, its difference from {baseline} changes by {} {}{interval}{}.",
            self.kind(metric).headline(variant),
            self.range_in_words(),
            text.mean,
            metric.unit(),
            match self.uses_fewer_seeds {
                true => format!(
                    ", on the {} that all sizes share",
                    units::plural(self.change.pairs, "seed")
                ),
                false => String::new(),
            },
        )
    }
}

/// What happens to the difference from the baseline between the smallest and the largest size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TrendKind {
    GainGrows,
    GainShrinks,
    GainBecomesLoss,
    LossGrows,
    LossShrinks,
    LossBecomesGain,
    /// It changes by less than the margin.
    Holds,
    Inconclusive,
}

impl TrendKind {
    /// For a table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::GainGrows => "gain grows",
            Self::GainShrinks => "gain shrinks",
            Self::GainBecomesLoss => "gain becomes a disadvantage",
            Self::LossGrows => "disadvantage grows",
            Self::LossShrinks => "disadvantage shrinks",
            Self::LossBecomesGain => "disadvantage becomes a gain",
            Self::Holds => "holds within the margin",
            Self::Inconclusive => "inconclusive",
        }
    }

    fn headline(self, variant: &str) -> String {
        match self {
            Self::GainGrows => format!("The gain of {variant} grows with size"),
            Self::GainShrinks => format!("The gain of {variant} shrinks with size"),
            Self::GainBecomesLoss => {
                format!("The gain of {variant} becomes a disadvantage with size")
            }
            Self::LossGrows => format!("The disadvantage of {variant} grows with size"),
            Self::LossShrinks => format!("The disadvantage of {variant} shrinks with size"),
            Self::LossBecomesGain => {
                format!("The disadvantage of {variant} becomes a gain with size")
            }
            Self::Holds => {
                format!("The difference of {variant} changes by less than the margin with size")
            }
            Self::Inconclusive => {
                format!("Whether the difference of {variant} changes with size is inconclusive")
            }
        }
    }
}

/// The slope of the line through points with the least squares.
fn slope(xs: &[f64], ys: &[f64]) -> f64 {
    let n = xs.len() as f64;
    let center = xs.iter().sum::<f64>() / n;
    let squares: f64 = xs.iter().map(|x| (x - center).powi(2)).sum();
    let products: f64 = xs.iter().zip(ys).map(|(x, y)| (x - center) * y).sum();
    products / squares
}

impl Fit {
    fn new(name: &str, sizes: &[AtSize]) -> Option<Self> {
        let losses: Vec<LossesAtCost> = sizes.iter().map(AtSize::losses).collect();
        let fit = |losses: &[LossesAtCost]| {
            let points = losses.iter().map(|at| Some((at.cost, at.mean()?)));
            PowerLaw::fit(&points.collect::<Option<Vec<_>>>()?)
        };
        let stream = format!("scaling of {name}");
        let (largest, smaller) = losses.split_last()?;
        let of_smaller = fit(smaller).filter(PowerLaw::is_determined);
        let prediction = of_smaller.map(|curve| {
            let predicted = PowerLaw::predictions(smaller, largest, &stream);
            Prediction {
                predicted: curve.loss(largest.cost),
                interval: percentile_interval(predicted, ALPHA),
                measured: largest.mean().unwrap_or(f64::NAN),
            }
        });
        Some(Self {
            curve: fit(&losses).filter(PowerLaw::is_determined)?,
            resampled: PowerLaw::bootstrap(&losses, &stream),
            prediction,
            flops_ratio: None,
        })
    }

    /// The floor. `None` if the losses do not determine it, because the best one would be negative.
    pub(crate) fn floor(&self) -> Option<f64> {
        Some(self.curve.floor).filter(|floor| *floor > 0.0)
    }

    /// The 95 % interval of the exponent. `None` with one seed.
    pub(crate) fn exponent_interval(&self) -> Option<ConfidenceInterval> {
        let exponents = self.resampled.iter().map(|fit| fit.exponent).collect();
        percentile_interval(exponents, ALPHA)
    }

    /// The 95 % interval of the floor. `None` with one seed.
    pub(crate) fn floor_interval(&self) -> Option<ConfidenceInterval> {
        let floors = self.resampled.iter().map(|fit| fit.floor).collect();
        percentile_interval(floors, ALPHA)
    }

    /// The 95 % interval of the loss at some FLOPs. `None` with one seed.
    pub(crate) fn band(&self, flops: f64) -> Option<ConfidenceInterval> {
        let losses = self.resampled.iter().map(|fit| fit.loss(flops)).collect();
        percentile_interval(losses, ALPHA)
    }
}

impl AtSize {
    /// Number of seeds with a result.
    pub(crate) fn seeds(&self) -> usize {
        self.values.len()
    }

    fn losses(&self) -> LossesAtCost {
        LossesAtCost {
            cost: self.flops,
            losses: self.values.iter().map(|(_, value)| *value).collect(),
        }
    }
}

/// How many times the FLOPs of a variant the baseline needs for the loss that the fit of the variant has at its largest
/// size.
fn flops_ratio(baseline: &Fit, own: &Fit, largest: &AtSize) -> Estimated {
    let ratio = |baseline: &PowerLaw, own: &PowerLaw| {
        let flops = baseline.cost(own.loss(largest.flops))?;
        Some(flops / largest.flops)
    };
    let pairs = baseline.resampled.iter().zip(&own.resampled);
    // A loss that no FLOPs reach needs more than any.
    let resampled = pairs.map(|(base, own)| ratio(base, own).unwrap_or(f64::INFINITY));
    Estimated {
        value: ratio(&baseline.curve, &own.curve),
        interval: percentile_interval(resampled.collect(), ALPHA),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(floors: impl Iterator<Item = f64>) -> Fit {
        let curve = |floor| PowerLaw {
            floor,
            scale: 1.0,
            exponent: 0.5,
            reference: 1e12,
        };
        Fit {
            curve: curve(1.0),
            resampled: floors.map(curve).collect(),
            prediction: None,
            flops_ratio: None,
        }
    }

    /// A floor of the baseline above the loss of the variant is reached with no FLOPs.
    #[test]
    fn resamples_without_a_ratio_are_infinite() {
        let largest = AtSize {
            size: 3,
            params: 0,
            flops: 1e12,
            values: Vec::new(),
            mean: 2.0,
            difference: None,
        };
        let ratio = |unreached: usize| {
            let floors = (0..1000).map(|i| if i < unreached { 3.0 } else { 1.0 });
            let interval =
                flops_ratio(&fit(floors), &fit([1.0; 1000].into_iter()), &largest).interval;
            interval.map(|interval| [interval.low, interval.high])
        };
        assert_eq!(ratio(1), Some([1.0, 1.0]));
        assert_eq!(ratio(100), Some([1.0, f64::INFINITY]));
    }
}
