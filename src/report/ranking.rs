use super::loaded_results::{Results, Run};
use crate::results::{CorpusInfo, Outcome};
use crate::spec::{ModelKind, RunSpec};
use crate::stats::{Comparison, compare, mean, paired_differences, sample_sd};

/// The variants of a sweep, compared. Numbers only: wording is in [`super::answer`].
#[derive(Debug)]
pub(super) struct Ranking<'a> {
    /// Best first, by mean bits per byte; those without a result at the end, in the file's order.
    pub(super) variants: Vec<Variant<'a>>,
    pub(super) baseline: &'a str,
}

/// One variant over its seeds.
#[derive(Debug)]
pub(super) struct Variant<'a> {
    pub(super) name: &'a str,
    /// Place in the order of the file, which does not move when results do.
    pub(super) position: usize,
    pub(super) is_baseline: bool,
    pub(super) runs: Vec<&'a Run>,
    pub(super) corpus: &'a CorpusInfo,
    /// (seed, bits per byte) of the runs that count.
    pub(super) bits_per_byte: Vec<(u64, f64)>,
    /// Differences from the baseline, by seed.
    pub(super) differences: Vec<(u64, f64)>,
    /// `None` for the baseline, and where no seed is shared with it.
    pub(super) comparison: Option<Comparison>,
}

impl<'a> Ranking<'a> {
    pub(super) fn new(results: &'a Results) -> Self {
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
        compare_with_baseline(&mut variants);
        // Stable, so that ties and variants without a result keep the order of the file.
        variants.sort_by(|a, b| {
            let rank = |v: &Variant| v.mean_bits_per_byte().unwrap_or(f64::INFINITY);
            rank(a).total_cmp(&rank(b))
        });
        Self { variants, baseline }
    }

    /// The variants with a result, best first.
    pub(super) fn ranked(&self) -> impl Iterator<Item = &Variant<'a>> {
        self.variants.iter().filter(|v| !v.bits_per_byte.is_empty())
    }

    pub(super) fn best(&self) -> Option<&Variant<'a>> {
        self.ranked().next()
    }

    pub(super) fn baseline(&self) -> Option<&Variant<'a>> {
        self.variants.iter().find(|variant| variant.is_baseline)
    }

    /// The entropy floor, where all variants have the same: bits per byte that no model can beat.
    pub(super) fn floor(&self) -> Option<f64> {
        self.shared(|variant| variant.corpus.floor_bits_per_byte)
    }

    /// Bits per byte of the best bigram by counting, where all variants have the same tokens.
    pub(super) fn bigram_count(&self) -> Option<f64> {
        let bits = |corpus: &CorpusInfo| Some(corpus.bits_per_byte(corpus.bigram_count_loss?));
        self.shared(|variant| bits(variant.corpus))
    }

    /// Whether all variants have the same tokens, so that their losses a token can be compared.
    pub(super) fn same_tokens(&self) -> bool {
        let tokens = |variant: &Variant<'a>| {
            let corpus = variant.corpus;
            // Another split has another length, and sampling in training makes no other tokens.
            let text = (&corpus.data_sha256, corpus.val_bytes);
            (text, &corpus.tokenizer_sha256)
        };
        let mut all = self.variants.iter().map(tokens);
        all.next()
            .is_none_or(|first| all.all(|tokens| tokens == first))
    }

    fn shared(&self, value: impl Fn(&Variant) -> Option<f64>) -> Option<f64> {
        let first = value(self.variants.first()?)?;
        let same = self.variants.iter().all(|v| value(v) == Some(first));
        same.then_some(first)
    }
}

fn compare_with_baseline(variants: &mut [Variant]) {
    let Some(baseline) = variants.iter().find(|variant| variant.is_baseline) else {
        return;
    };
    let baseline = baseline.bits_per_byte.clone();
    let others = || variants.iter().filter(|variant| !variant.is_baseline);
    let differences: Vec<_> = others()
        .map(|variant| paired_differences(&variant.bits_per_byte, &baseline))
        .collect();
    let values: Vec<Vec<f64>> = differences
        .iter()
        .map(|of_seeds| of_seeds.iter().map(|(_, value)| *value).collect())
        .collect();
    let comparisons = compare(&values);
    let others = variants.iter_mut().filter(|variant| !variant.is_baseline);
    for ((variant, differences), comparison) in others.zip(differences).zip(comparisons) {
        variant.differences = differences;
        variant.comparison = comparison;
    }
}

impl Variant<'_> {
    /// The configuration, that of the first seed.
    pub(super) fn spec(&self) -> &RunSpec {
        &self.runs[0].planned.spec
    }

    /// As planned; of what is counted, as it turned out.
    pub(super) fn params(&self) -> u64 {
        self.runs[0].params()
    }

    /// Whether it was trained, rather than counted.
    pub(super) fn is_trained(&self) -> bool {
        self.spec().model.kind != ModelKind::Ngram
    }

    /// Training tokens of a whole run.
    pub(super) fn planned_tokens(&self) -> u64 {
        self.runs[0]
            .tokens_per_step()
            .saturating_mul(self.spec().train.steps)
    }

    pub(super) fn values(&self) -> Vec<f64> {
        self.bits_per_byte.iter().map(|(_, value)| *value).collect()
    }

    pub(super) fn mean_bits_per_byte(&self) -> Option<f64> {
        mean(&self.values())
    }

    /// Lowest and highest bits per byte over the seeds.
    pub(super) fn range(&self) -> Option<(f64, f64)> {
        let values = self.values();
        let low = values.iter().copied().reduce(f64::min)?;
        let high = values.iter().copied().reduce(f64::max)?;
        Some((low, high))
    }

    /// Mean over the runs that count.
    pub(super) fn mean_of(&self, value: impl Fn(&Outcome) -> Option<f64>) -> Option<f64> {
        mean(&self.all_of(value))
    }

    /// Mean loss of the whole training split at the end, over the runs that count and measured it.
    pub(super) fn mean_train_split_loss(&self) -> Option<f64> {
        let counted = self.runs.iter().filter(|run| run.result().is_some());
        let losses: Vec<f64> = counted.filter_map(|run| run.train_split_loss()).collect();
        mean(&losses)
    }

    /// Standard deviation over the seeds that count.
    pub(super) fn spread_of(&self, value: impl Fn(&Outcome) -> Option<f64>) -> Option<f64> {
        sample_sd(&self.all_of(value))
    }

    fn all_of(&self, value: impl Fn(&Outcome) -> Option<f64>) -> Vec<f64> {
        let value = |run: &&Run| value(run.result()?).filter(|value| value.is_finite());
        self.runs.iter().filter_map(value).collect()
    }
}
