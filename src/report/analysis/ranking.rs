use crate::report::loaded_results::{Results, Run};
use crate::results::{CorpusInfo, Outcome};
use crate::spec::{Margin, ModelKind, RunSpec, SequentialSeeds};
use crate::stats::{Comparison, mean, sample_sd};

/// The variants of a sweep in order of their loss, compared with the baseline. Numbers only.
#[derive(Debug)]
pub(crate) struct Ranking<'a> {
    /// Best first, by mean bits per byte; those without a result at the end, in the file's order.
    pub(crate) variants: Vec<Variant<'a>>,
    pub(crate) baseline: &'a str,
    /// The range of the number of seeds, if it depends on the results.
    pub(crate) sequential: Option<SequentialSeeds>,
    /// The smallest difference that matters, as the experiment gives it.
    pub(crate) margin: Option<Margin>,
}

/// One variant over its seeds.
#[derive(Debug)]
pub(crate) struct Variant<'a> {
    pub(crate) name: &'a str,
    /// Index in the order of the experiment file, which does not depend on results.
    pub(crate) position: usize,
    pub(crate) is_baseline: bool,
    pub(crate) runs: Vec<&'a Run>,
    pub(crate) corpus: &'a CorpusInfo,
    /// (seed, bits per byte) of the runs with a result.
    pub(crate) bits_per_byte: Vec<(u64, f64)>,
    /// Differences from the baseline, by seed.
    pub(crate) differences: Vec<(u64, f64)>,
    /// `None` for the baseline, and where no seed is shared with it.
    pub(crate) comparison: Option<Comparison>,
}

impl<'a> Ranking<'a> {
    pub(crate) fn new(results: &'a Results) -> Self {
        let baseline = results.plan.baseline.as_str();
        let mut variants: Vec<Variant<'a>> = Vec::new();
        for run in &results.runs {
            let name = run.planned.spec.variant.as_str();
            match variants.iter_mut().find(|variant| variant.name == name) {
                Some(variant) => variant.runs.push(run),
                None => variants.push(Variant {
                    name,
                    position: variants.len(),
                    is_baseline: name == baseline,
                    runs: vec![run],
                    corpus: results.corpus(&run.planned),
                    bits_per_byte: Vec::new(),
                    differences: Vec::new(),
                    comparison: None,
                }),
            }
        }
        for variant in &mut variants {
            let result = |run: &&Run| Some((run.planned.spec.seed, run.result()?.bits_per_byte?));
            variant.bits_per_byte = variant.runs.iter().filter_map(result).collect();
        }
        for compared in results.plan.compare(&results.run_results) {
            let variant = variants.iter_mut().find(|v| v.name == compared.variant);
            if let Some(variant) = variant {
                variant.differences = compared.differences;
                variant.comparison = compared.comparison;
            }
        }
        let sequential = results.plan.sequential_seeds();
        let of_baseline = variants.iter().find(|variant| variant.is_baseline);
        let of_baseline = of_baseline.and_then(Variant::mean_bits_per_byte);
        // Variants with different numbers of seeds are ranked by differences on the same seeds.
        let rank = |v: &Variant| match (sequential, of_baseline, &v.comparison) {
            (Some(_), Some(baseline), Some(comparison)) => baseline + comparison.mean,
            _ => v.mean_bits_per_byte().unwrap_or(f64::INFINITY),
        };
        // Stable, so that ties and variants without a result keep the order of the file.
        variants.sort_by(|a, b| rank(a).total_cmp(&rank(b)));
        Self {
            variants,
            baseline,
            sequential,
            margin: results.plan.experiment.compare.margin,
        }
    }

    /// The variants with a result, best first.
    pub(crate) fn ranked(&self) -> impl Iterator<Item = &Variant<'a>> {
        self.variants.iter().filter(|v| !v.bits_per_byte.is_empty())
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

    /// Number of comparisons that have an interval.
    pub(crate) fn corrected_comparisons(&self) -> usize {
        let has_interval =
            |v: &&Variant| v.comparison.as_ref().is_some_and(|c| c.corrected.is_some());
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
        &self.runs[0].planned.spec
    }

    /// Number of parameters: planned for trained models, measured for n-gram counts.
    pub(crate) fn params(&self) -> u64 {
        self.runs[0].params()
    }

    /// Whether it is trained by gradient descent. N-gram models are counted.
    pub(crate) fn is_trained(&self) -> bool {
        self.spec().model.kind != ModelKind::Ngram
    }

    /// Number of training tokens of a complete run: as planned or, if the length of training is a time,
    /// the mean of what was measured. `None` if no run has a result yet.
    pub(crate) fn training_tokens(&self) -> Option<u64> {
        match self.spec().train.planned_steps() {
            Some(steps) => Some(self.runs[0].tokens_per_step().saturating_mul(steps)),
            None => {
                let mean = self.mean_of(|outcome| Some(outcome.tokens as f64))?;
                Some(mean.round() as u64)
            }
        }
    }

    pub(crate) fn values(&self) -> Vec<f64> {
        self.bits_per_byte.iter().map(|(_, value)| *value).collect()
    }

    pub(crate) fn mean_bits_per_byte(&self) -> Option<f64> {
        mean(&self.values())
    }

    /// Lowest and highest bits per byte over the seeds.
    pub(crate) fn range(&self) -> Option<(f64, f64)> {
        let values = self.values();
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
