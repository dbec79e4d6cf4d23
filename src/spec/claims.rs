use super::Measure;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A statement about the mean of a metric over the seeds. A statistical test decides whether it holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// Name of the variant that the claim is about. `baseline` also stands for the baseline of the
    /// sweep, unless a variant has that name.
    pub variant: String,
    /// The metric whose mean over the seeds is tested.
    pub metric: ClaimMetric,
    /// The claim is that `variant` has a better mean than the variant of this name: a lower one, and
    /// a higher one for `tokens_per_second`. A claim has exactly one of `better_than`, `below` and
    /// `above`.
    #[serde(default)]
    pub better_than: Option<String>,
    /// With `better_than`: the means differ by more than this, in the unit of the metric.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub by: f64,
    /// With `better_than`: the test.
    #[serde(default)]
    pub test: ComparisonTest,
    /// The claim is that the mean is below this value, in the unit of the metric.
    #[serde(default)]
    pub below: Option<f64>,
    /// The claim is that the mean is above this value, in the unit of the metric.
    #[serde(default)]
    pub above: Option<f64>,
    /// With `below` or `above`: the standard deviation over the seeds, if it is known from many earlier
    /// runs. A z test is used instead of a t test, and it needs one seed only.
    #[serde(default)]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub sigma: Option<f64>,
    /// Number of training steps before the measurement: 0 is before training. `null` means after the
    /// last step. `tokens_per_second` and `seconds` have no step.
    #[serde(default)]
    pub at_step: Option<u64>,
    /// Significance level of the test: the largest accepted probability that a claim holds in the
    /// report although it is not true.
    #[serde(default = "default_level")]
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 0.5))]
    pub p: f64,
}

fn default_level() -> f64 {
    0.05
}

/// A metric that a claim can be about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClaimMetric {
    /// Cross-entropy of the validation split, in nats per token.
    ValLoss,
    /// Cross-entropy of the validation split, in bits per byte of the text.
    BitsPerByte,
    /// Cross-entropy of the whole training split, in nats per token. Requires `train.eval_train`.
    TrainSplitLoss,
    /// Speed of the training steps. Higher is better. It depends on the machine.
    TokensPerSecond,
    /// Duration of the whole run, evaluation and sampling included. It depends on the machine.
    Seconds,
}

/// A test of the difference between the means of two variants.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ComparisonTest {
    /// Student's t test of the differences between the runs with the same seed, which share their
    /// batches.
    #[default]
    Paired,
    /// Welch's t test, which does not pair the runs and allows for a different spread of each variant.
    Welch,
}

/// What a claim says about the mean of its variant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Statement<'a> {
    /// It is better than that of another variant by more than `by`.
    BetterThan {
        variant: &'a str,
        by: f64,
        test: ComparisonTest,
    },
    Below(f64),
    Above(f64),
}

impl Claim {
    /// What the claim says. `None` unless it has exactly one of `better_than`, `below` and `above`.
    pub fn statement(&self) -> Option<Statement<'_>> {
        match (self.better_than.as_deref(), self.below, self.above) {
            (Some(variant), None, None) => Some(Statement::BetterThan {
                variant,
                by: self.by,
                test: self.test,
            }),
            (None, Some(value), None) => Some(Statement::Below(value)),
            (None, None, Some(value)) => Some(Statement::Above(value)),
            _ => None,
        }
    }

    /// The variant that a name in a claim stands for: that of this name, or for `baseline` the baseline
    /// of the sweep. `is_variant` says whether a variant has a name.
    pub fn variant_named<'a>(
        name: &'a str,
        baseline: &'a str,
        is_variant: impl Fn(&str) -> bool,
    ) -> &'a str {
        match name == "baseline" && !is_variant(name) {
            true => baseline,
            false => name,
        }
    }
}

impl Statement<'_> {
    /// Whether it says that the mean of a metric is above something, rather than below.
    pub fn is_upward(self, metric: ClaimMetric) -> bool {
        match self {
            Self::Below(_) => false,
            Self::Above(_) => true,
            Self::BetterThan { .. } => metric.higher_is_better(),
        }
    }
}

impl ClaimMetric {
    /// The loss that an evaluation measures. `None` for a measurement of the whole run.
    pub fn loss(self) -> Option<Measure> {
        match self {
            Self::ValLoss => Some(Measure::ValLoss),
            Self::BitsPerByte => Some(Measure::BitsPerByte),
            Self::TrainSplitLoss => Some(Measure::TrainSplitLoss),
            Self::TokensPerSecond | Self::Seconds => None,
        }
    }

    /// Whether it is in nats per token, which depend on the tokenizer.
    pub fn is_per_token(self) -> bool {
        matches!(self, Self::ValLoss | Self::TrainSplitLoss)
    }

    /// Whether a higher value is better.
    fn higher_is_better(self) -> bool {
        self == Self::TokensPerSecond
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(yaml: &str) -> Claim {
        serde_yaml::from_str(&format!("{{variant: a, metric: val_loss, {yaml}}}")).unwrap()
    }

    #[test]
    fn a_claim_makes_one_statement() {
        let compared = claim("better_than: b, by: 0.1");
        let expected = Statement::BetterThan {
            variant: "b",
            by: 0.1,
            test: ComparisonTest::Paired,
        };
        assert_eq!((compared.statement(), compared.p), (Some(expected), 0.05));
        assert_eq!(claim("below: 2").statement(), Some(Statement::Below(2.0)));
        assert_eq!(claim("above: 2").statement(), Some(Statement::Above(2.0)));
        assert_eq!(claim("p: 0.01").statement(), None);
        assert_eq!(claim("below: 2, better_than: b").statement(), None);
    }

    #[test]
    fn baseline_is_a_variant_or_the_baseline_of_the_sweep() {
        let named = |name, known: &'static [&str]| {
            Claim::variant_named(name, "gpt", |name| known.contains(&name))
        };
        assert_eq!(named("baseline", &["gpt", "muon"]), "gpt");
        assert_eq!(named("baseline", &["baseline", "gpt"]), "baseline");
        assert_eq!(named("muno", &["gpt", "muon"]), "muno");
    }
}
