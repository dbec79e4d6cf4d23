//! The tests of the claims of an experiment.

use super::wording;
use crate::report::loaded_results::{Results, Run};
use crate::results::{Outcome, RunState};
use crate::spec::{Claim, ClaimMetric, ComparisonTest, Statement};
use crate::stats::{MeanTest, SampleMean, mean, paired_differences, t_test, welch_test, z_test};
use crate::text::units;
use serde::Serialize;

/// The result of the test of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
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
    pub waits_for_runs: bool,
    /// Number of seeds or pairs that the test uses, and how many there should be if some are missing:
    /// `7 of 8`, `5 pairs`, `4 and 6`.
    pub seeds: String,
    /// Mean of the variant, and that of the variant that it is compared with.
    pub mean: String,
    /// Mean minus target, or difference of the means.
    pub difference: String,
    /// Test statistic with its distribution: `t(7) = −9.05`, `z = −4.41`.
    pub statistic: String,
    /// One-sided p-value of the claim.
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

/// The results of all claims in sentences. `None` without claims.
pub(crate) fn summary(claims: &[TestedClaim]) -> Option<String> {
    let with = |result| claims.iter().filter(move |claim| claim.result == result);
    let holding = with(ClaimResult::Holds).count();
    let mut sentences = match (claims.len(), holding) {
        (0, _) => return None,
        (1, 1) => "The claim holds.".to_owned(),
        (1, _) => "The claim does not hold.".to_owned(),
        (2, 2) => "Both claims hold.".to_owned(),
        (all, holding) if all == holding => format!("All {all} claims hold."),
        (all, 0) => format!("None of the {all} claims holds."),
        (all, 1) => format!("1 of {all} claims holds."),
        (all, holding) => format!("{holding} of {all} claims hold."),
    };
    let failed: Vec<String> = with(ClaimResult::Fails)
        .map(|claim| format!("{} (p {})", claim.claim, claim.p))
        .collect();
    let open: Vec<String> = with(ClaimResult::Open)
        .map(|claim| format!("{} ({})", claim.claim, claim.reason))
        .collect();
    for (name, claims) in [("Fails", failed), ("Open", open)] {
        if !claims.is_empty() {
            sentences += &format!(" {name}: {}.", claims.join("; "));
        }
    }
    Some(sentences)
}

