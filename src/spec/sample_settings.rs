use super::Every;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The text drawn from each model for the report, and by `runner generate` unless it is told
/// otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Sample {
    /// Text that the model continues. An empty one is taken for a line end, or for the first token
    /// of a tokenizer that knows no line end.
    pub prompt: String,
    /// Number of tokens to draw. 0 draws none. The context is at most `model.block_size` tokens:
    /// when it is full its older half is left behind, and it grows again.
    #[schemars(range(max = 1_000_000))]
    pub tokens: usize,
    /// Number of texts, each drawn with random numbers of its own.
    #[schemars(range(min = 1, max = 1000))]
    pub num: usize,
    /// Between texts drawn while training: a number of steps, or a text such as `1 epoch`, as for
    /// `train.eval_every`. The first are drawn before step 1 and the last after the last step. `null`
    /// draws after the last step alone. Drawing does not change the training.
    #[schemars(schema_with = "super::every::or_null")]
    pub every: Option<Every>,
    /// Divides the logits: below 1 is safer, above 1 is wilder, 0 takes the likeliest token.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub temperature: f32,
    /// Draws from the k likeliest tokens alone (Fan et al. 2018, section 5.4). `null` draws from all.
    #[schemars(range(min = 1))]
    pub top_k: Option<usize>,
    /// Draws from the fewest likeliest tokens whose probabilities add up to this much or more
    /// (Holtzman et al. 2020, section 3.1), of those that `top_k` leaves. Above 0; 1 draws from
    /// all.
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0))]
    pub top_p: f32,
    /// Draws from tokens that are at least this many times as likely as the likeliest (Nguyen et
    /// al. 2024, section 3). 0 draws from all.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min_p: f32,
    /// Divides the logits above 0 of tokens that are in the text already, and multiplies those below
    /// (Keskar et al. 2019, section 4.1): above 1 repeats less, below 1 more. 1 changes nothing.
    #[schemars(range(min = 0.01, max = 100.0))]
    pub repetition_penalty: f32,
    /// Ends a text before the first place where the model writes this. `null` goes on to `tokens`.
    #[schemars(length(min = 1))]
    pub stop: Option<String>,
}

impl Default for Sample {
    fn default() -> Self {
        Self {
            prompt: "\n".to_owned(),
            tokens: 300,
            num: 1,
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
