//! The answer to the question of an experiment, in sentences.

use super::headline;
use super::ranking::{Ranking, Untested, Variant};
use super::wording;
use crate::spec::ModelKind;
use crate::stats::{Comparison, PairsToDecide, Verdict};
use crate::text::units::{list, loss, plural};

/// The answer to the question of the experiment. The first entry is the most important one.
pub(crate) fn answer(ranking: &Ranking) -> Vec<String> {
    let Some(best) = ranking.best() else {
        let run = match ranking.has_sizes {
            true => "run of the largest size",
            false => "run",
        };
        return vec![format!(
            "No {run} has finished with a result, so there is no answer yet."
        )];
    };
    let mut sentences = vec![best_variant(ranking, best) + &headline::incomplete(ranking)];
    sentences.extend(other_variants(ranking, best));
    sentences.extend(within_margin(ranking));
    sentences.extend(noise_floor(ranking));
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
    let metric = ranking.metric;
    let reached = headline::reached(ranking, best);
    if best.mean().is_some_and(f64::is_infinite) {
        return format!("Of every variant, some runs end before {}.", metric.goal());
    }
    if ranking.variants.len() == 1 {
        return format!("{name} reaches {reached}.");
    }
    if ranking.ranked().count() == 1 {
        return format!("Only {name} has finished. It reaches {reached}.");
    }
    if best.is_baseline {
        return best_baseline(ranking, best, &reached);
    }
    // Variants with different seeds are ranked by their differences from the baseline on the same seeds.
    let relative = match ranking.has_best_mean(best) {
        true => "",
        false => " relative to the baseline on the same seeds",
    };
    let scope = headline::scope(ranking, best);
    let its_rank = format!("has {}{scope}{relative}: {reached}.", metric.best());
    let lowest = format!("{name} {its_rank}");
    let Some(comparison) = best.comparison else {
        if !best.has_ended {
            return format!("{lowest} The baseline {baseline} has no result yet.");
        }
        return format!(
            "{lowest} It shares no finished seed with the baseline {baseline}, so the two cannot be compared."
        );
    };
    let interval = interval(ranking, comparison);
    let gap = wording::difference(metric, comparison).mean;
    let its_difference = format!("Its difference from the baseline {baseline} is");
    match (best.untested(), comparison.verdict) {
        (Some(Untested::OneSeed), _) => format!(
            "{lowest} {its_difference} {gap}. One seed cannot show whether other seeds would agree."
        ),
        (Some(Untested::Unfinished), _) => format!(
            "{lowest} {its_difference} {gap} so far. There is a verdict when all seeds have ended."
        ),
        (Some(Untested::TooFewSeeds), _) => {
            format!("{lowest} {its_difference} {gap}. There are too few seeds for a test.")
        }
        (Some(Untested::SameResults), _) => {
            format!("{lowest} Its results are exactly those of the baseline {baseline}.")
        }
        (Some(Untested::Unreached), _) => format!(
            "{lowest} Not every run of {name} and {baseline} reaches the loss, so there is no test."
        ),
        (None, Verdict::Better) => {
            let within = match may_be_within_margin(ranking, comparison) {
                true => ", perhaps by less than the margin",
                false => "",
            };
            format!(
                "{name} is better than the baseline {baseline}{within}: the difference is {gap} {}{interval}. It {its_rank}",
                metric.unit(),
            )
        }
        (None, Verdict::Inconclusive) => format!(
            "{lowest} {its_difference} inconclusive with these seeds: {gap}{interval}.{}",
            seeds_to_decide(ranking, &[best])
        ),
        // A variant with fewer seeds can have the lowest mean because it lacks the hardest seed.
        (None, Verdict::Worse) => format!(
            "{lowest} However, it is worse than the baseline {baseline} on the seeds that both have: the difference is {gap}{interval}."
        ),
        (None, Verdict::Equivalent) => format!(
            "{lowest} It is equivalent to the baseline {baseline}: the difference is {gap}{interval}, and differences below {} do not matter.",
            margin(ranking),
        ),
    }
}

fn best_baseline(ranking: &Ranking, best: &Variant, reached: &str) -> String {
    let name = best.name;
    let inconclusive = with_verdict(ranking, best, Verdict::Inconclusive);
    // A variant with fewer seeds can have a better mean, because it lacks the hardest seed.
    let is_on_same_seeds = !ranking.has_best_mean(best);
    if inconclusive.is_empty() {
        let compared = match ranking.ranked().any(Variant::is_incomplete) {
            true => "complete variant",
            false => "variant",
        };
        let than = format!(
            "No {compared} has {} than the baseline {name}",
            ranking.metric.better()
        );
        return match is_on_same_seeds {
            true => format!("{than} on the seeds that both have. {name} reaches {reached}."),
            false => format!("{than}, which reaches {reached}."),
        };
    }
    let (differences, verb) = match inconclusive.len() {
        1 => ("the difference to", "is"),
        _ => ("the differences to", "are"),
    };
    format!(
        "The baseline {name} has {}{} on average{}, {reached}, but {differences} {} {verb} inconclusive.{}",
        ranking.metric.best(),
        headline::scope(ranking, best),
        match is_on_same_seeds {
            true => " on the seeds that it shares with each variant",
            false => "",
        },
        names(&inconclusive),
        seeds_to_decide(ranking, &inconclusive),
    )
}

