//! The answer in words, and what to be careful about: plain sentences, for any kind of page.

use super::loaded_results::Results;
use super::ranking::{Ranking, Variant};
use crate::results::RunState;
use crate::spec::ModelKind;
use crate::stats::{Comparison, Verdict};
use crate::text::units::{change, count, difference, list, loss, plural};

/// The answer to the question of the experiment, in a few sentences.
pub(super) fn answer(ranking: &Ranking) -> Vec<String> {
    let Some(best) = ranking.best() else {
        return vec!["No run has ended with a result, so there is no answer yet.".to_owned()];
    };
    let mut sentences = vec![best_variant(ranking, best)];
    sentences.extend(others(ranking, best));
    sentences.extend(against_counting(ranking));
    if let (Some(floor), Some(value)) = (ranking.floor(), best.mean_bits_per_byte()) {
        sentences.push(format!(
            "The entropy of the text, below which no model can go on average, is {} bits per byte: {} is {} above it.",
            loss(floor),
            best.name,
            loss(value - floor),
        ));
    }
    sentences
}

fn best_variant(ranking: &Ranking, best: &Variant) -> String {
    let reached = format!(
        "{} bits per byte ({})",
        loss(best.mean_bits_per_byte().unwrap_or(f64::NAN)),
        match best.bits_per_byte.len() {
            1 => "one seed".to_owned(),
            n => format!("mean of {n} seeds"),
        }
    );
    if ranking.variants.len() == 1 {
        return format!("{} reaches {reached}.", best.name);
    }
    if best.is_baseline {
        return format!(
            "No variant has a lower loss than the baseline, {}, at {reached}.",
            best.name
        );
    }
    let lowest = format!("{} has the lowest loss, {reached}", best.name);
    let Some(comparison) = &best.comparison else {
        return format!(
            "{lowest}; it shares no finished seed with the baseline, {}, so there is no difference to judge.",
            ranking.baseline
        );
    };
    let gap = difference(comparison.mean);
    match comparison.verdict {
        Verdict::Better => format!(
            "{lowest}, better than the baseline, {}: {gap}{}.",
            ranking.baseline,
            interval(ranking, comparison)
        ),
        Verdict::OneSeed => format!(
            "{lowest}, {gap} against the baseline, {}; with one seed there is no telling whether another would agree.",
            ranking.baseline
        ),
        Verdict::Inconclusive | Verdict::Worse => format!(
            "{lowest}, but these seeds do not tell it from the baseline, {}: {gap}{}.",
            ranking.baseline,
            interval(ranking, comparison)
        ),
    }
}

/// ` (95 % interval a to b, corrected for n comparisons)`.
fn interval(ranking: &Ranking, comparison: &Comparison) -> String {
    let Some(corrected) = comparison.corrected else {
        return String::new();
    };
    let comparisons = compared(ranking);
    let correction = match comparisons {
        1 => String::new(),
        n => format!(", corrected for {n} comparisons"),
    };
    format!(
        " (95 % interval {} to {}{correction})",
        difference(corrected.low),
        difference(corrected.high),
    )
}

/// Number of comparisons that share the correction.
pub(super) fn compared(ranking: &Ranking) -> usize {
    let with_interval = |v: &&Variant| v.comparison.as_ref().is_some_and(|c| c.interval.is_some());
    ranking.variants.iter().filter(with_interval).count()
}

/// What the seeds say of the variants that are not the best.
fn others(ranking: &Ranking, best: &Variant) -> Option<String> {
    let named = |verdict| {
        let names: Vec<&str> = ranking
            .ranked()
            .filter(|variant| variant.name != best.name)
            .filter(|v| v.comparison.as_ref().is_some_and(|c| c.verdict == verdict))
            .map(|variant| variant.name)
            .collect();
        (!names.is_empty()).then(|| list(&names))
    };
    let mut parts = Vec::new();
    if let Some(names) = named(Verdict::Better) {
        parts.push(format!("also better than the baseline: {names} (the better ones are not compared with each other)"));
    }
    if let Some(names) = named(Verdict::Worse) {
        parts.push(format!("worse: {names}"));
    }
    if let Some(names) = named(Verdict::Inconclusive) {
        parts.push(format!("inconclusive with these seeds: {names}"));
    }
    if let Some(names) = named(Verdict::OneSeed) {
        parts.push(format!("from one seed, so without an interval: {names}"));
    }
    if parts.is_empty() {
        return None;
    }
    let mut sentence = parts.join("; ") + ".";
    sentence[..1].make_ascii_uppercase();
    Some(sentence)
}

/// What training is worth: which models do no better than counts of n-grams. Where no variant counts,
/// transformers are held against the best bigram.
fn against_counting(ranking: &Ranking) -> Option<String> {
    let counted = ranking.ranked().find(|variant| !variant.is_trained());
    let (name, bits) = match counted {
        Some(variant) => (variant.name, variant.mean_bits_per_byte()?),
        None => ("A bigram", ranking.bigram_count()?),
    };
    let does_better =
        |variant: &&Variant| variant.mean_bits_per_byte().is_some_and(|own| own < bits);
    let (better, others): (Vec<_>, Vec<_>) = ranking
        .ranked()
        .filter(|variant| match counted {
            Some(_) => variant.is_trained(),
            None => variant.spec().model.kind == ModelKind::Gpt,
        })
        .partition(does_better);
    if others.is_empty() && (better.is_empty() || counted.is_none()) {
        return None;
    }
    let reference = format!(
        "{name} reaches {} bits per byte by counting alone",
        loss(bits)
    );
    let names: Vec<&str> = others.iter().map(|variant| variant.name).collect();
    Some(match (better.is_empty(), names.len()) {
        (_, 0) => format!("{reference}, and every trained variant does better."),
        (true, _) => format!("{reference}, and no trained variant does better."),
        (false, 1) => format!("{reference}; {} does not do better.", list(&names)),
        (false, _) => format!("{reference}; {} do not do better.", list(&names)),
    })
}

