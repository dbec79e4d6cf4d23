//! What limits the validity of the tests of a report, in sentences.

use super::metric::Metric;
use super::ranking::{Ranking, Variant};
use super::tuning::{Beyond, Edge, Tuning};
use super::wording;
use crate::report::loaded_results::{EARLIER_SHARE, Results};
use crate::results::EarlierDesign;
use crate::spec::{Claim, ClaimMetric, Compare, CompareMetric};
use crate::stats::ALPHA;
use crate::text::units::list;
use std::collections::HashSet;

pub(super) fn design_cautions(
    results: &Results,
    ranking: &Ranking,
    tuning: Option<&Tuning>,
) -> Vec<String> {
    let all = [
        different_seeds(ranking),
        missing_results(ranking),
        changed_seeds(results),
        removed_seeds(results),
        changed_compare(results),
        changed_question(results),
        equal_results(ranking),
        changed_verdicts(results, ranking),
        unreached_loss(ranking),
        measured_on_a_machine(results, ranking),
        tuning.and_then(failed_searches),
        tuning.and_then(edges_of_the_search),
    ];
    all.into_iter().flatten().collect()
}

fn different_seeds(ranking: &Ranking) -> Option<String> {
    ranking.has_different_seeds().then(|| {
        "Some variants have more seeds than others, because seeds were added to undecided variants only. Each variant is ranked by its difference from the baseline on the seeds that both have."
            .to_owned()
    })
}

/// Variants of which some runs have no result.
fn missing_results(ranking: &Ranking) -> Option<String> {
    let missing = |variant: &&Variant| variant.is_incomplete();
    let names: Vec<&str> = ranking.ranked().filter(missing).map(|v| v.name).collect();
    (!names.is_empty()).then(|| {
        format!(
            "Not every seed of these variants has a result: {}. A difference from the baseline uses only the seeds that both have.",
            list(&names)
        )
    })
}

/// Seeds that were changed after results were known.
fn changed_seeds(results: &Results) -> Option<String> {
    let percent = 100.0 * results.plan.rate_after_changed_seeds()?;
    let shown = format!("{percent:.1}");
    // A design with fewer seeds than an earlier one adds no test.
    (percent > 100.0 * ALPHA && shown != "5.0").then(|| {
        format!(
            "The seeds were changed after results were known, so the variants were tested repeatedly. The probability that equal variants are called different can be {shown} % instead of 5 %."
        )
    })
}

/// Seeds that were removed after results were known.
fn removed_seeds(results: &Results) -> Option<String> {
    let plan = &results.plan;
    let now: HashSet<u64> = plan
        .experiment
        .sweep
        .as_ref()?
        .seeds
        .all()
        .into_iter()
        .collect();
    let mut earlier = plan.earlier_designs().flat_map(|design| design.seeds.all());
    earlier.any(|seed| !now.contains(&seed)).then(|| {
        "An earlier plan had seeds that this one does not have. Results with them are not used, so a verdict that depended on them may have changed."
            .to_owned()
    })
}

/// A margin or metric that was changed after results were known.
fn changed_compare(results: &Results) -> Option<String> {
    let plan = &results.plan;
    let words = |compare: &Compare| {
        let margin = match &compare.margin {
            Some(margin) => format!("margin {margin}"),
            None => "no margin".to_owned(),
        };
        format!("{} with {margin}", Metric::of(compare).title())
    };
    let now = words(&plan.experiment.compare);
    let designs = plan.earlier_designs();
    let mut earlier: Vec<String> = designs.map(|design| words(&design.compare)).collect();
    earlier.retain(|before| *before != now);
    earlier.dedup();
    (!earlier.is_empty()).then(|| {
        format!(
            "The metric or the margin was changed after results were known: it was {}. The error rates hold for a choice that does not depend on the results.",
            list(&earlier)
        )
    })
}