/// The interval of a difference in words. Empty without one.
fn interval(ranking: &Ranking, comparison: &Comparison) -> String {
    if comparison.is_exact {
        return " (exact for every seed)".to_owned();
    }
    wording::difference(ranking.metric, comparison).interval_in_words()
}

/// Whether a difference that is not 0 may be smaller than the smallest one that matters.
fn may_be_within_margin(ranking: &Ranking, comparison: &Comparison) -> bool {
    let Some((corrected, margin)) = comparison.corrected.zip(ranking.absolute_margin) else {
        return false;
    };
    corrected.low.abs().min(corrected.high.abs()) < margin
}

/// The variants whose difference from the baseline may be smaller than the margin although it is not 0.
fn within_margin(ranking: &Ranking) -> Option<String> {
    let is_within = |variant: &&Variant| {
        let differs = |c: &&Comparison| matches!(c.verdict, Verdict::Better | Verdict::Worse);
        let comparison = variant.comparison.filter(differs);
        comparison.is_some_and(|comparison| may_be_within_margin(ranking, comparison))
    };
    let variants: Vec<&Variant> = ranking.ranked().filter(is_within).collect();
    let differences = match variants.len() {
        0 => return None,
        1 => "difference",
        _ => "differences",
    };
    Some(format!(
        "Significant, but perhaps smaller than the margin of {}: the {differences} of {}.",
        margin(ranking),
        names(&variants),
    ))
}

fn margin(ranking: &Ranking) -> String {
    wording::margin(ranking).unwrap_or_default()
}

/// How much the result of the baseline depends on the seed.
fn noise_floor(ranking: &Ranking) -> Option<String> {
    let baseline = ranking.baseline().filter(|_| ranking.has_comparison())?;
    let sd = baseline.sd().filter(|sd| sd.is_finite())?;
    Some(format!(
        "From seed to seed, the baseline varies by {} (standard deviation over {}).",
        ranking.metric.with_unit(sd),
        plural(baseline.values.len(), "seed"),
    ))
}

/// The variants with an interval and this verdict, other than the best variant.
fn with_verdict<'r, 'a>(
    ranking: &'r Ranking<'a>,
    best: &Variant,
    verdict: Verdict,
) -> Vec<&'r Variant<'a>> {
    others(ranking, best, |variant| {
        variant.untested().is_none() && variant.comparison.is_some_and(|c| c.verdict == verdict)
    })
}

/// The compared variants, other than the best variant, that meet a condition.
fn others<'r, 'a>(
    ranking: &'r Ranking<'a>,
    best: &Variant,
    condition: impl Fn(&Variant) -> bool,
) -> Vec<&'r Variant<'a>> {
    let all = ranking.ranked().filter(|variant| variant.name != best.name);
    all.filter(|variant| condition(variant)).collect()
}

/// The names of compared variants, each with its difference from the baseline.
fn with_differences(ranking: &Ranking, variants: &[&Variant]) -> String {
    let one = |variant: &&Variant| {
        let difference = variant
            .comparison
            .map(|c| wording::difference(ranking.metric, c).mean);
        difference.map_or(variant.name.to_owned(), |d| {
            format!("{} ({d})", variant.name)
        })
    };
    wording::shortened(variants.iter().map(one).collect())
}

fn names(variants: &[&Variant]) -> String {
    let names = variants.iter().map(|variant| variant.name.to_owned());
    wording::shortened(names.collect())
}

