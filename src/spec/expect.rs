use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A figure that is known beforehand, such as a published one. The report shows it beside what was
/// measured, and says whether it was met.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// Name of the variant that it is about. `null` means the baseline.
    #[serde(default)]
    pub variant: Option<String>,
    /// What is measured; a mean over the seeds where it differs between them.
    pub metric: Measure,
    /// Number of steps taken when it is measured: 0 is before training. `null` means after the last
    /// step. Sizes and counts have no step. A step that a shortened run does not reach stays open.
    #[serde(default)]
    pub step: Option<u64>,
    /// The figure, in the unit of the metric.
    pub value: f64,
    /// Largest deviation from `value` that meets it, in the unit of the metric.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub tolerance: f64,
    /// The same in percent of `value`; the larger of the two counts. Without either, only the exact
    /// figure meets it.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1000.0))]
    pub tolerance_percent: f64,
    /// Where the figure is from, for the report.
    #[serde(default)]
    pub source: String,
}

/// What an expected figure is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Number of parameters.
    Params,
    /// Number of tokens that the tokenizer has.
    VocabSize,
    /// Number of tokens of the whole text, both splits, encoded as for evaluation.
    Tokens,
    /// Number of tokens of the training split in one sampled encoding, or in the only one where none
    /// is sampled.
    SampledTokens,
    /// Cross-entropy of the validation split, in nats a token.
    ValLoss,
    /// The same in bits per byte.
    BitsPerByte,
    /// Cross-entropy of the whole training split, in nats a token, which `train.eval_train` asks
    /// for.
    TrainLoss,
    /// Cross-entropy of the batch of one training step before its update, in nats a token.
    BatchLoss,
}

impl Measure {
    /// Whether it is known before any training.
    pub fn is_static(self) -> bool {
        match self {
            Self::Params | Self::VocabSize | Self::Tokens | Self::SampledTokens => true,
            Self::ValLoss | Self::BitsPerByte | Self::TrainLoss | Self::BatchLoss => false,
        }
    }
}

impl Expect {
    /// Largest deviation from [`Self::value`] that meets it.
    pub fn allowed(&self) -> f64 {
        let relative = self.value.abs() * self.tolerance_percent / 100.0;
        self.tolerance.max(relative)
    }

    pub fn is_met_by(&self, measured: f64) -> bool {
        (measured - self.value).abs() <= self.allowed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_larger_tolerance_counts() {
        let mut expect = Expect {
            variant: None,
            metric: Measure::ValLoss,
            step: None,
            value: 2.0,
            tolerance: 0.0,
            tolerance_percent: 0.0,
            source: String::new(),
        };
        assert!(expect.is_met_by(2.0) && !expect.is_met_by(2.0001));
        expect.tolerance = 0.03;
        assert!(expect.is_met_by(1.975) && !expect.is_met_by(2.04));
        expect.tolerance_percent = 10.0;
        assert!(expect.is_met_by(2.19) && !expect.is_met_by(1.79));
        assert!(!expect.is_met_by(f64::NAN));
    }
}
