use super::metric::Metric;
use super::rank_order::{self, Class, Place};
use crate::report::loaded_results::{Results, Run};
use crate::results::{CorpusInfo, Outcome, RunState, Search, VariantComparison};
use crate::spec::{Margin, ModelKind, RunSpec, SequentialSeeds};
use crate::stats::{Comparison, PairsToDecide, Verdict, mean, sample_sd};

/// The variants of a sweep in order of their loss, compared with the baseline. Numbers only.
#[derive(Debug)]
pub(crate) struct Ranking<'a> {
    /// Best first, by the metric of the comparison. Those of which not every run has a result come after the
    /// others, and those without any result are at the end, in the order of the file.
    pub(crate) variants: Vec<Variant<'a>>,
    pub(crate) baseline: &'a str,
    /// The range of the number of seeds, if it depends on the results.
    pub(crate) sequential: Option<SequentialSeeds>,
    pub(crate) metric: Metric,
    /// The paths that the search for the best settings varies. Empty if the variants are not tuned.
    pub(crate) tuned_paths: Vec<&'a str>,
    /// Whether the search ends the training of combinations that are behind the others.
    pub(crate) has_halving: bool,
    /// Whether the combinations of the search were drawn at random or chosen by results, so that their values are no
    /// sequence.
    pub(crate) has_drawn_values: bool,
    /// Whether the variants are trained at smaller sizes too.
    pub(crate) has_sizes: bool,
    /// Number of comparisons for which the intervals are corrected.
    pub(crate) comparisons: usize,
    /// The smallest difference that matters, as the experiment gives it.
    pub(crate) margin: Option<Margin>,
    /// The same in the unit of the metric.
    pub(crate) absolute_margin: Option<f64>,
}

/// One variant over its seeds.
#[derive(Debug)]
pub(crate) struct Variant<'a> {
    pub(crate) name: &'a str,
    /// Position in the ranking, from 1. Variants with equal values have the same. `None` without a value.
    pub(crate) rank: Option<usize>,
    /// The value by which it is ranked: its mean or, if the variants have different numbers of seeds, the mean of the
    /// baseline plus the mean difference on the seeds that both have.
    pub(crate) ranked_by: Option<f64>,
    /// Index in the order of the experiment file, which does not depend on results.
    pub(crate) position: usize,
    pub(crate) is_baseline: bool,
    /// Whether its result does not depend on the seed, so that it has one run.
    pub(crate) is_seed_free: bool,
    /// The runs that compare it. Empty while the search for its best settings has not ended.
    pub(crate) runs: Vec<&'a Run>,
    /// Its first run, or before there is one, the first run of its search.
    pub(crate) representative: &'a Run,
    /// The search for its best settings, and the runs of that search, if the variants are tuned.
    pub(crate) search: Option<(&'a Search, Vec<&'a Run>)>,
    pub(crate) corpus: &'a CorpusInfo,
    /// (seed, metric of the comparison) of the runs that have a value.
    pub(crate) values: &'a [(u64, f64)],
    /// Differences from the baseline, by seed.
    pub(crate) differences: &'a [(u64, f64)],
    /// `None` for the baseline, and where no seed is shared with it.
    pub(crate) comparison: Option<&'a Comparison>,
    /// The number of seeds, in all, that would probably decide an inconclusive comparison.
    pub(crate) seeds_to_decide: Option<PairsToDecide>,
    /// Whether all runs of this variant and of the baseline have ended.
    pub(crate) has_ended: bool,
}

/// Why a comparison has no interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Untested {
    /// Runs of the variant or of the baseline have not ended.
    Unfinished,
    /// A run did not reach the target loss.
    Unreached,
    /// Only one seed is shared with the baseline.
    OneSeed,
    /// The first test of a sequential design needs more seeds, because some failed.
    TooFewSeeds,
    /// With each seed, the result is exactly that of the baseline.
    SameResults,
}

