use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The network. A `bigram` reads `kind` and `block_size` alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Model {
    /// The kind of model.
    pub kind: ModelKind,
    /// Number of transformer blocks.
    #[schemars(range(min = 1, max = 1000))]
    pub n_layer: usize,
    /// Number of attention heads; divides `n_embd`.
    #[schemars(range(min = 1, max = 1000))]
    pub n_head: usize,
    /// Width of the residual stream.
    #[schemars(range(min = 1, max = 100_000))]
    pub n_embd: usize,
    /// Longest context, in tokens, in training and in evaluation.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub block_size: usize,
    /// Normalisation, before attention, before the MLP and before the head.
    pub norm: Norm,
    /// The feed-forward half of a block.
    pub mlp: Mlp,
    /// Width of the MLP's hidden layer. `null` means `4 * n_embd`, and for a gated MLP
    /// `8/3 * n_embd` rounded to a multiple of 8, which gives it as many parameters (Shazeer 2020,
    /// section 2).
    #[schemars(range(min = 1, max = 1_000_000))]
    pub mlp_hidden: Option<usize>,
    /// Whether the token embedding is also the output matrix (Press & Wolf 2017).
    pub tie_weights: bool,
    /// Whether linear layers and LayerNorm have a bias.
    pub bias: bool,
    /// Probability with which an activation is dropped, after the embedding, on the attention
    /// weights and on each residual branch (Srivastava et al. 2014).
    #[schemars(range(min = 0.0, max = 0.99))]
    pub dropout: f32,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            kind: ModelKind::Gpt,
            n_layer: 4,
            n_head: 4,
            n_embd: 128,
            block_size: 64,
            norm: Norm::Layernorm,
            mlp: Mlp::Gelu,
            mlp_hidden: None,
            tie_weights: true,
            bias: false,
            dropout: 0.0,
        }
    }
}

impl Model {
    /// Width of the MLP's hidden layer, with the default filled in.
    pub fn mlp_width(&self) -> usize {
        self.mlp_hidden.unwrap_or(match self.mlp {
            mlp if mlp.gated() => ((8 * self.n_embd / 3 + 4) / 8 * 8).max(1),
            _ => 4 * self.n_embd,
        })
    }
}

/// The kind of model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ModelKind {
    /// A decoder-only transformer with learned positions and norms before each half of a block
    /// (Radford et al. 2019, section 2.3).
    Gpt,
    /// A table of vocab x vocab logits: the next token from the present one alone.
    Bigram,
}

/// Normalisation of the residual stream where a block reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Norm {
    /// Zero mean, unit variance, learned gain (Ba et al. 2016).
    Layernorm,
    /// Unit root mean square, learned gain (Zhang & Sennrich 2019).
    Rmsnorm,
}

/// The feed-forward half of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mlp {
    /// GELU in its tanh form (Hendrycks & Gimpel 2016, section 2).
    Gelu,
    /// max(0, x).
    Relu,
    /// SiLU(x W) * (x V), a gated MLP (Shazeer 2020, section 2).
    Swiglu,
}

impl Norm {
    /// Every norm there is: what the tests go through.
    pub const ALL: [Self; 2] = [Self::Layernorm, Self::Rmsnorm];

    /// Whether it has a bias where the model has biases.
    pub fn has_bias(self) -> bool {
        match self {
            Self::Layernorm => true,
            Self::Rmsnorm => false,
        }
    }
}

impl Mlp {
    /// Every MLP there is, as [`Norm::ALL`].
    pub const ALL: [Self; 3] = [Self::Gelu, Self::Relu, Self::Swiglu];

    /// Whether the hidden layer is the product of two halves, one of them the gate.
    pub fn gated(self) -> bool {
        match self {
            Self::Swiglu => true,
            Self::Gelu | Self::Relu => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names of an enum, as a file may have them.
    fn names<T: JsonSchema>() -> Vec<String> {
        let schema = serde_json::to_value(schemars::schema_for!(T)).unwrap();
        let choices = schema["oneOf"].as_array().unwrap();
        let name = |choice: &serde_json::Value| choice["const"].as_str().unwrap().to_owned();
        choices.iter().map(name).collect()
    }

    fn written<T: Serialize>(all: &[T]) -> Vec<String> {
        let name = |one| serde_yaml::to_string(one).unwrap().trim().to_owned();
        all.iter().map(name).collect()
    }

    #[test]
    fn all_is_all() {
        assert_eq!(written(&Norm::ALL), names::<Norm>());
        assert_eq!(written(&Mlp::ALL), names::<Mlp>());
    }
}
