use super::Every;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The samples that are generated from each model for the report. `runner generate` uses the same
/// settings unless an option replaces them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Sample {
    /// Text that the model continues. An empty prompt stands for a line break, or for the first token
    /// of the vocabulary if the tokenizer has no line break. The default becomes an empty prompt if the
    /// tokenizer cannot encode it.
    pub prompt: String,
    /// Number of tokens to generate. 0 generates none. The context is at most `train.sequence_length`
    /// tokens, which are `model.block_size` by default. When it is full, its older half is dropped.
    #[schemars(range(max = 1_000_000))]
    pub tokens: usize,
    /// Number of samples. Each has random numbers of its own.
    #[serde(alias = "num")]
    #[schemars(range(min = 1, max = 1000))]
    pub num_samples: usize,
    /// Interval between samples during training: a number of steps, or a text such as `1 epoch`. There
    /// are always samples before the first step and after the last step. `null` means only after the
    /// last step. Sampling does not change the training.
    #[schemars(schema_with = "super::every::or_null")]
    pub every: Option<Every>,
    /// Temperature, by which the logits are divided. A low temperature prefers likely tokens; 0 always
    /// takes the likeliest token.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub temperature: f32,
    /// Samples only from the k likeliest tokens (Fan et al. 2018, section 5.4). `null` means from all.
    #[schemars(range(min = 1))]
    pub top_k: Option<usize>,
    /// Nucleus sampling: samples from the smallest set of likeliest tokens whose total probability is
    /// at least this (Holtzman et al. 2020, section 3.1). It is applied after `top_k`. 1 means from
    /// all.
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0))]
    pub top_p: f32,
    /// Samples only from tokens whose probability is at least this fraction of the highest probability
    /// (Nguyen et al. 2024, section 3). 0 means from all.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min_p: f32,
    /// For tokens that are already in the text, positive logits are divided by this and negative
    /// logits are multiplied by it (Keskar et al. 2019, section 4.1). Above 1 there is less repetition;
    /// 1 changes nothing.
    #[schemars(range(min = 0.01, max = 100.0))]
    pub repetition_penalty: f32,
    /// Text at which a sample ends; it is not part of the sample. `null` means that every sample has
    /// `tokens` tokens.
    #[schemars(length(min = 1))]
    pub stop: Option<String>,
}

impl Default for Sample {
    fn default() -> Self {
        Self {
            prompt: "\n".to_owned(),
            tokens: 300,
            num_samples: 1,
            every: None,
            temperature: 0.8,
            top_k: Some(40),
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            stop: None,
        }
    }
}