impl<'a> Ranking<'a> {
    pub(crate) fn new(results: &'a Results) -> Self {
        let plan = &results.plan;
        let baseline = plan.baseline.as_str();
        let variant = |(position, compared): (usize, &'a VariantComparison)| {
            let runs_at = |indices: &[usize]| -> Vec<&'a Run> {
                indices.iter().map(|&run| &results.runs[run]).collect()
            };
            let runs = runs_at(&compared.runs);
            let search = compared.search.as_ref();
            let searched = search
                .map(|search| runs_at(&search.runs))
                .unwrap_or_default();
            let representative = *runs.iter().chain(&searched).next()?;
            Some(Variant {
                name: &compared.variant,
                rank: None,
                ranked_by: None,
                position,
                is_baseline: compared.variant == baseline,
                is_seed_free: compared.is_seed_free,
                corpus: results.corpus(&representative.planned),
                representative,
                runs,
                search: search.map(|search| (search, searched)),
                values: &compared.values,
                differences: &compared.differences,
                comparison: compared.comparison.as_ref(),
                seeds_to_decide: compared.seeds_to_decide,
                has_ended: true,
            })
        };
        let compared = results.comparisons.iter().enumerate();
        let mut variants: Vec<Variant> = compared.filter_map(variant).collect();
        let is_open = |variant: &Variant| {
            if variant.is_searching() {
                return true;
            }
            let mut states = variant.runs.iter().map(|run| run.state());
            states.any(|state| matches!(state, RunState::NotStarted | RunState::Stopped))
        };
        let is_baseline_open = variants.iter().any(|v| v.is_baseline && is_open(v));
        for variant in &mut variants {
            variant.has_ended = !is_baseline_open && !is_open(variant);
        }
        let sequential = plan.sequential_seeds();
        let of_baseline = variants.iter().find(|variant| variant.is_baseline);
        let of_baseline = of_baseline.and_then(Variant::mean);
        let compare = &plan.experiment.compare;
        // Variants with different numbers of seeds are ranked by differences on the same seeds.
        let on_same_seeds = |v: &Variant| match (sequential, of_baseline, v.comparison) {
            _ if v.is_seed_free => None,
            (Some(_), Some(baseline), Some(comparison)) => Some(baseline + comparison.mean),
            _ => None,
        };
        let value = |v: &Variant| {
            let finite = on_same_seeds(v).filter(|value| value.is_finite());
            finite.or_else(|| v.mean())
        };
        let is_better_higher = compare.metric.is_better_higher();
        let ranked_by: Vec<Option<f64>> = variants.iter().map(value).collect();
        for (variant, value) in variants.iter_mut().zip(ranked_by) {
            variant.ranked_by = value;
        }
        let places = variants.iter().map(|v| v.place(is_better_higher));
        let order = rank_order::ordered(&places.collect::<Vec<_>>());
        let mut unordered: Vec<Option<Variant>> = variants.into_iter().map(Some).collect();
        let ranked = order.into_iter().filter_map(|(index, rank)| {
            let variant = unordered[index].take()?;
            Some(Variant { rank, ..variant })
        });
        let variants = ranked.collect();
        Self {
            variants,
            baseline,
            sequential,
            metric: Metric::of(compare),
            has_sizes: results
                .runs
                .iter()
                .any(|run| run.planned.smaller_size.is_some()),
            tuned_paths: plan.tuned_paths(),
            has_halving: plan.has_halving(),
            has_drawn_values: plan
                .experiment
                .sweep
                .as_ref()
                .and_then(|sweep| sweep.tune.as_ref())
                .is_some_and(|tune| tune.random.is_some() || tune.tpe.is_some()),
            comparisons: plan.comparisons(),
            margin: compare.margin,
            absolute_margin: results.margin,
        }
    }

    /// The variants with a result, best first.
    pub(crate) fn ranked(&self) -> impl Iterator<Item = &Variant<'a>> {
        self.variants.iter().filter(|v| !v.values.is_empty())
    }

    pub(crate) fn best(&self) -> Option<&Variant<'a>> {
        self.ranked().next()
    }

    pub(crate) fn baseline(&self) -> Option<&Variant<'a>> {
        self.variants.iter().find(|variant| variant.is_baseline)
    }

    /// Entropy of the text in bits per byte, a lower bound for every model on average. `None` where
    /// it is unknown or differs between the variants.
    pub(crate) fn entropy_bound(&self) -> Option<f64> {
        self.shared(|variant| variant.corpus.floor_bits_per_byte)
    }

    /// Bits per byte of the best bigram model that counting gives. `None` where it differs between
    /// the variants.
    pub(crate) fn bigram_counts(&self) -> Option<f64> {
        let bits = |corpus: &CorpusInfo| Some(corpus.bits_per_byte(corpus.bigram_count_loss?));
        self.shared(|variant| bits(variant.corpus))
    }

    /// Whether all variants have the same tokens, so that their losses per token can be compared.
    pub(crate) fn same_tokens(&self) -> bool {
        let tokens = |variant: &Variant<'a>| {
            let corpus = variant.corpus;
            // Another split has another length. Sampled encodings are used in training only.
            let text = (&corpus.data_sha256, corpus.val_bytes);
            (text, &corpus.tokenizer_sha256)
        };
        let mut all = self.variants.iter().map(tokens);
        all.next()
            .is_none_or(|first| all.all(|tokens| tokens == first))
    }

    /// Whether there is more than one variant to compare.
    pub(crate) fn has_comparison(&self) -> bool {
        self.variants.len() > 1
    }

    /// Whether variants have different numbers of seeds by the design of the experiment.
    pub(crate) fn has_different_seeds(&self) -> bool {
        let compared = self
            .variants
            .iter()
            .filter(|variant| !variant.runs.is_empty() && !variant.is_seed_free);
        let mut seeds = compared.map(|variant| variant.runs.len());
        let first = seeds.next();
        self.sequential.is_some() && seeds.any(|n| Some(n) != first)
    }

    /// Whether no variant has a better mean, over whatever seeds. A complete variant is compared with the
    /// complete ones.
    pub(crate) fn has_best_mean(&self, variant: &Variant) -> bool {
        let Some(own) = variant.mean() else {
            return false;
        };
        let is_alike = |other: &&Variant| variant.is_incomplete() || !other.is_incomplete();
        let mut means = self.ranked().filter(is_alike).filter_map(Variant::mean);
        !means.any(|mean| match self.metric.kind.is_better_higher() {
            true => mean > own,
            false => mean < own,
        })
    }

    /// Number of comparisons that have an interval.
    pub(crate) fn corrected_comparisons(&self) -> usize {
        let has_interval = |v: &&Variant| v.comparison.is_some_and(|c| c.corrected.is_some());
        self.variants.iter().filter(has_interval).count()
    }

    /// The best variant of a model kind.
    pub(crate) fn best_of(&self, kind: ModelKind) -> Option<&Variant<'a>> {
        self.ranked()
            .find(|variant| variant.spec().model.kind == kind)
    }

    fn shared(&self, value: impl Fn(&Variant) -> Option<f64>) -> Option<f64> {
        let first = value(self.variants.first()?)?;
        let same = self.variants.iter().all(|v| value(v) == Some(first));
        same.then_some(first)
    }
}

