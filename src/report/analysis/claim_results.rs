//! The tests of the claims of an experiment.

use super::claim_evidence::{Measured, Test, against_constant, against_target, in_pairs, unpaired};
use super::wording;
use crate::report::loaded_results::Results;
use crate::spec::{Claim, ClaimMetric, ComparisonTest, Statement};
use crate::text::units;
use schemars::JsonSchema;
use serde::Serialize;

/// The result of the test of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClaimResult {
    /// The test of the claim is significant.
    Holds,
    /// The test of its opposite is significant.
    Fails,
    /// Neither is, or there is no test yet.
    Open,
}

/// A claim with its result. All numbers are formatted, and empty where there are none.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TestedClaim {
    /// The claim as a sentence without a full stop.
    pub claim: String,
    pub result: ClaimResult,
    /// Why the result is open. Empty if it is not.
    pub reason: String,
    /// Whether it is open because runs have not finished.
    #[serde(skip)]
    pub waits_for_runs: bool,
    /// Number of its runs that failed or diverged.
    #[serde(skip)]
    pub failed_runs: usize,
    /// Number of seeds or pairs that the test uses, and how many there should be if some are missing:
    /// `7 of 8`, `5 pairs`, `4 and 6`.
    pub seeds: String,
    /// Mean of the variant, and that of the variant that it is compared with.
    pub mean: String,
    /// Mean minus target, or difference of the means.
    pub difference: String,
    /// Test statistic with its distribution: `t(7) = −9.05`, `z = −4.41`. `exact` if no value depends on the
    /// seed.
    pub statistic: String,
    /// One-sided p-value of the claim. Empty if no value depends on the seed.
    pub p: String,
    /// Largest p-value with which the claim holds.
    pub level: String,
}

impl ClaimResult {
    pub fn name(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Fails => "fails",
            Self::Open => "open",
        }
    }
}

/// The results of all claims, in the order of the file.
pub(crate) fn test_claims(results: &Results) -> Vec<TestedClaim> {
    let claims = results.plan.experiment.claims.iter();
    // An experiment file with a claim that makes no statement is rejected.
    claims
        .filter_map(|claim| Some(test_claim(results, claim, claim.statement()?)))
        .collect()
}

fn test_claim(results: &Results, claim: &Claim, statement: Statement) -> TestedClaim {
    let variant = resolve(results, &claim.variant);
    let own = Measured::new(results, claim, variant);
    let is_upward = statement.is_upward(claim.metric);
    let (bound, evidence, measured) = match statement {
        Statement::Below(value) | Statement::Above(value) => {
            let evidence = against_target(&own, value, claim.sigma);
            (units::as_written(value), evidence, vec![own])
        }
        Statement::BetterThan { variant, by, test } => {
            let name = resolve(results, variant);
            let other = Measured::new(results, claim, name);
            let null = if is_upward { by } else { -by };
            let evidence = against_constant(&own, &other, null).unwrap_or_else(|| match test {
                ComparisonTest::Paired => in_pairs(&own, &other, null),
                ComparisonTest::Welch => unpaired(&own, &other, null),
            });
            let by = match by {
                0.0 => String::new(),
                by => format!(" by more than {}", units::as_written(by)),
            };
            (format!("that of {name}{by}"), evidence, vec![own, other])
        }
    };
    let direction = if is_upward { "above" } else { "below" };
    let sentence = format!("The mean {} is {direction} {bound}", metric(claim, variant));
    let missing = missing(claim, &measured);
    let is_open = |measured: &Measured| measured.unfinished > 0 || measured.searching.is_some();
    let waits_for_runs = measured.iter().any(is_open);
    let test = evidence.test.filter(|_| missing.is_none());
    let p = match test {
        Some(Test::Sampled(test)) if is_upward => Some((test.p_above, test.p_below)),
        Some(Test::Sampled(test)) => Some((test.p_below, test.p_above)),
        Some(Test::Exact(_)) | None => None,
    };
    let (result, reason) = match (missing, test, p) {
        (Some(reason), ..) => (ClaimResult::Open, reason),
        (None, Some(Test::Exact(above)), _) => decide_exactly(above, is_upward),
        (None, _, Some((p, opposite))) => decide(p, opposite, claim.p),
        (None, _, None) => (
            ClaimResult::Open,
            format!("too few seeds: {}", evidence.too_few),
        ),
    };
    let difference = evidence.difference;
    let shown: Vec<f64> = difference.into_iter().collect();
    let format = |value| with_digits_for(claim.metric, &shown, value);
    let means: Vec<String> = evidence.means.into_iter().map(format).collect();
    TestedClaim {
        claim: sentence,
        result,
        reason,
        waits_for_runs,
        failed_runs: measured.iter().map(|measured| measured.failed).sum(),
        seeds: evidence.seeds,
        mean: units::list(&means),
        difference: difference.map_or(String::new(), |value| units::signed(value, format)),
        statistic: test.map_or(String::new(), statistic),
        p: p.map_or(String::new(), |(p, _)| units::p_value(p)),
        level: units::as_written(claim.p),
    }
}

