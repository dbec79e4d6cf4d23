//! Which weights the results of a report are those of, in sentences.

use super::ranking::{Ranking, Variant};
use crate::text::units::{exact, list, plural};

/// Variants whose runs were evaluated with their best weights, or ended before their last step.
pub(super) fn evaluated_weights(ranking: &Ranking) -> Vec<String> {
    [best_weights(ranking), early_stops(ranking)]
        .into_iter()
        .flatten()
        .collect()
}

fn best_weights(ranking: &Ranking) -> Option<String> {
    let keeps_best = |variant: &&Variant| variant.is_trained() && variant.spec().train.keeps_best();
    let names: Vec<&str> = ranking
        .variants
        .iter()
        .filter(keeps_best)
        .map(|variant| variant.name)
        .collect();
    (!names.is_empty()).then(|| {
        format!(
            "The losses of these variants are those of their best evaluation (train.evaluate): {}. It was chosen on the \
             validation split, so these losses are too low on average.",
            list(&names)
        )
    })
}

fn early_stops(ranking: &Ranking) -> Option<String> {
    let stopped = |variant: &Variant| {
        let planned = variant.spec().train.planned_steps()?;
        let steps = variant
            .runs
            .iter()
            .filter_map(|run| Some(run.result()?.steps));
        let early: Vec<u64> = steps.filter(|&steps| steps < planned).collect();
        let (least, most) = (early.iter().min()?, early.iter().max()?);
        let range = match least == most {
            true => exact(*least),
            false => format!("{} to {}", exact(*least), exact(*most)),
        };
        let runs = plural(early.len(), "run");
        Some(format!(
            "{} ({runs} after {range} of {} steps)",
            variant.name,
            exact(planned)
        ))
    };
    let trained = ranking
        .variants
        .iter()
        .filter(|variant| variant.is_trained());
    let names: Vec<String> = trained.filter_map(stopped).collect();
    (!names.is_empty()).then(|| {
        format!(
            "Some runs ended early, because their validation loss did not fall any more (train.early_stop): {}.",
            list(&names)
        )
    })
}