/// Where a comparison is not between equals, or not complete.
pub(super) fn cautions(results: &Results, ranking: &Ranking) -> Vec<String> {
    let mut cautions = Vec::new();
    cautions.extend(unfinished(results));
    cautions.extend(fewer_seeds(ranking));
    cautions.extend(different_texts(ranking));
    cautions.extend(unspelt(ranking));
    let Some(baseline) = ranking.baseline().filter(|v| v.is_trained()) else {
        return cautions;
    };
    cautions.extend(unmatched(
        ranking,
        "Training tokens are not matched",
        |variant| match variant.is_trained() {
            true => variant.planned_tokens(),
            // Whoever counts sees the text once, and needs not see it again.
            false => baseline.planned_tokens(),
        },
        1.0,
    ));
    cautions.extend(unmatched(
        ranking,
        "Sizes are not matched (more than 10 % apart in parameters)",
        |variant| match variant.spec().model.kind == baseline.spec().model.kind {
            true => variant.params(),
            // A bigram is no smaller transformer: nobody takes the two for a match.
            false => baseline.params(),
        },
        1.1,
    ));
    let context = |variant: &Variant| variant.spec().sequence_length();
    let mut trained = ranking.variants.iter().filter(|v| v.is_trained());
    if trained.any(|v| context(v) != context(baseline)) {
        cautions.push(
            "Context lengths differ, in evaluation too: part of a difference may be that a longer context is seen."
                .to_owned(),
        );
    }
    cautions
}

fn unfinished(results: &Results) -> Option<String> {
    let conditions = [
        RunState::Failed,
        RunState::Diverged,
        RunState::Stopped,
        RunState::NotStarted,
    ];
    let counts: Vec<String> = conditions
        .into_iter()
        .map(|condition| (results.count(condition), condition.name()))
        .filter(|(n, _)| *n > 0)
        .map(|(n, name)| format!("{n} {name}"))
        .collect();
    (!counts.is_empty()).then(|| {
        format!(
            "Not all of the {} are done ({}). Means are over those that are; the others are listed below.",
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
    (!fewer.is_empty()).then(|| {
        format!(
            "Ranked on fewer seeds than the others: {}. A difference to the baseline is over the seeds that both have.",
            list(&fewer)
        )
    })
}

fn different_texts(ranking: &Ranking) -> Option<String> {
    let differs = |value: fn(&Variant) -> (String, u64)| {
        let first = value(ranking.variants.first()?);
        let differs = ranking.variants.iter().any(|v| value(v) != first);
        differs.then_some(())
    };
    if differs(|v| (v.corpus.data_sha256.clone(), v.corpus.val_bytes)).is_some() {
        return Some(
            "Variants are evaluated on different texts, some of which may be easier than others: differences are not those of the models alone."
                .to_owned(),
        );
    }
    if !ranking.same_tokens() {
        return Some(
            "Tokenizers differ, so that losses a token cannot be compared: variants are ranked by bits per byte alone."
                .to_owned(),
        );
    }
    None
}

/// Variants whose tokens do not spell the text that they are scored on.
fn unspelt(ranking: &Ranking) -> Vec<String> {
    let lossy = ranking
        .variants
        .iter()
        .filter(|variant| !variant.corpus.lossless);
    let (unknown, changed): (Vec<_>, Vec<_>) =
        lossy.partition(|variant| variant.corpus.val_unknown_tokens > 0);
    let mut cautions = Vec::new();
    if let Some(first) = unknown.first() {
        let counts = |variant: &Variant| {
            let corpus = variant.corpus;
            format!(
                "{} of the {} tokens of the validation split",
                count(corpus.val_unknown_tokens as f64),
                count(corpus.val_tokens as f64)
            )
        };
        let all = unknown.len() == ranking.variants.len() && ranking.same_tokens();
        let subject = match all {
            true => counts(first),
            false => {
                let each = |v: &&Variant| format!("{} in {}", counts(v), v.name);
                list(&unknown.iter().map(each).collect::<Vec<_>>())
            }
        };
        let tokenizer = if all {
            "the tokenizer"
        } else {
            "their tokenizers"
        };
        cautions.push(format!(
            "{subject} are unknown to {tokenizer} and scored as such."
        ));
    }
    if !changed.is_empty() {
        let names: Vec<&str> = changed.iter().map(|variant| variant.name).collect();
        cautions.push(format!(
            "What their tokenizers drop or change of the text is not scored, which flatters the bits per byte of: {}.",
            list(&names)
        ));
    }
    cautions
}

/// The variants whose `value` is more than `tolerance` times away from the baseline's.
fn unmatched(
    ranking: &Ranking,
    what: &str,
    value: impl Fn(&Variant) -> u64,
    tolerance: f64,
) -> Option<String> {
    let baseline = ranking.baseline()?;
    let base = value(baseline) as f64;
    let apart = |variant: &&Variant| {
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
    let apart: Vec<String> = ranking.variants.iter().filter(apart).map(shown).collect();
    (!apart.is_empty()).then(|| {
        format!(
            "{what}: the baseline, {}, has {}; {}.",
            baseline.name,
            count(base),
            list(&apart)
        )
    })
}