impl Variant<'_> {
    /// The configuration of the first seed.
    pub(crate) fn spec(&self) -> &RunSpec {
        &self.representative.planned.spec
    }

    /// Number of parameters: planned for trained models, measured for n-gram counts.
    pub(crate) fn params(&self) -> u64 {
        self.representative.params()
    }

    /// Whether it is trained by gradient descent. N-gram models are counted.
    pub(crate) fn is_trained(&self) -> bool {
        self.spec().model.kind.is_trained()
    }

    /// Number of training tokens of a complete run: as planned or, if the length of training is a time,
    /// the mean of what was measured. `None` if no run has a result yet.
    pub(crate) fn training_tokens(&self) -> Option<u64> {
        match self.spec().train.planned_steps() {
            Some(steps) => Some(self.representative.tokens_per_step().saturating_mul(steps)),
            None => {
                let mean = self.mean_of(|outcome| Some(outcome.tokens as f64))?;
                Some(mean.round() as u64)
            }
        }
    }

    fn place(&self, is_better_higher: bool) -> Place {
        let sign = if is_better_higher { -1.0 } else { 1.0 };
        let values = self.values.len() as f64;
        let reached = self.values.iter().filter(|(_, value)| value.is_finite());
        let (class, value) = match (self.ranked_by, reached.count()) {
            (None, _) => (Class::NoResult, 0.0),
            (Some(value), 0) if !value.is_finite() => (Class::NeverReached, 0.0),
            (Some(value), reached) if !value.is_finite() => {
                (Class::SometimesReached, -(reached as f64 / values))
            }
            (Some(value), _) if self.is_incomplete() => (Class::Incomplete, sign * value),
            (Some(value), _) => (Class::Complete, sign * value),
        };
        Place {
            class,
            value,
            is_baseline: self.is_baseline,
        }
    }

    /// Mean number of bytes of the text that a training token stands for.
    pub(crate) fn bytes_per_training_token(&self) -> f64 {
        let corpus = self.corpus;
        let tokens = corpus.sampled_train_tokens.unwrap_or(corpus.train_tokens);
        corpus.train_bytes as f64 / tokens as f64
    }

    /// Whether some of its runs have no result.
    pub(crate) fn is_incomplete(&self) -> bool {
        self.values.len() < self.runs.len()
    }

    /// Whether its result is exactly that of the baseline with each seed that both have.
    pub(crate) fn has_same_results(&self) -> bool {
        let mut differences = self.differences.iter();
        !self.differences.is_empty() && differences.all(|(_, difference)| *difference == 0.0)
    }

    /// Whether the search for its best settings has not ended.
    pub(crate) fn is_searching(&self) -> bool {
        let search = self.search.as_ref();
        search.is_some_and(|(search, _)| !search.has_ended)
    }

    /// Why the comparison with the baseline has no interval, or one without meaning. `None` if it has one, and
    /// where there is no comparison.
    pub(crate) fn untested(&self) -> Option<Untested> {
        let comparison = self.comparison?;
        if comparison.corrected.is_some() || comparison.is_exact {
            let is_open = comparison.verdict == Verdict::Inconclusive;
            return (is_open && self.has_same_results()).then_some(Untested::SameResults);
        }
        Some(match comparison.pairs {
            _ if !comparison.mean.is_finite() => Untested::Unreached,
            _ if !self.has_ended => Untested::Unfinished,
            1 => Untested::OneSeed,
            _ => Untested::TooFewSeeds,
        })
    }

    /// Mean of the metric of the comparison.
    pub(crate) fn mean(&self) -> Option<f64> {
        mean(&self.metric_values())
    }

    /// Standard deviation of the metric of the comparison over the seeds.
    pub(crate) fn sd(&self) -> Option<f64> {
        sample_sd(&self.metric_values())
    }

    fn metric_values(&self) -> Vec<f64> {
        self.values.iter().map(|(_, value)| *value).collect()
    }

    pub(crate) fn mean_bits_per_byte(&self) -> Option<f64> {
        self.mean_of(|outcome| outcome.bits_per_byte)
    }

    /// Lowest and highest bits per byte over the seeds.
    pub(crate) fn range(&self) -> Option<(f64, f64)> {
        let values = self.all_of(|outcome| outcome.bits_per_byte);
        let low = values.iter().copied().reduce(f64::min)?;
        let high = values.iter().copied().reduce(f64::max)?;
        Some((low, high))
    }

    /// Mean over the runs with a result.
    pub(crate) fn mean_of(&self, value: impl Fn(&Outcome) -> Option<f64>) -> Option<f64> {
        mean(&self.all_of(value))
    }

    /// Mean loss of the whole training split at the end, over the runs that measured it.
    pub(crate) fn mean_train_split_loss(&self) -> Option<f64> {
        let finished = self.runs.iter().filter(|run| run.result().is_some());
        let losses: Vec<f64> = finished.filter_map(|run| run.train_split_loss()).collect();
        mean(&losses)
    }

    /// Sample standard deviation over the runs with a result.
    pub(crate) fn sd_of(&self, value: impl Fn(&Outcome) -> Option<f64>) -> Option<f64> {
        sample_sd(&self.all_of(value))
    }

    fn all_of(&self, value: impl Fn(&Outcome) -> Option<f64>) -> Vec<f64> {
        let value = |run: &&Run| value(run.result()?).filter(|value| value.is_finite());
        self.runs.iter().filter_map(value).collect()
    }
}