/// How many seeds would decide inconclusive comparisons, as a sentence. Empty if it is not known.
fn seeds_to_decide(ranking: &Ranking, variants: &[&Variant]) -> String {
    let mut known: Vec<(&str, PairsToDecide)> = Vec::new();
    for variant in variants {
        match (variant.seeds_to_decide, ranking.sequential) {
            // The seeds of the plan that have no result yet may be enough.
            (Some(PairsToDecide::About(seeds)), Some(range)) if seeds as u64 <= range.max => {}
            (Some(seeds), _) => known.push((variant.name, seeds)),
            (None, _) => {}
        }
    }
    let amount = |seeds: PairsToDecide| match seeds {
        PairsToDecide::About(seeds) => format!("about {seeds}"),
        PairsToDecide::MoreThan(most) => format!("more than {most}"),
    };
    let text = |seeds: PairsToDecide| format!("{} seeds", amount(seeds));
    let number = |seeds: &PairsToDecide| match seeds {
        PairsToDecide::About(seeds) => *seeds,
        PairsToDecide::MoreThan(most) => most + 1,
    };
    let ends = || known.iter().map(|(_, seeds)| *seeds);
    let seeds = match (ends().min_by_key(number), ends().max_by_key(number)) {
        (Some(fewest), Some(most)) if known.len() > wording::MOST_VARIANTS => {
            match fewest == most {
                true => text(fewest),
                false => format!(
                    "{} to {}, depending on the variant,",
                    amount(fewest),
                    text(most)
                ),
            }
        }
        _ => {
            let of = |(name, seeds): &(&str, PairsToDecide)| match variants {
                [_] => text(*seeds),
                _ => format!("{} for {name}", text(*seeds)),
            };
            list(&known.iter().map(of).collect::<Vec<_>>())
        }
    };
    let design = match ranking.sequential {
        Some(_) => "a maximum of",
        None => "a new sweep with",
    };
    match known.is_empty() {
        true => String::new(),
        false => format!(
            " If the differences stay as they are, {design} {seeds} would decide with a probability of about 80 %."
        ),
    }
}

/// The verdicts on the variants other than the best.
fn other_variants(ranking: &Ranking, best: &Variant) -> Vec<String> {
    let mut sentences = Vec::new();
    let mut add = |variants: &[&Variant], sentence: &dyn Fn(String) -> String| {
        if !variants.is_empty() {
            sentences.push(sentence(with_differences(ranking, variants)));
        }
    };
    let of = |verdict| with_verdict(ranking, best, verdict);
    let is_best_better = best.untested().is_none()
        && best
            .comparison
            .is_some_and(|c| c.verdict == Verdict::Better);
    let better = of(Verdict::Better);
    add(&better, &|variants| match (is_best_better, better.len()) {
        (true, 1) => format!(
            "Also better than the baseline: {variants}. {} is not tested against it.",
            best.name
        ),
        (true, _) => format!(
            "Also better than the baseline: {variants}. {} is not tested against them.",
            best.name
        ),
        (false, 1) => format!("Better than the baseline: {variants}."),
        (false, _) => format!(
            "Better than the baseline: {variants}. The better variants are not tested against each other."
        ),
    });
    add(&of(Verdict::Worse), &|variants| {
        format!("Worse than the baseline: {variants}.")
    });
    // A best baseline is reported together with the inconclusive differences to it.
    if !best.is_baseline {
        let inconclusive = of(Verdict::Inconclusive);
        let seeds = seeds_to_decide(ranking, &inconclusive);
        add(&inconclusive, &|variants| {
            format!("Inconclusive with these seeds: {variants}.{seeds}")
        });
    }
    add(&of(Verdict::Equivalent), &|variants| {
        let margin = margin(ranking);
        format!(
            "Equivalent to the baseline, because differences below {margin} do not matter: {variants}."
        )
    });
    let untested = |reason| others(ranking, best, |variant| variant.untested() == Some(reason));
    add(&untested(Untested::OneSeed), &|variants| {
        format!("No interval, because only one seed is shared with the baseline: {variants}.")
    });
    add(&untested(Untested::Unfinished), &|variants| {
        format!("No verdict yet, because not all seeds have ended: {variants}.")
    });
    add(&untested(Untested::TooFewSeeds), &|variants| {
        format!("No verdict, because too few seeds have a result: {variants}.")
    });
    let mut add_names = |reason, what: &str| {
        let variants = untested(reason);
        if !variants.is_empty() {
            sentences.push(format!("{what}: {}.", names(&variants)));
        }
    };
    add_names(
        Untested::SameResults,
        "Exactly the same results as the baseline",
    );
    add_names(
        Untested::Unreached,
        "No test, because not every run reaches the loss",
    );
    sentences
}

/// Which trained models do not have a lower loss than n-gram counts. Without an n-gram variant, transformers
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
        // "Better" and "worse" are verdicts of a test, and this is none.
        0 => "All trained variants have a lower mean.".to_owned(),
        _ if trained.len() > 1 && !trained.iter().any(is_better) => {
            "No trained variant has a lower mean.".to_owned()
        }
        1 => format!("{} does not have a lower mean.", list(&names)),
        _ => format!("{} do not have a lower mean.", list(&names)),
    };
    Some(format!(
        "{reference} reaches {} bits per byte. {result}",
        loss(bits)
    ))
}