fn test_claim(results: &Results, claim: &Claim, statement: Statement) -> TestedClaim {
    let variant = resolve(results, &claim.variant);
    let own = Measured::new(results, claim, variant);
    let (target, evidence, all) = match statement {
        Statement::Below(value) | Statement::Above(value) => {
            let evidence = against_target(&own, value, claim.sigma);
            (value.to_string(), evidence, vec![own])
        }
        Statement::BetterThan { variant, by, test } => {
            let name = resolve(results, variant);
            let other = Measured::new(results, claim, name);
            let null = if claim.metric.higher_is_better() {
                by
            } else {
                -by
            };
            let evidence = match test {
                ComparisonTest::Paired => in_pairs(&own, &other, null),
                ComparisonTest::Welch => unpaired(&own, &other, null),
            };
            let by = match by {
                0.0 => String::new(),
                by => format!(" by more than {by}"),
            };
            (format!("that of {name}{by}"), evidence, vec![own, other])
        }
    };
    let is_upward = match statement {
        Statement::Below(_) => false,
        Statement::Above(_) => true,
        Statement::BetterThan { .. } => claim.metric.higher_is_better(),
    };
    let metric = metric(claim, variant);
    let direction = if is_upward { "above" } else { "below" };
    let sentence = format!("The mean {metric} is {direction} {target}");
    evidence.judge(claim, sentence, is_upward, missing(claim, &all))
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

/// The metric of a claim in the runs of one variant.
struct Measured {
    /// Number of seeds that the test should use.
    seeds: usize,
    /// Runs that have not ended.
    unfinished: usize,
    /// Finished runs that did not measure the metric at the step of the claim.
    unmeasured: usize,
    /// (seed, value). Runs that failed or diverged have none.
    values: Vec<(u64, f64)>,
}

impl Measured {
    fn new(results: &Results, claim: &Claim, variant: &str) -> Self {
        let of_variant = |run: &&Run| run.planned.spec.variant == variant;
        // The later seeds of a sequential design were added because of the results of the first ones.
        // A test that uses them does not have its stated level.
        let first = results.plan.sequential_seeds();
        let first = first.map_or(usize::MAX, |range| range.min as usize);
        let mut measured = Self {
            seeds: 0,
            unfinished: 0,
            unmeasured: 0,
            values: Vec::new(),
        };
        for run in results.runs.iter().filter(of_variant).take(first) {
            measured.seeds += 1;
            match (run.state(), run.result()) {
                (RunState::NotStarted | RunState::Stopped, _) => measured.unfinished += 1,
                (_, None) => {} // failed or diverged
                (_, Some(outcome)) => match value(claim, run, outcome) {
                    None => measured.unmeasured += 1,
                    Some(value) if value.is_finite() => {
                        measured.values.push((run.planned.spec.seed, value));
                    }
                    Some(_) => {} // not a number, as in a run that diverged
                },
            }
        }
        measured
    }

    fn sample(&self) -> Vec<f64> {
        self.values.iter().map(|(_, value)| *value).collect()
    }

    /// The number of values, and how many there should be if some are missing.
    fn count(&self, values: usize) -> String {
        match values == self.seeds {
            true => values.to_string(),
            false => format!("{values} of {}", self.seeds),
        }
    }
}

/// The metric of a claim in a finished run. `None` if it was not measured.
fn value(claim: &Claim, run: &Run, outcome: &Outcome) -> Option<f64> {
    match (claim.metric, claim.metric.loss()) {
        (_, Some(loss)) => run.loss_at(loss, claim.at_step),
        (ClaimMetric::TokensPerSecond, None) => Some(outcome.tokens_per_second),
        (_, None) => Some(outcome.seconds),
    }
}

/// Numbers for and against a claim.
struct Evidence {
    seeds: String,
    /// Means that the test compares.
    means: Vec<f64>,
    difference: Option<f64>,
    test: Option<MeanTest>,
    /// What there is too little of, if there is no test.
    too_few: String,
}

fn against_target(own: &Measured, target: f64, sigma: Option<f64>) -> Evidence {
    let sample = SampleMean::new(&own.sample());
    let needed = if sigma.is_some() { "one" } else { "two" };
    let seeds = units::plural(own.values.len(), "seed");
    Evidence {
        seeds: own.count(own.values.len()),
        means: sample.iter().map(|sample| sample.mean).collect(),
        difference: sample.map(|sample| sample.mean - target),
        test: sample.and_then(|sample| match sigma {
            Some(sigma) => z_test(&sample, target, sigma),
            None => t_test(&sample, target),
        }),
        too_few: format!("{seeds} with a value, and the test needs {needed}"),
    }
}

fn in_pairs(own: &Measured, other: &Measured, null: f64) -> Evidence {
    let differences = paired_differences(&own.values, &other.values);
    let is_paired = |seed: u64| differences.iter().any(|(paired, _)| *paired == seed);
    let mean_of_pairs = |measured: &Measured| {
        let values = measured.values.iter().filter(|(seed, _)| is_paired(*seed));
        mean(&values.map(|(_, value)| *value).collect::<Vec<_>>())
    };
    let values: Vec<f64> = differences.iter().map(|(_, value)| *value).collect();
    let sample = SampleMean::new(&values);
    let pairs = values.len();
    Evidence {
        seeds: match pairs == own.seeds {
            true => units::plural(pairs, "pair"),
            false => format!("{pairs} of {}", units::plural(own.seeds, "pair")),
        },
        means: [own, other].into_iter().filter_map(mean_of_pairs).collect(),
        difference: sample.map(|sample| sample.mean),
        test: sample.and_then(|sample| t_test(&sample, null)),
        too_few: format!(
            "{} of runs with the same seed, and the test needs two",
            units::plural(pairs, "pair")
        ),
    }
}

fn unpaired(own: &Measured, other: &Measured, null: f64) -> Evidence {
    let samples = [own, other].map(|measured| SampleMean::new(&measured.sample()));
    let counts = [own, other].map(|measured| measured.count(measured.values.len()));
    let both = samples[0].zip(samples[1]);
    Evidence {
        seeds: units::list(&counts),
        means: samples.iter().flatten().map(|sample| sample.mean).collect(),
        difference: both.map(|(own, other)| own.mean - other.mean),
        test: both.and_then(|(own, other)| welch_test(&own, &other, null)),
        too_few: format!(
            "{} and {} seeds with a value, and the test needs two of each variant",
            own.values.len(),
            other.values.len()
        ),
    }
}

/// Why a claim cannot be tested yet.
enum Missing {
    Runs(String),
    Values(String),
}

fn missing(claim: &Claim, measured: &[Measured]) -> Option<Missing> {
    let total = |count: fn(&Measured) -> usize| measured.iter().map(count).sum::<usize>();
    let all = units::plural(total(|measured| measured.seeds), "run");
    let unfinished = total(|measured| measured.unfinished);
    let unmeasured = total(|measured| measured.unmeasured);
    if unfinished > 0 {
        return Some(Missing::Runs(format!("{unfinished} of {all} not finished")));
    }
    let when = claim
        .at_step
        .map_or(String::new(), |step| format!(" at step {step}"));
    (unmeasured > 0).then(|| Missing::Values(format!("{unmeasured} of {all} not evaluated{when}")))
}

impl Evidence {
    /// The result of the claim `sentence`. It says that the mean lies above the value of the null
    /// hypothesis if `is_upward` is set, and below it otherwise.
    fn judge(
        self,
        claim: &Claim,
        sentence: String,
        is_upward: bool,
        missing: Option<Missing>,
    ) -> TestedClaim {
        let test = self.test.filter(|_| missing.is_none());
        let p = test.map(|test| match is_upward {
            true => (test.p_above, test.p_below),
            false => (test.p_below, test.p_above),
        });
        let waits_for_runs = matches!(missing, Some(Missing::Runs(_)));
        let (result, reason) = match (missing, p) {
            (Some(Missing::Runs(reason) | Missing::Values(reason)), _) => {
                (ClaimResult::Open, reason)
            }
            (None, None) => (
                ClaimResult::Open,
                format!("too few seeds: {}", self.too_few),
            ),
            (None, Some((p, _))) if p <= claim.p => (ClaimResult::Holds, String::new()),
            (None, Some((_, opposite))) if opposite <= claim.p => {
                (ClaimResult::Fails, String::new())
            }
            (None, Some((p, _))) => (
                ClaimResult::Open,
                format!(
                    "not significant in either direction, p {}",
                    units::p_value(p)
                ),
            ),
        };
        let format = format_of(claim.metric);
        let means: Vec<String> = self.means.into_iter().map(format).collect();
        TestedClaim {
            claim: sentence,
            result,
            reason,
            waits_for_runs,
            seeds: self.seeds,
            mean: units::list(&means),
            difference: self.difference.map_or(String::new(), |difference| {
                units::signed(difference, format)
            }),
            statistic: test.map_or(String::new(), |test| statistic(&test)),
            p: p.map_or(String::new(), |(p, _)| units::p_value(p)),
            level: claim.p.to_string(),
        }
    }
}

/// The format of a value of a metric.
fn format_of(metric: ClaimMetric) -> fn(f64) -> String {
    match metric {
        ClaimMetric::TokensPerSecond => units::rounded,
        ClaimMetric::Seconds => units::seconds,
        ClaimMetric::ValLoss | ClaimMetric::BitsPerByte | ClaimMetric::TrainSplitLoss => {
            units::precise_loss
        }
    }
}

fn statistic(test: &MeanTest) -> String {
    let value = units::statistic(test.statistic);
    match test.degrees_of_freedom {
        Some(degrees) => format!("t({}) = {value}", units::degrees_of_freedom(degrees)),
        None => format!("z = {value}"),
    }
}
