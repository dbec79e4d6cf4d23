//! What the losses on the test split say about a variant.

use super::Error;
use super::confirm_error::ConfirmError;
use crate::report;
use crate::results::{SweepPlan, TestComparison, TestUse, VariantComparison};
use crate::spec::CompareMetric;
use crate::stats::Verdict;
use crate::text::units::{self, loss, plural, signed};
use serde::{Serialize, Serializer};

/// Version of the JSON document.
const VERSION: u32 = 1;

/// The result of a variant on the test split.
#[derive(Debug, Serialize)]
pub(super) struct Confirmation {
    schema: u32,
    experiment: String,
    variant: String,
    baseline: String,
    /// How often the test split had been used, this use included.
    test_uses: usize,
    /// Number of seeds that the two are compared on.
    pairs: usize,
    /// Variant minus baseline, in bits per byte.
    difference: f64,
    /// Confidence interval of the difference.
    low: Option<f64>,
    high: Option<f64>,
    /// Its level, which is higher for each further use.
    confidence: f64,
    #[serde(serialize_with = "verdict_name")]
    pub(super) verdict: Verdict,
    /// The difference on the validation split, on the same seeds.
    validation_difference: Option<f64>,
    /// (seed, bits per byte).
    values: Vec<(u64, f64)>,
    baseline_values: Vec<(u64, f64)>,
}

fn verdict_name<S: Serializer>(verdict: &Verdict, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(report::verdict_name(*verdict))
}

impl Confirmation {
    /// `margin` is the smallest difference that matters, in the unit of the metric. `number` is that of the use.
    ///
    /// # Errors
    /// If the two have no seed in common.
    pub(super) fn new(
        plan: &SweepPlan,
        margin: Option<f64>,
        [variant, baseline]: [&VariantComparison; 2],
        (number, test_use): (usize, &TestUse),
    ) -> Result<Self, ConfirmError> {
        let tested = TestComparison::new(plan, margin, [variant, baseline], (number, test_use));
        let no_seed = || ConfirmError::NotScored {
            name: variant.variant.clone(),
            reason: "it has no seed in common with the baseline".to_owned(),
        };
        let TestComparison {
            comparison,
            confidence,
        } = tested.ok_or_else(no_seed)?;
        let is_bits = plan.experiment.compare.metric == CompareMetric::BitsPerByte;
        Ok(Self {
            schema: VERSION,
            experiment: plan.experiment.name.clone(),
            variant: variant.variant.clone(),
            baseline: baseline.variant.clone(),
            test_uses: number,
            pairs: comparison.pairs,
            difference: comparison.mean,
            low: comparison.corrected.map(|interval| interval.low),
            high: comparison.corrected.map(|interval| interval.high),
            confidence,
            verdict: comparison.verdict,
            validation_difference: variant
                .comparison
                .as_ref()
                .filter(|_| is_bits)
                .map(|comparison| comparison.mean),
            values: test_use.values.clone(),
            baseline_values: test_use.baseline_values.clone(),
        })
    }

    /// # Errors
    /// If a number is not finite.
    pub(super) fn json(&self) -> Result<String, Error> {
        let json = serde_json::to_string_pretty(self);
        json.map(|json| json + "\n")
            .map_err(|error| Error::Output(error.into()))
    }

    pub(super) fn text(&self, is_new: bool) -> String {
        let mut text = format!(
            "On the test split, {}: {} bits per byte",
            match self.verdict {
                Verdict::Better => format!(
                    "{} is better than the baseline {}",
                    self.variant, self.baseline
                ),
                Verdict::Worse => format!(
                    "{} is worse than the baseline {}",
                    self.variant, self.baseline
                ),
                Verdict::Equivalent => {
                    format!(
                        "{} and the baseline {} are equivalent",
                        self.variant, self.baseline
                    )
                }
                Verdict::Inconclusive => {
                    format!(
                        "the difference of {} from the baseline {} is inconclusive",
                        self.variant, self.baseline
                    )
                }
            },
            signed(self.difference, loss),
        );
        if let Some((low, high)) = self.low.zip(self.high) {
            text += &format!(
                " ({} % interval {} to {})",
                units::as_written((1000.0 * self.confidence).round() / 10.0),
                signed(low, loss),
                signed(high, loss)
            );
        }
        text += ".\n";
        if let Some(validation) = self.validation_difference {
            text += &format!(
                "On the validation split, it is {}.\n",
                signed(validation, loss)
            );
        }
        let seeds = plural(self.pairs, "seed");
        text += &match (is_new, self.test_uses) {
            (true, 1) => format!("This is the first use of this test split, with {seeds}.\n"),
            (true, uses) => format!(
                "This is use {uses} of this test split, with {seeds}. Each use widens the interval, so that all uses \
                 together call a variant better or worse by chance in at most 5 % of cases.\n"
            ),
            (false, uses) => format!(
                "These runs were scored before, as use {uses} of this test split. The result is the recorded one.\n"
            ),
        };
        text
    }
}
