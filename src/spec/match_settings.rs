use super::{Choice, ModelKind, Percent};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Makes a quantity of every variant equal to that of the baseline, by choosing the value of one
/// setting for each variant.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Match {
    /// The quantity that is made equal.
    pub what: MatchedQuantity,
    /// The setting whose value is chosen. A variant cannot set it. `params` can be matched by the
    /// settings of the model, `tokens` by `train.steps`, and `flops` and `time` by all of them.
    pub by: MatchedSetting,
    /// Largest difference from the baseline that is accepted. Settings are whole numbers, so that a
    /// small difference remains.
    #[serde(default = "one_percent")]
    pub tolerance: Percent,
}

fn one_percent() -> Percent {
    Percent::new(1.0)
}

/// A quantity that can be made equal between variants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MatchedQuantity {
    /// Number of parameters.
    Params,
    /// FLOPs of training: FLOPs per token (forward and backward pass) times training tokens.
    Flops,
    /// Number of training tokens.
    Tokens,
    /// Estimated training time, without evaluation. It is estimated for one thread of a fixed
    /// processor with 160 GFLOP/s in matrix products, so that a plan does not depend on the machine.
    /// The estimate is within about a fifth of the measured time. To train for a measured time, set
    /// `train.seconds`.
    Time,
}

/// A setting that can be chosen to make a quantity equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MatchedSetting {
    /// Width of the hidden layer of the MLP, as a number of columns.
    #[serde(rename = "model.mlp_hidden")]
    MlpHidden,
    /// Width of the model. It stays divisible by `model.n_head`, so that a larger difference remains.
    #[serde(rename = "model.n_embd")]
    NEmbd,
    /// Number of layers. In a model of few layers, a large difference remains.
    #[serde(rename = "model.n_layer")]
    NLayer,
    /// Number of optimizer steps. It replaces every other length of training.
    #[serde(rename = "train.steps")]
    Steps,
}

impl MatchedQuantity {
    /// The quantity in words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Params => "parameters",
            Self::Flops => "training FLOPs",
            Self::Tokens => "training tokens",
            Self::Time => "estimated training time",
        }
    }

    /// The name of the choice in a file.
    pub fn key(self) -> &'static str {
        match self {
            Self::Params => "params",
            Self::Flops => "flops",
            Self::Tokens => "tokens",
            Self::Time => "time",
        }
    }

    /// The settings that change the quantity.
    pub fn settings(self) -> &'static [MatchedSetting] {
        use MatchedSetting::{MlpHidden, NEmbd, NLayer, Steps};
        match self {
            Self::Params => &[MlpHidden, NEmbd, NLayer],
            Self::Flops | Self::Time => &[MlpHidden, NEmbd, NLayer, Steps],
            Self::Tokens => &[Steps],
        }
    }

    /// Whether it depends on the length of training.
    pub fn depends_on_length(self) -> bool {
        self != Self::Params
    }

    /// Whether it can be compared between two kinds of models. A bigram has far fewer parameters and
    /// FLOPs than a transformer, whatever its settings are.
    pub fn is_comparable(self, kind: ModelKind, other: ModelKind) -> bool {
        let trained = kind != ModelKind::Ngram && other != ModelKind::Ngram;
        trained && (kind == other || self == Self::Tokens)
    }
}

impl MatchedSetting {
    /// Path of the setting, which is also its name in a file.
    pub fn path(self) -> &'static str {
        match self {
            Self::MlpHidden => "model.mlp_hidden",
            Self::NEmbd => "model.n_embd",
            Self::NLayer => "model.n_layer",
            Self::Steps => "train.steps",
        }
    }

    /// The largest value that a file can give.
    pub fn max(self) -> u64 {
        match self {
            Self::MlpHidden => 1_000_000,
            Self::NEmbd => 100_000,
            Self::NLayer => 1000,
            Self::Steps => 1_000_000_000,
        }
    }

    /// Whether a kind of model has the setting.
    pub fn applies_to(self, kind: ModelKind) -> bool {
        match self {
            Self::Steps => kind.uses("train"),
            Self::MlpHidden | Self::NEmbd | Self::NLayer => kind.uses(self.path()),
        }
    }
}

impl Match {
    /// Whether a variant of this kind is matched to a baseline of the kind `baseline`.
    pub fn covers(self, kind: ModelKind, baseline: ModelKind) -> bool {
        self.by.applies_to(kind) && self.what.is_comparable(kind, baseline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_read_by_its_path() {
        let text = "{what: params, by: model.mlp_hidden}";
        let matched: Match = serde_yaml::from_str(text).unwrap();
        assert_eq!(matched.tolerance, Percent::new(1.0));
        for setting in MatchedQuantity::Flops.settings() {
            let read: MatchedSetting = serde_yaml::from_str(setting.path()).unwrap();
            assert_eq!(read, *setting);
            assert!(setting.applies_to(ModelKind::Gpt));
            assert!(!setting.applies_to(ModelKind::Ngram));
        }
        for what in ["params", "flops", "tokens", "time"] {
            let read: MatchedQuantity = serde_yaml::from_str(what).unwrap();
            assert_eq!(read.key(), what);
        }
    }

    #[test]
    fn other_kinds_are_matched_in_tokens_only() {
        let covers = |what, by, kind| {
            let tolerance = one_percent();
            Match {
                what,
                by,
                tolerance,
            }
            .covers(kind, ModelKind::Gpt)
        };
        use MatchedQuantity::{Flops, Params, Tokens};
        assert!(covers(Params, MatchedSetting::NLayer, ModelKind::Gpt));
        assert!(!covers(Params, MatchedSetting::NLayer, ModelKind::Bigram));
        assert!(!covers(Flops, MatchedSetting::Steps, ModelKind::Bigram));
        assert!(covers(Tokens, MatchedSetting::Steps, ModelKind::Bigram));
        assert!(!covers(Tokens, MatchedSetting::Steps, ModelKind::Ngram));
    }
}
