//! The choice of samples that a report shows.

use super::ranking::{Ranking, Variant};
use crate::results::SampleText;
use crate::spec::ModelKind;
use serde::Serialize;

/// One sample of a model.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Sample {
    pub(crate) variant: String,
    pub(crate) seed: u64,
    /// When it was generated: `after 500 steps`.
    pub(crate) title: String,
    /// The prompt without surrounding white space.
    pub(crate) prompt: String,
    /// Prompt and continuation.
    pub(crate) text: String,
}

/// The samples to show side by side: those of the best bigram model and the best transformer, or of
/// the baseline and the best variant. Only one where both are the same variant.
pub(crate) fn side_by_side(ranking: &Ranking) -> Vec<Sample> {
    let bigram = ranking.best_of(ModelKind::Bigram);
    let transformer = ranking.best_of(ModelKind::Gpt);
    let (left, right) = match (bigram, transformer) {
        (Some(bigram), Some(transformer)) => (Some(bigram), Some(transformer)),
        _ => (ranking.baseline(), ranking.best()),
    };
    let mut samples: Vec<Sample> = left.and_then(last_sample).into_iter().collect();
    if left.map(|variant| variant.name) != right.map(|variant| variant.name) {
        samples.extend(right.and_then(last_sample));
    }
    samples
}

/// The last sample of every variant that has one.
pub(crate) fn of_all_variants(ranking: &Ranking) -> Vec<Sample> {
    ranking.variants.iter().filter_map(last_sample).collect()
}

/// Samples of the best transformer, or else of the best variant, from different steps of its
/// training. Empty where samples exist for one step only.
pub(crate) fn during_training(ranking: &Ranking) -> Vec<Sample> {
    /// Largest number of samples, evenly spread over the steps.
    const MAX_SAMPLES: usize = 5;
    let best = ranking.best_of(ModelKind::Gpt).or(ranking.best());
    let all = best.map(samples_by_step).unwrap_or_default();
    let shown = all.len().min(MAX_SAMPLES);
    if shown < 2 {
        return Vec::new();
    }
    let nth = |i: usize| all[i * (all.len() - 1) / (shown - 1)].clone();
    (0..shown).map(nth).collect()
}

fn last_sample(variant: &Variant) -> Option<Sample> {
    samples_by_step(variant).pop()
}

/// The first sample of each step, of the first finished run that has any.
fn samples_by_step(variant: &Variant) -> Vec<Sample> {
    let mut finished = variant.runs.iter().filter(|run| run.result().is_some());
    let Some(run) = finished.find(|run| !run.samples.is_empty()) else {
        return Vec::new();
    };
    let sample = |text: &SampleText| Sample {
        variant: variant.name.to_owned(),
        seed: run.planned.spec.seed,
        title: text.title(),
        text: format!("{}{}", text.prompt, text.text)
            .trim_matches('\n')
            .to_owned(),
        prompt: text.prompt.trim().to_owned(),
    };
    let first_of_step = run.samples.iter().filter(|text| text.number == 1);
    first_of_step.map(sample).collect()
}
