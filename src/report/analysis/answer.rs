//! The answer to the question of an experiment, in sentences.

use super::ranking::{Ranking, Variant};
use super::wording;
use crate::spec::{Margin, ModelKind};
use crate::stats::{Comparison, Verdict};
use crate::text::units::{difference, list, loss};

/// The answer to the question of the experiment. The first entry is the most important one.
pub(crate) fn answer(ranking: &Ranking) -> Vec<String> {
    let Some(best) = ranking.best() else {
        return vec!["No run has finished with a result, so there is no answer yet.".to_owned()];
    };
    let mut sentences = vec![best_variant(ranking, best)];
    sentences.extend(other_variants(ranking, best));
    sentences.extend(against_counting(ranking));
    if let (Some(bound), Some(value)) = (ranking.entropy_bound(), best.mean_bits_per_byte()) {
        sentences.push(format!(
            "The entropy of the text is {} bits per byte. On average, no model can go below it. {} is {} bits per byte above it.",
            loss(bound),
            best.name,
            loss(value - bound),
        ));
    }
    sentences
}

fn best_variant(ranking: &Ranking, best: &Variant) -> String {
    let name = best.name;
    let baseline = ranking.baseline;
    let reached = format!(
        "{} bits per byte ({})",
        loss(best.mean_bits_per_byte().unwrap_or(f64::NAN)),
        match best.bits_per_byte.len() {
            1 => "one seed".to_owned(),
            n => format!("mean of {n} seeds"),
        }
    );
    if ranking.variants.len() == 1 {
        return format!("{name} reaches {reached}.");
    }
    if ranking.ranked().count() == 1 {
        return format!("Only {name} has finished. It reaches {reached}.");
    }
    if best.is_baseline {
        let inconclusive = with_verdict(ranking, best, Verdict::Inconclusive);
        if !inconclusive.is_empty() {
            let (differences, verb) = match inconclusive.len() {
                1 => ("the difference to", "is"),
                _ => ("the differences to", "are"),
            };
            return format!(
                "The baseline {name} has the lowest mean loss, {reached}, but {differences} {} {verb} inconclusive.{}",
                names(&inconclusive),
                seeds_to_decide(&inconclusive),
            );
        }
        return format!(
            "No variant has a lower loss than the baseline {name}, which reaches {reached}."
        );
    }
    let lowest = format!("{name} has the lowest loss: {reached}.");
    let Some(comparison) = &best.comparison else {
        return format!(
            "{lowest} It shares no finished seed with the baseline {baseline}, so the two cannot be compared."
        );
    };
    let interval = interval(ranking, comparison);
    let gap = difference(comparison.mean);
    match comparison.verdict {
        _ if comparison.pairs == 1 => format!(
            "{lowest} Its difference from the baseline {baseline} is {gap}. One seed cannot show whether other seeds would agree."
        ),
        _ if comparison.corrected.is_none() => format!(
            "{lowest} Its difference from the baseline {baseline} is {gap} so far. There are too few seeds for a test."
        ),
        Verdict::Better => format!(
            "{lowest} It is better than the baseline {baseline}: the difference is {gap}{interval}."
        ),
        Verdict::Inconclusive => format!(
            "{lowest} Its difference from the baseline {baseline} is inconclusive with these seeds: {gap}{interval}.{}",
            seeds_to_decide(&[best])
        ),
        // A variant with fewer seeds can have the lowest mean because it lacks the hardest seed.
        Verdict::Worse => format!(
            "{lowest} However, it is worse than the baseline {baseline} on the seeds that both have: the difference is {gap}{interval}."
        ),
        Verdict::Equivalent => format!(
            "{lowest} It is equivalent to the baseline {baseline}: the difference is {gap}{interval}, and differences below {} do not matter.",
            margin(ranking),
        ),
    }
}

/// ` (95 % interval a to b, corrected for n comparisons)`; empty without an interval.
fn interval(ranking: &Ranking, comparison: &Comparison) -> String {
    let Some(corrected) = comparison.corrected else {
        return String::new();
    };
    let correction = wording::correction(ranking);
    format!(
        " (95 % interval {} to {}{correction})",
        difference(corrected.low),
        difference(corrected.high),
    )
}

/// The margin as the experiment gives it, with its unit.
fn margin(ranking: &Ranking) -> String {
    match ranking.margin {
        Some(Margin::Absolute(margin)) => format!("{margin} bits per byte"),
        Some(Margin::Percent(percent)) => format!("{percent} % of the baseline's mean"),
        None => "0".to_owned(),
    }
}