/// A baseline, a search, sizes or claims that were changed after results were known.
fn changed_question(results: &Results) -> Option<String> {
    let plan = &results.plan;
    let tune = plan
        .experiment
        .sweep
        .as_ref()
        .and_then(|sweep| sweep.tune.as_ref());
    let claims = &plan.experiment.claims;
    let changed = |differs: &dyn Fn(&EarlierDesign) -> bool| plan.earlier_designs().any(differs);
    let mut what = Vec::new();
    if changed(&|design| design.baseline != plan.baseline) {
        what.push("the baseline");
    }
    if changed(&|design| design.tune.as_ref() != tune) {
        what.push("the search");
    }
    if plan.has_changed_sizes() {
        what.push("the sizes");
    }
    if !claims.is_empty() && changed(&|design| design.claims != *claims) {
        what.push("the claims");
    }
    (!what.is_empty()).then(|| {
        format!(
            "Changed after results were known: {}. The error rates hold for a choice that does not depend on the results.",
            list(&what)
        )
    })
}

/// Variants with exactly the results of the baseline.
fn equal_results(ranking: &Ranking) -> Option<String> {
    let equal = ranking.ranked().filter(|v| v.has_same_results());
    let names: Vec<&str> = equal.map(|variant| variant.name).collect();
    (!names.is_empty()).then(|| {
        format!(
            "With each seed, the result of the baseline and of these variants is exactly the same: {}. The settings in which they differ have no effect.",
            list(&names)
        )
    })
}

/// Verdicts that the end of training has changed.
fn changed_verdicts(results: &Results, ranking: &Ranking) -> Option<String> {
    let changed = results.verdicts().filter_map(|(variant, earlier, now)| {
        let earlier = earlier.filter(|earlier| *earlier != now)?;
        let [earlier, now] = [earlier, now].map(wording::name_of);
        Some(format!("{variant} was {earlier} and is {now}"))
    });
    let changed: Vec<String> = changed.collect();
    let percent = 100.0 * (1.0 - EARLIER_SHARE);
    (!changed.is_empty() && ranking.has_comparison()).then(|| {
        format!(
            "The last {percent:.0} % of training changed verdicts, so a longer training may change them again: {}.",
            changed.join("; ")
        )
    })
}

fn unreached_loss(ranking: &Ranking) -> Option<String> {
    let count = |variant: &Variant| {
        let unreached = variant
            .values
            .iter()
            .filter(|(_, steps)| steps.is_infinite());
        unreached.count()
    };
    let each: Vec<String> = ranking
        .ranked()
        .filter(|variant| count(variant) > 0)
        .map(|v| format!("{} of {} of {}", count(v), v.runs.len(), v.name))
        .collect();
    (!each.is_empty()).then(|| {
        format!(
            "Some runs end before they reach the loss: {}. Their variants are not tested, because the mean of the other runs would be too low.",
            list(&each)
        )
    })
}

/// Measurements of the machine that the variants are compared by, or that the claims are about.
fn measured_on_a_machine(results: &Results, ranking: &Ranking) -> Option<String> {
    let metric = ranking.metric.kind;
    let is_time = |claim: &Claim| {
        matches!(
            claim.metric,
            ClaimMetric::TokensPerSecond | ClaimMetric::Seconds
        )
    };
    let are_times = matches!(
        metric,
        CompareMetric::TokensPerSecond | CompareMetric::Seconds
    ) || results.plan.experiment.claims.iter().any(is_time);
    let what = match (are_times, metric == CompareMetric::PeakMemoryMb) {
        (true, true) => "Times and memory sizes",
        (true, false) => "Times",
        (false, true) => "Memory sizes",
        (false, false) => return None,
    };
    Some(format!(
        "{what} depend on the machine and on what else it does. For a fair comparison, train one run at a time (`--jobs 1`) on a machine without other work."
    ))
}

/// Variants of which no run of the search has a result.
fn failed_searches(tuning: &Tuning) -> Option<String> {
    let failed = &tuning.failed;
    (!failed.is_empty()).then(|| {
        format!(
            "No combination of the search has a result with every seed for these variants, so they are not compared: {}.",
            list(failed)
        )
    })
}

/// Best values at the end of the values that were tried.
fn edges_of_the_search(tuning: &Tuning) -> Option<String> {
    let each = |(edge, names): &(&Edge, Vec<&str>)| {
        let beyond = match edge.is_largest {
            true => "Larger",
            false => "Smaller",
        };
        format!("{} {beyond} values may be better.", edge.sentence(names))
    };
    let each: Vec<String> = tuning.edges(Beyond::Result).iter().map(each).collect();
    (!each.is_empty()).then(|| each.join(" "))
}
