//! What limits the comparison of a report, in sentences.

use super::matched_variants::is_matched;
use super::ranking::{Ranking, Variant};
use crate::report::loaded_results::Results;
use crate::results::RunState;
use crate::spec::MatchedQuantity;
use crate::text::units::{change, count, list, plural};

/// Reasons why the comparison is incomplete or not fair.
pub(crate) fn cautions(results: &Results, ranking: &Ranking) -> Vec<String> {
    let mut cautions = Vec::new();
    cautions.extend(unfinished_runs(results));
    cautions.extend(fewer_seeds(ranking));
    cautions.extend(changed_seeds(results, ranking));
    cautions.extend(different_texts(ranking));
    cautions.extend(unknown_tokens(ranking));
    cautions.extend(changed_text(ranking));
    let Some(baseline) = ranking.baseline().filter(|v| v.is_trained()) else {
        return cautions;
    };
    cautions.extend(timed_runs(ranking));
    let tokens = |variant: &Variant| variant.training_tokens().unwrap_or(0);
    let matched = |variant: &Variant, what| is_matched(&results.plan, variant.name, what);
    cautions.extend(unmatched(
        ranking,
        "The number of training tokens differs",
        |variant| match variant.is_trained() && !matched(variant, MatchedQuantity::Tokens) {
            true => tokens(variant),
            // An n-gram model counts the text once and has no training budget to match.
            false => tokens(baseline),
        },
        1.0,
    ));
    cautions.extend(unmatched(
        ranking,
        "The number of parameters differs by more than 10 %",
        |variant| match variant.spec().model.kind == baseline.spec().model.kind
            && !matched(variant, MatchedQuantity::Params)
        {
            true => variant.params(),
            // A bigram model is not a smaller transformer, so its size is not compared.
            false => baseline.params(),
        },
        1.1,
    ));
    let context = |variant: &Variant| variant.spec().sequence_length();
    let mut trained = ranking.variants.iter().filter(|v| v.is_trained());
    if trained.any(|v| context(v) != context(baseline)) {
        cautions.push(
            "The context lengths differ, also during evaluation. Part of a difference may come from the longer context."
                .to_owned(),
        );
    }
    cautions
}

/// Variants whose results depend on the speed of the machine.
fn timed_runs(ranking: &Ranking) -> Option<String> {
    let is_timed = |v: &&Variant| v.spec().train.planned_steps().is_none();
    let timed: Vec<&str> = ranking
        .variants
        .iter()
        .filter(is_timed)
        .map(|v| v.name)
        .collect();
    let which = match timed.len() == ranking.variants.len() {
        true => "The runs".to_owned(),
        false => format!("The runs of {}", list(&timed)),
    };
    (!timed.is_empty()).then(|| {
        format!(
            "{which} are trained for a fixed time (`train.seconds`). Their number of steps depends on the machine and on what else it does, so their results cannot be repeated exactly."
        )
    })
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
        .map(|state| (results.count(state), state.name()))
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

fn fewer_seeds(ranking: &Ranking) -> Option<String> {
    let most = ranking
        .variants
        .iter()
        .map(|v| v.bits_per_byte.len())
        .max()?;
    let fewer: Vec<&str> = ranking
        .ranked()
        .filter(|variant| variant.bits_per_byte.len() < most)
        .map(|variant| variant.name)
        .collect();
    if ranking.sequential.is_some() && !fewer.is_empty() {
        return Some(
            "The variants have different numbers of seeds, because seeds were added to undecided variants only. Their means are over different seeds. The ranking and the differences from the baseline use the same seeds for both."
                .to_owned(),
        );
    }
    (!fewer.is_empty()).then(|| {
        format!(
            "These variants have fewer seeds than the others: {}. A difference from the baseline uses only the seeds that both have.",
            list(&fewer)
        )
    })
}

/// Seeds that were changed after results were known.
fn changed_seeds(results: &Results, ranking: &Ranking) -> Option<String> {
    let comparisons = ranking.variants.len().saturating_sub(1);
    let rate = results.plan.rate_after_changed_seeds(comparisons)?;
    Some(format!(
        "The seeds were changed after results were known, so the variants were tested repeatedly. The probability that equal variants are called different can be {:.1} % instead of 5 %.",
        100.0 * rate.max(0.05)
    ))
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

/// The variants whose value is not within a factor of `tolerance` of the baseline's.
fn unmatched(
    ranking: &Ranking,
    what: &str,
    value: impl Fn(&Variant) -> u64,
    tolerance: f64,
) -> Option<String> {
    let baseline = ranking.baseline()?;
    let base = value(baseline) as f64;
    let differs = |variant: &&Variant| {
        let ratio = value(variant) as f64 / base;
        ratio > tolerance || ratio < 1.0 / tolerance
    };
    let shown = |variant: &Variant| {
        let value = value(variant) as f64;
        format!(
            "{} has {} ({})",
            variant.name,
            count(value),
            change(value / base)
        )
    };
    let different: Vec<String> = ranking.variants.iter().filter(differs).map(shown).collect();
    (!different.is_empty()).then(|| {
        format!(
            "{what}: the baseline {} has {}; {}.",
            baseline.name,
            count(base),
            list(&different)
        )
    })
}
