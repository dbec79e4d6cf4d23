use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The text drawn from each trained model for the report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Sample {
    /// Text that the model continues.
    pub prompt: String,
    /// Number of tokens to draw. 0 draws none.
    #[schemars(range(max = 1_000_000))]
    pub tokens: usize,
    /// Divides the logits: below 1 is safer, above 1 is wilder, 0 takes the likeliest token.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub temperature: f32,
    /// Draws from the k likeliest tokens alone. 0 draws from all.
    pub top_k: usize,
}

impl Default for Sample {
    fn default() -> Self {
        Self {
            prompt: "\n".to_owned(),
            tokens: 300,
            temperature: 0.8,
            top_k: 40,
        }
    }
}
