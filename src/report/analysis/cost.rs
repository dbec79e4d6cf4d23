//! What a loss costs: which variants no other beats at the same cost, and when a variant reaches the loss of the
//! baseline.

use super::ranking::{Ranking, Variant};
use crate::report::loaded_results::Run;
use crate::stats::{mean, paired_differences};

/// A cost that is compared with the loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cost {
    Parameters,
    Tokens,
    Flops,
    TrainingTime,
}

impl Cost {
    const ALL: [Self; 4] = [
        Self::Parameters,
        Self::Tokens,
        Self::Flops,
        Self::TrainingTime,
    ];

    /// The cost of one run of a variant.
    fn of(self, variant: &Variant) -> Option<f64> {
        match self {
            Self::Parameters => Some(variant.params() as f64),
            Self::Tokens => Some(variant.training_tokens()? as f64),
            Self::Flops => flops(variant),
            Self::TrainingTime => training_seconds(variant),
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Parameters => "parameters",
            Self::Tokens => "tokens of training",
            Self::Flops => "FLOPs of training",
            Self::TrainingTime => "training time",
        }
    }
}

/// FLOPs of the training of one run.
pub(crate) fn flops(variant: &Variant) -> Option<f64> {
    let per_token = variant.representative.planned.flops_per_token;
    Some(variant.training_tokens()? as f64 * per_token)
}

/// Mean time of training until the last evaluation, without evaluations and samples: the end of the curve in the plot.
fn training_seconds(variant: &Variant) -> Option<f64> {
    let ends = variant.runs.iter().filter(|run| run.result().is_some());
    let ends = ends.filter_map(|run| Some(run.evaluations().last()?.seconds));
    mean(&ends.collect::<Vec<f64>>())
}

/// When a variant reaches the final loss of the baseline on the same seed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Reached {
    /// With every seed. The values are means.
    Always {
        steps: f64,
        tokens: f64,
        /// Of training, without evaluations.
        seconds: f64,
    },
    /// With some seeds only, or with none.
    Sometimes { reached: usize, seeds: usize },
    /// It has no common seed with the baseline, or is not trained.
    NotCompared,
}

pub(crate) fn reached(variant: &Variant, baseline: &Variant) -> Reached {
    if !variant.is_trained() || !baseline.is_trained() {
        return Reached::NotCompared;
    }
    let target = |seed: u64| {
        let mut runs = baseline.runs.iter();
        let run = runs.find(|run| run.planned.spec.seed == seed)?;
        run.result()?.bits_per_byte
    };
    let runs = variant.runs.iter().filter(|run| run.result().is_some());
    let pairs = runs.filter_map(|run| Some((run, target(run.planned.spec.seed)?)));
    let times: Vec<Option<(f64, f64)>> = pairs.map(|(run, target)| time_of(run, target)).collect();
    let found: Vec<(f64, f64)> = times.iter().flatten().copied().collect();
    if times.is_empty() {
        return Reached::NotCompared;
    }
    if found.len() < times.len() {
        return Reached::Sometimes {
            reached: found.len(),
            seeds: times.len(),
        };
    }
    let n = found.len() as f64;
    let steps = found.iter().map(|(step, _)| step).sum::<f64>() / n;
    Reached::Always {
        steps,
        tokens: steps * variant.representative.tokens_per_step() as f64,
        seconds: found.iter().map(|(_, seconds)| seconds).sum::<f64>() / n,
    }
}

/// Step and training time at which a run first reaches a loss, by linear interpolation between its evaluations.
fn time_of(run: &Run, target: f64) -> Option<(f64, f64)> {
    let mut before: Option<(f64, f64, f64)> = None;
    for evaluation in run.evaluations() {
        let now = (
            evaluation.step as f64,
            evaluation.seconds,
            evaluation.bits_per_byte,
        );
        if now.2 <= target {
            let Some(before) = before.filter(|before| before.2 > now.2) else {
                return Some((now.0, now.1));
            };
            let share = (before.2 - target) / (before.2 - now.2);
            let between = |a: f64, b: f64| a + share * (b - a);
            return Some((between(before.0, now.0), between(before.1, now.1)));
        }
        before = Some(now);
    }
    None
}

/// The bits per byte by which a variant is compared with others of the same cost. As in the ranking, that is the mean or,
/// if the variants have different numbers of seeds, the mean of the baseline plus the mean difference on the seeds that
/// both have. `None` for an incomplete variant among complete ones, because the mean of its other runs can be too good.
pub(crate) fn comparable_loss(ranking: &Ranking, variant: &Variant) -> Option<f64> {
    if is_left_out(ranking, variant) {
        return None;
    }
    let own_mean = variant.mean_bits_per_byte()?;
    let baseline = ranking.baseline().filter(|baseline| {
        ranking.sequential.is_some() && !baseline.is_seed_free && !variant.is_seed_free
    });
    let on_same_seeds = baseline.and_then(|baseline| {
        let pairs = paired_differences(&bits_by_seed(variant), &bits_by_seed(baseline));
        let differences: Vec<f64> = pairs.iter().map(|(_, value)| *value).collect();
        Some(baseline.mean_bits_per_byte()? + mean(&differences)?)
    });
    Some(on_same_seeds.unwrap_or(own_mean))
}

/// Whether a variant is on no front, because some of its runs have no result and another variant is complete.
pub(crate) fn is_left_out(ranking: &Ranking, variant: &Variant) -> bool {
    variant.is_incomplete() && !ranking.ranked().all(Variant::is_incomplete)
}

fn bits_by_seed(variant: &Variant) -> Vec<(u64, f64)> {
    let of_run = |run: &&Run| {
        let bits = run.result()?.bits_per_byte?;
        bits.is_finite().then_some((run.planned.spec.seed, bits))
    };
    variant.runs.iter().filter_map(of_run).collect()
}

/// The costs in which the variants differ.
pub(crate) fn differing_costs(ranking: &Ranking) -> Vec<Cost> {
    let differs = |cost: &Cost| {
        let mut costs = ranking.ranked().filter_map(|variant| cost.of(variant));
        let first = costs.next();
        costs.any(|cost| Some(cost) != first)
    };
    Cost::ALL.into_iter().filter(differs).collect()
}

/// Names of the variants that no other beats in both the loss and a cost, the cheapest first.
pub(crate) fn pareto_front<'a>(ranking: &'a Ranking, cost: Cost) -> Vec<&'a str> {
    let points = ranking.variants.iter().filter_map(|variant| {
        let (cost, bits) = (cost.of(variant)?, comparable_loss(ranking, variant)?);
        Some(((cost, bits), variant.name))
    });
    let (points, names): (Vec<(f64, f64)>, Vec<&str>) = points.unzip();
    let front = pareto_points(&points).into_iter();
    front.map(|index| names[index]).collect()
}

/// Indices of the points (cost, loss) of which no other is at least as good in both, the cheapest first. Of equal points,
/// the first.
pub(crate) fn pareto_points(points: &[(f64, f64)]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..points.len()).collect();
    order.sort_by(|&a, &b| {
        let (a, b) = (points[a], points[b]);
        a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1))
    });
    let mut best = f64::INFINITY;
    order.retain(|&index| {
        let is_better = points[index].1 < best;
        best = best.min(points[index].1);
        is_better
    });
    order
}
