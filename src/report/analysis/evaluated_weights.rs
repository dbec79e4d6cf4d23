//! Which weights the results of a report are those of, in sentences.

use super::ranking::{Ranking, Variant};
use crate::spec::Train;
use crate::text::units::{exact, list, plural};

/// Variants whose runs were evaluated with other weights than the last, or ended before their last step.
pub(super) fn evaluated_weights(ranking: &Ranking) -> Vec<String> {
    [
        best_weights(ranking),
        averaged_weights(ranking),
        early_stops(ranking),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The names of the trained variants with such a setting.
fn names<'a>(ranking: &'a Ranking, has_setting: fn(&Train) -> bool) -> Vec<&'a str> {
    let variants = ranking.variants.iter();
    let with_setting =
        variants.filter(|variant| variant.is_trained() && has_setting(&variant.spec().train));
    with_setting.map(|variant| variant.name).collect()
}

fn averaged_weights(ranking: &Ranking) -> Option<String> {
    let averaged = names(ranking, Train::evaluates_average);
    if !averaged.is_empty() {
        return Some(format!(
            "The losses and samples of these variants are those of the moving average of their weights (train.ema): {}.",
            list(&averaged)
        ));
    }
    let kept = names(ranking, |train| train.ema.is_some());
    (!kept.is_empty()).then(|| {
        format!(
            "These variants keep a moving average of their weights (train.ema), but their losses are those of the last \
             weights (train.evaluate): {}.",
            list(&kept)
        )
    })
}

fn best_weights(ranking: &Ranking) -> Option<String> {
    let names = names(ranking, Train::keeps_best);
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

#[cfg(test)]
mod tests {
    use crate::report::testing::Folder;
    use crate::spec::EvaluatedWeights;

    /// The page of a variant whose runs keep a moving average and evaluate these weights.
    fn page(evaluate: Option<EvaluatedWeights>) -> String {
        let folder = Folder::new("average");
        for seed in [1, 2] {
            let run = folder.run("gpt", seed).spec(|spec| {
                spec.train.ema = Some(0.99);
                spec.train.evaluate = evaluate;
            });
            run.curve(1.5).done();
        }
        folder.write();
        folder.read("report.md")
    }

    #[test]
    fn a_moving_average_is_stated_also_if_all_variants_have_it() {
        let average = page(None);
        assert!(
            average.contains("are those of the moving average of their weights (train.ema): gpt."),
            "{average}"
        );
        let last = page(Some(EvaluatedWeights::Last));
        assert!(
            last.contains("but their losses are those of the last weights (train.evaluate): gpt."),
            "{last}"
        );
    }
}
