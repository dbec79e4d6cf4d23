//! What limits the comparison of a report, in sentences.

use super::design_cautions::design_cautions;
use super::fairness::unfair_differences;
use super::ranking::{Ranking, Variant};
use crate::report::loaded_results::{Results, Run};
use crate::results::RunState;
use crate::text::units::{count, list, plural};

/// Reasons why the comparison is incomplete or not fair.
pub(crate) fn cautions(results: &Results, ranking: &Ranking) -> Vec<String> {
    let mut cautions = Vec::new();
    cautions.extend(unfinished_runs(results));
    cautions.extend(design_cautions(results, ranking));
    cautions.extend(different_texts(ranking));
    cautions.extend(unknown_tokens(ranking));
    cautions.extend(changed_text(ranking));
    cautions.extend(unfair_differences(&results.plan, ranking));
    cautions
}

fn unfinished_runs(results: &Results) -> Option<String> {
    let states = [
        RunState::Failed,
        RunState::Diverged,
        RunState::Stopped,
        RunState::NotStarted,
    ];
    let counts: Vec<String> = states
        .into_iter()
        .map(|state| (unfinished(results, state), state.name()))
        .filter(|(n, _)| *n > 0)
        .map(|(n, name)| format!("{n} {name}"))
        .collect();
    (!counts.is_empty()).then(|| {
        format!(
            "Not all of the {} finished: {}. Means include the finished runs only.",
            plural(results.runs.len(), "run"),
            list(&counts)
        )
    })
}

/// Number of runs in a state other than done. A search is not incomplete because a run of it diverged.
fn unfinished(results: &Results, state: RunState) -> usize {
    let is_found = |run: &&Run| state == RunState::Diverged && run.planned.is_search();
    let runs = results.runs.iter().filter(|run| run.state() == state);
    runs.filter(|run| !is_found(run)).count()
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
