//! What the runs say about a claim: the values of its metric, and the test of their means.

use crate::report::loaded_results::{Results, Run};
use crate::results::{Outcome, RunState};
use crate::spec::{Claim, ClaimMetric};
use crate::stats::{MeanTest, SampleMean, mean, paired_differences, t_test, welch_test, z_test};
use crate::text::units;

/// The metric of a claim in the runs of one variant.
pub(super) struct Measured {
    /// Number of seeds that the test should use.
    pub(super) seeds: usize,
    /// The variant, if the search for its best settings has not ended.
    pub(super) searching: Option<String>,
    /// Runs that have not ended.
    pub(super) unfinished: usize,
    /// Runs that failed or diverged.
    pub(super) failed: usize,
    /// Finished runs that did not measure the metric at the step of the claim.
    pub(super) unmeasured: usize,
    /// Whether the value does not depend on the seed. One run is used.
    is_seed_free: bool,
    /// (seed, value). Runs that failed or diverged have none.
    values: Vec<(u64, f64)>,
}

impl Measured {
    pub(super) fn new(results: &Results, claim: &Claim, variant: &str) -> Self {
        // The later seeds of a sequential design were added because of the results of the first ones.
        // A test that uses them does not have its stated level.
        let first = results.plan.first_seeds();
        let search = results.search_of(variant);
        let is_searching = search.is_some_and(|search| !search.has_ended);
        let is_loss = claim.metric.loss().is_some();
        let is_counted = |run: &Run| !run.planned.spec.model.kind.is_trained();
        let is_seed_free = is_loss && results.runs_of(variant).any(is_counted);
        let used = if is_seed_free { 1 } else { first };
        let mut measured = Self {
            seeds: 0,
            searching: is_searching.then(|| variant.to_owned()),
            unfinished: 0,
            failed: 0,
            unmeasured: 0,
            is_seed_free,
            values: Vec::new(),
        };
        for run in results.runs_of(variant).take(used) {
            measured.seeds += 1;
            match (run.state(), run.result()) {
                (RunState::NotStarted | RunState::Stopped, _) => measured.unfinished += 1,
                (_, None) => measured.failed += 1,
                (_, Some(outcome)) => match value(claim, run, outcome) {
                    None => measured.unmeasured += 1,
                    Some(value) if value.is_finite() => {
                        measured.values.push((run.planned.spec.seed, value));
                    }
                    // Not a number, as in a run that diverged.
                    Some(_) => measured.failed += 1,
                },
            }
        }
        measured
    }

    fn sample(&self) -> Vec<f64> {
        self.values.iter().map(|(_, value)| *value).collect()
    }

    /// The value, if it does not depend on the seed.
    fn constant(&self) -> Option<f64> {
        let (_, value) = self.values.first()?;
        self.is_seed_free.then_some(*value)
    }

    /// The number of values, and how many there should be if some are missing.
    fn count(&self, values: usize) -> String {
        match values == self.seeds {
            true if self.is_seed_free => "any".to_owned(),
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

/// How a claim is decided.
#[derive(Debug, Clone, Copy)]
pub(super) enum Test {
    /// By a sample of seeds.
    Sampled(MeanTest),
    /// By the difference from the value of the null hypothesis, which does not depend on the seed.
    Exact(f64),
}

/// Numbers for and against a claim.
pub(super) struct Evidence {
    pub(super) seeds: String,
    /// Means that the test compares.
    pub(super) means: Vec<f64>,
    pub(super) difference: Option<f64>,
    pub(super) test: Option<Test>,
    /// What there is too little of, if there is no test.
    pub(super) too_few: String,
}

/// The evidence for a claim about a value. It is a z test if the standard deviation `sigma` is known.
pub(super) fn against_target(own: &Measured, target: f64, sigma: Option<f64>) -> Evidence {
    let sample = SampleMean::new(&own.sample());
    let needed = if sigma.is_some() { "one" } else { "two" };
    let seeds = units::plural(own.values.len(), "seed");
    Evidence {
        seeds: own.count(own.values.len()),
        means: sample.iter().map(|sample| sample.mean).collect(),
        difference: sample.map(|sample| sample.mean - target),
        test: match own.constant() {
            Some(value) => Some(Test::Exact(value - target)),
            None => sample.and_then(|sample| match sigma {
                Some(sigma) => z_test(&sample, target, sigma).map(Test::Sampled),
                None => t_test(&sample, target).map(Test::Sampled),
            }),
        },
        too_few: format!("{seeds} with a value, and the test needs {needed}"),
    }
}

/// The evidence for a difference of more than `null` from another variant, in pairs of runs with the same
/// seed.
pub(super) fn in_pairs(own: &Measured, other: &Measured, null: f64) -> Evidence {
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
        test: sample.and_then(|sample| t_test(&sample, null).map(Test::Sampled)),
        too_few: format!(
            "{} of runs with the same seed, and the test needs two",
            units::plural(pairs, "pair")
        ),
    }
}

/// The evidence for a difference of more than `null` from another variant, without pairs.
pub(super) fn unpaired(own: &Measured, other: &Measured, null: f64) -> Evidence {
    let samples = [own, other].map(|measured| SampleMean::new(&measured.sample()));
    let counts = [own, other].map(|measured| measured.count(measured.values.len()));
    let both = samples[0].zip(samples[1]);
    Evidence {
        seeds: units::list(&counts),
        means: samples.iter().flatten().map(|sample| sample.mean).collect(),
        difference: both.map(|(own, other)| own.mean - other.mean),
        test: both.and_then(|(own, other)| welch_test(&own, &other, null).map(Test::Sampled)),
        too_few: format!(
            "{} and {} seeds with a value, and the test needs two of each variant",
            own.values.len(),
            other.values.len()
        ),
    }
}

/// The evidence for a difference of more than `null`, if the value of at least one of the variants does not
/// depend on the seed. The spread is that of the other alone. `None` if both values depend on it.
pub(super) fn against_constant(own: &Measured, other: &Measured, null: f64) -> Option<Evidence> {
    let (own_value, other_value) = (own.constant(), other.constant());
    let sampled = match (own_value, other_value) {
        (None, None) => return None,
        (None, Some(_)) => own,
        _ => other,
    };
    let difference = |value: f64| own_value.unwrap_or(value) - other_value.unwrap_or(value);
    let values: Vec<f64> = sampled.sample().into_iter().map(difference).collect();
    let sample = SampleMean::new(&values);
    let seeds = units::plural(sampled.values.len(), "seed");
    Some(Evidence {
        seeds: sampled.count(values.len()),
        means: [own, other]
            .into_iter()
            .filter_map(|measured| mean(&measured.sample()))
            .collect(),
        difference: sample.map(|sample| sample.mean),
        test: sample.and_then(|sample| match sampled.is_seed_free {
            true => Some(Test::Exact(sample.mean - null)),
            false => t_test(&sample, null).map(Test::Sampled),
        }),
        too_few: format!("{seeds} with a value, and the test needs two"),
    })
}
