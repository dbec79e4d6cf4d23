//! What limits the comparison of a report, in sentences.

use super::design_cautions::design_cautions;
use super::environment_cautions::environments;
use super::evaluated_weights::evaluated_weights;
use super::fairness::unfair_differences;
use super::ranking::{Ranking, Variant};
use super::record_cautions::{damaged_runs, damaged_test_uses, unverified_plan, unverified_runs};
use super::tuning::Tuning;
use crate::report::loaded_results::{Results, Run};
use crate::results::RunState;
use crate::text::units::{count, exact, list, plural};

/// Most variants that are named beside the number of their runs.
const MOST_NAMES: usize = 6;

/// Reasons why the comparison is incomplete or not fair.
pub(crate) fn cautions(
    results: &Results,
    ranking: &Ranking,
    tuning: Option<&Tuning>,
) -> Vec<String> {
    let mut cautions = Vec::new();
    cautions.extend(unfinished_runs(results));
    cautions.extend(damaged_runs(results));
    cautions.extend(damaged_test_uses(results));
    cautions.extend(design_cautions(results, ranking, tuning));
    cautions.extend(within_warmup(ranking));
    cautions.extend(different_texts(ranking));
    cautions.extend(unknown_tokens(ranking));
    cautions.extend(changed_text(ranking));
    cautions.extend(unfair_differences(&results.plan, ranking));
    cautions.extend(evaluated_weights(ranking));
    cautions.extend(unverified_plan(results));
    cautions.extend(unverified_runs(results));
    cautions.extend(environments(results));
    cautions
}

fn unfinished_runs(results: &Results) -> Option<String> {
    let states = [
        RunState::Failed,
        RunState::Diverged,
        RunState::Stopped,
        RunState::NotStarted,
    ];
    let counted = |runs: Vec<&Run>| {
        let mut names: Vec<&str> = runs.iter().map(|run| run.variant()).collect();
        names.dedup();
        let names = match names.len() {
            0 => return None,
            1..=MOST_NAMES => format!(" ({})", names.join(", ")),
            _ => String::new(),
        };
        Some(format!("{} {}{names}", runs.len(), runs[0].state_name()))
    };
    let of_states = states.map(|state| unfinished(results, state).collect());
    let groups = [results.running().collect()].into_iter().chain(of_states);
    let counts: Vec<String> = groups.filter_map(counted).collect();
    (!counts.is_empty()).then(|| {
        format!(
            "Not all of the {} finished: {}. Means include the finished runs only.",
            plural(results.runs.len(), "run"),
            list(&counts)
        )
    })
}

/// The runs in a state other than done, without those that are running. A search that has found
/// the best values is not incomplete because a run of it diverged.
pub(crate) fn unfinished(results: &Results, state: RunState) -> impl Iterator<Item = &Run> {
    let has_found = |variant: &str| results.search_of(variant).is_some_and(|s| s.best.is_some());
    let is_found = move |run: &&Run| {
        let is_search = run.planned.is_search();
        state == RunState::Diverged && is_search && has_found(run.variant())
    };
    let idle = results.runs.iter().filter(|run| !run.is_running);
    let runs = idle.filter(move |run| run.state() == state);
    runs.filter(move |run| !is_found(run))
}

/// Variants with runs that took no step after their warmup. A training time can be that short: the number of
/// steps is not known before.
fn within_warmup(ranking: &Ranking) -> Option<String> {
    let shortest = |variant: &&Variant| {
        let runs = variant.runs.iter().filter_map(|run| run.result());
        let steps = runs.map(|outcome| outcome.steps).min()?;
        let warmup = variant.spec().optimizer.schedule.warmup_steps;
        (variant.is_trained() && steps <= warmup).then(|| {
            format!(
                "{} (warmup_steps {}, steps of training {})",
                variant.name,
                exact(warmup),
                exact(steps)
            )
        })
    };
    let names: Vec<String> = ranking
        .variants
        .iter()
        .filter_map(|v| shortest(&v))
        .collect();
    (!names.is_empty()).then(|| {
        format!(
            "Some runs of these variants ended within their warmup, so their learning rate did not reach optimizer.lr: {}.",
            list(&names)
        )
    })
}

fn different_texts(ranking: &Ranking) -> Option<String> {
    let text = |variant: &Variant| {
        let corpus = variant.corpus;
        (corpus.data_sha256.clone(), corpus.val_bytes)
    };
    let first = text(ranking.variants.first()?);
    if ranking.variants.iter().any(|v| text(v) != first) {
        return Some(
            "The variants are evaluated on different texts, and some texts may be easier than others. The differences are not due to the models alone."
                .to_owned(),
        );
    }
    (!ranking.same_tokens()).then(|| {
        "The tokenizers differ, so losses per token cannot be compared. The variants are ranked by bits per byte only."
            .to_owned()
    })
}

/// Variants whose tokenizer has no token for part of the validation split.
fn unknown_tokens(ranking: &Ranking) -> Option<String> {
    let unknown: Vec<&Variant> = ranking
        .variants
        .iter()
        .filter(|v| !v.corpus.lossless && v.corpus.val_unknown_tokens > 0)
        .collect();
    let counts = |variant: &Variant| {
        let corpus = variant.corpus;
        format!(
            "{} of {}",
            count(corpus.val_unknown_tokens as f64),
            count(corpus.val_tokens as f64)
        )
    };
    let first = unknown.first()?;
    let counts = match unknown.len() == ranking.variants.len() && ranking.same_tokens() {
        true => counts(first),
        false => {
            let each = |v: &&Variant| format!("{} in {}", counts(v), v.name);
            list(&unknown.iter().map(each).collect::<Vec<_>>())
        }
    };
    Some(format!(
        "Some tokens of the validation split are unknown to the tokenizer and are scored as the unknown token: {counts}."
    ))
}

/// Variants whose tokens do not decode to the text, for another reason than unknown tokens.
fn changed_text(ranking: &Ranking) -> Option<String> {
    let names: Vec<&str> = ranking
        .variants
        .iter()
        .filter(|v| !v.corpus.lossless && v.corpus.val_unknown_tokens == 0)
        .map(|variant| variant.name)
        .collect();
    (!names.is_empty()).then(|| {
        format!(
            "The tokenizers of these variants drop or change part of the text: {}. That part is not scored, so their bits per byte are too low.",
            list(&names)
        )
    })
}

#[cfg(test)]
mod tests {
    use crate::report::testing::{Folder, variant};

    #[test]
    fn a_training_time_within_the_warmup_is_a_caution() {
        let folder = Folder::new("warmup");
        for (name, warmup) in [("gpt", 499), ("long", 500), ("longer", 100_000)] {
            variant(&folder, name, 2, 1.5, |run| {
                run.spec(|spec| {
                    spec.train.seconds = Some(5.0);
                    spec.optimizer.schedule.warmup_steps = warmup;
                })
            });
        }
        let cautions = folder.write().cautions;
        let expected = [
            "Some runs of these variants ended within their warmup, so their learning rate did not reach optimizer.lr: long (warmup_steps 500, steps of training 500) and longer (warmup_steps 100,000, steps of training 500).",
            "The runs are trained for a fixed time (train.seconds). Their number of steps depends on the machine and on what else it does, so their results cannot be repeated exactly. They get equal numbers of threads if the whole sweep is trained with the same `--jobs` on one machine.",
        ];
        for text in expected {
            assert!(cautions.iter().any(|c| c == text), "{cautions:?}");
        }
    }
}
