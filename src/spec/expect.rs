use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A value that is known in advance, such as a published result. The report compares it with the
/// measured value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// Name of the variant. `null` means the baseline.
    #[serde(default)]
    pub variant: Option<String>,
    /// The metric. If it depends on the seed, its mean over the seeds is compared.
    pub metric: Measure,
    /// Number of training steps before the measurement: 0 is before training. `null` means after the
    /// last step. Sizes and counts have no step. If a run is shortened by an override and does not
    /// reach the step, the result stays open.
    #[serde(default)]
    pub step: Option<u64>,
    /// The expected value, in the unit of the metric.
    pub value: f64,
    /// Largest accepted deviation from `value`, in the unit of the metric.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub tolerance: f64,
    /// Largest accepted deviation in percent of `value`. The larger of the two tolerances applies.
    /// Without a tolerance, only the exact value is accepted.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1000.0))]
    pub tolerance_percent: f64,
    /// Source of the value, shown in the report.
    #[serde(default)]
    pub source: String,
}

/// A metric that can have an expected value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Number of parameters.
    Params,
    /// Number of tokens in the vocabulary of the tokenizer.
    VocabSize,
    /// Number of tokens of the whole text (both splits), encoded as for evaluation.
    Tokens,
    /// Number of tokens of the training split, encoded as for training. If the tokenizer samples its
    /// segmentation, it is that of one sample.
    SampledTokens,
    /// Cross-entropy of the validation split, in nats per token.
    ValLoss,
    /// Cross-entropy of the validation split, in bits per byte of the text.
    BitsPerByte,
    /// Cross-entropy of the whole training split, in nats per token. Requires `train.eval_train`.
    #[serde(alias = "train_loss")]
    TrainSplitLoss,
    /// Cross-entropy of the batch of one training step before its update, in nats per token.
    BatchLoss,
}

impl Measure {
    /// Whether it is known before training.
    pub fn is_static(self) -> bool {
        match self {
            Self::Params | Self::VocabSize | Self::Tokens | Self::SampledTokens => true,
            Self::ValLoss | Self::BitsPerByte | Self::TrainSplitLoss | Self::BatchLoss => false,
        }
    }
}

impl Expect {
    /// Largest accepted deviation from [`Self::value`].
    pub fn allowed(&self) -> f64 {
        let relative = self.value.abs() * self.tolerance_percent / 100.0;
        self.tolerance.max(relative)
    }

    /// Whether a measured value is within the tolerance.
    pub fn is_met_by(&self, measured: f64) -> bool {
        (measured - self.value).abs() <= self.allowed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_larger_tolerance_applies() {
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