/// The variants with an interval and this verdict, other than the best variant.
fn with_verdict<'r, 'a>(
    ranking: &'r Ranking<'a>,
    best: &Variant,
    verdict: Verdict,
) -> Vec<&'r Variant<'a>> {
    others(ranking, best, |c| {
        c.corrected.is_some() && c.verdict == verdict
    })
}

/// The compared variants, other than the best variant, that meet a condition.
fn others<'r, 'a>(
    ranking: &'r Ranking<'a>,
    best: &Variant,
    condition: impl Fn(&Comparison) -> bool,
) -> Vec<&'r Variant<'a>> {
    ranking
        .ranked()
        .filter(|variant| variant.name != best.name)
        .filter(|variant| variant.comparison.as_ref().is_some_and(&condition))
        .collect()
}

fn names(variants: &[&Variant]) -> String {
    list(
        &variants
            .iter()
            .map(|variant| variant.name)
            .collect::<Vec<_>>(),
    )
}

/// How many seeds would decide inconclusive comparisons, as a sentence. Empty if it is not known.
fn seeds_to_decide(variants: &[&Variant]) -> String {
    let seeds = |variant: &&&Variant| variant.comparison.as_ref()?.pairs_to_decide;
    let known: Vec<String> = variants
        .iter()
        .filter_map(|variant| Some((variant.name, seeds(&variant)?)))
        .map(|(name, seeds)| match variants {
            [_] => format!("{seeds} seeds"),
            _ => format!("{seeds} seeds for {name}"),
        })
        .collect();
    match known.is_empty() {
        true => String::new(),
        false => format!(
            " If the differences stay as they are, a new sweep with {} would decide with a probability of 80 %.",
            list(&known)
        ),
    }
}

/// The verdicts on the variants other than the best.
fn other_variants(ranking: &Ranking, best: &Variant) -> Vec<String> {
    let mut sentences = Vec::new();
    let mut add = |variants: Vec<&Variant>, sentence: &dyn Fn(String) -> String| {
        if !variants.is_empty() {
            sentences.push(sentence(names(&variants)));
        }
    };
    let of = |verdict| with_verdict(ranking, best, verdict);
    add(of(Verdict::Better), &|names| {
        format!(
            "Also better than the baseline: {names}. The better variants are not compared with each other."
        )
    });
    add(of(Verdict::Worse), &|names| {
        format!("Worse than the baseline: {names}.")
    });
    // A best baseline is reported together with the inconclusive differences to it.
    if !best.is_baseline {
        let inconclusive = of(Verdict::Inconclusive);
        let seeds = seeds_to_decide(&inconclusive);
        add(inconclusive, &|names| {
            format!("Inconclusive with these seeds: {names}.{seeds}")
        });
    }
    add(of(Verdict::Equivalent), &|names| {
        let margin = margin(ranking);
        format!(
            "Equivalent to the baseline, because differences below {margin} do not matter: {names}."
        )
    });
    add(others(ranking, best, |c| c.pairs == 1), &|names| {
        format!("No interval, because only one seed is shared with the baseline: {names}.")
    });
    sentences
}

/// Which trained models are not better than n-gram counts. Without an n-gram variant, transformers
/// are compared with the best bigram model that counting gives.
fn against_counting(ranking: &Ranking) -> Option<String> {
    let counted = ranking.ranked().find(|variant| !variant.is_trained());
    let (reference, bits) = match counted {
        Some(variant) => (
            format!("{}, which only counts n-grams,", variant.name),
            variant.mean_bits_per_byte()?,
        ),
        None => (
            "Counting pairs of tokens in the training split".to_owned(),
            ranking.bigram_counts()?,
        ),
    };
    let is_better = |variant: &&Variant| variant.mean_bits_per_byte().is_some_and(|own| own < bits);
    let (better, others): (Vec<_>, Vec<_>) = ranking
        .ranked()
        .filter(|variant| match counted {
            Some(_) => variant.is_trained(),
            None => variant.spec().model.kind == ModelKind::Gpt,
        })
        .partition(is_better);
    if others.is_empty() && (better.is_empty() || counted.is_none()) {
        return None;
    }
    let names: Vec<&str> = others.iter().map(|variant| variant.name).collect();
    let trained: Vec<_> = ranking.ranked().filter(|v| v.is_trained()).collect();
    let result = match names.len() {
        0 => "All trained variants are better.".to_owned(),
        _ if trained.len() > 1 && !trained.iter().any(is_better) => {
            "All trained variants are worse.".to_owned()
        }
        1 => format!("{} is worse.", list(&names)),
        _ => format!("{} are worse.", list(&names)),
    };
    Some(format!(
        "{reference} reaches {} bits per byte. {result}",
        loss(bits)
    ))
}