/// The result of a test with the p-value `p`, and why it is open. `opposite` is the p-value of the test in
/// the other direction. The level is below 0.5, so at most one of the two is significant.
fn decide(p: f64, opposite: f64, level: f64) -> (ClaimResult, String) {
    if p <= level {
        (ClaimResult::Holds, String::new())
    } else if opposite <= level {
        (ClaimResult::Fails, String::new())
    } else {
        let p = units::p_value(p);
        (
            ClaimResult::Open,
            format!("not significant in either direction, p {p}"),
        )
    }
}

/// The result of a claim about values that do not depend on the seed. `above` is by how much they are above the
/// value of the null hypothesis.
fn decide_exactly(above: f64, is_upward: bool) -> (ClaimResult, String) {
    let holds = if is_upward { above > 0.0 } else { above < 0.0 };
    let result = if holds {
        ClaimResult::Holds
    } else {
        ClaimResult::Fails
    };
    (result, String::new())
}

/// Why a claim cannot be tested, if runs or their values are missing. The mean of the runs that did not fail or
/// diverge can be too good.
fn missing(claim: &Claim, measured: &[Measured]) -> Option<String> {
    let searching = measured.iter().flat_map(|measured| &measured.searching);
    let searching: Vec<&str> = searching.map(String::as_str).collect();
    if !searching.is_empty() {
        let names = units::list(&searching);
        return Some(format!(
            "the search for the best settings of {names} has not ended"
        ));
    }
    let total = |count: fn(&Measured) -> usize| measured.iter().map(count).sum::<usize>();
    let all = units::plural(total(|measured| measured.seeds), "run");
    let unfinished = total(|measured| measured.unfinished);
    let unmeasured = total(|measured| measured.unmeasured);
    let failed = total(|measured| measured.failed);
    if unfinished > 0 {
        return Some(format!("{unfinished} of {all} not finished"));
    }
    if failed > 0 {
        return Some(format!("{failed} of {all} failed or diverged"));
    }
    let when = claim.at_step.map(|step| format!(" at step {step}"));
    let when = when.unwrap_or_default();
    (unmeasured > 0).then(|| format!("{unmeasured} of {all} not evaluated{when}"))
}

/// The variant that a claim calls by a name.
fn resolve<'a>(results: &'a Results, name: &'a str) -> &'a str {
    let plan = &results.plan;
    let is_variant = |name: &str| plan.runs.iter().any(|run| run.spec.variant == name);
    Claim::variant_named(name, &plan.baseline, is_variant)
}

/// The metric of a claim and when it is measured: `validation loss of gpt at step 500`.
fn metric(claim: &Claim, variant: &str) -> String {
    let name = match (claim.metric, claim.metric.loss()) {
        (_, Some(loss)) => wording::measure(loss),
        (ClaimMetric::TokensPerSecond, None) => "number of tokens per second",
        (_, None) => "duration in seconds",
    };
    let when = match claim.at_step {
        None => String::new(),
        Some(0) => " before training".to_owned(),
        Some(step) => format!(" at step {step}"),
    };
    format!("{name} of {variant}{when}")
}

/// A value of a metric, with as many decimals as the values `shown` need.
fn with_digits_for(metric: ClaimMetric, shown: &[f64], value: f64) -> String {
    let (format, least): (fn(f64, usize) -> String, _) = match metric {
        ClaimMetric::TokensPerSecond => (units::grouped, 0),
        ClaimMetric::Seconds => (units::fixed, 2),
        // A claim is often about a target that is close.
        ClaimMetric::ValLoss | ClaimMetric::BitsPerByte | ClaimMetric::TrainSplitLoss => {
            (units::fixed, 5)
        }
    };
    format(value, units::decimals_to_show(shown, least))
}

/// The test statistic with its distribution, or `exact` without one.
fn statistic(test: Test) -> String {
    let Test::Sampled(test) = test else {
        return "exact".to_owned();
    };
    let value = units::statistic(test.statistic);
    match test.degrees_of_freedom {
        Some(degrees) => format!("t({}) = {value}", units::degrees_of_freedom(degrees)),
        None => format!("z = {value}"),
    }
}
