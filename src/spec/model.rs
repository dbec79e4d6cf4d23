use super::MlpHidden;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The network. A `bigram` reads `kind`, `block_size` and `init.embedding_std` alone, an `ngram`
/// `kind` and `order`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Model {
    /// The kind of model.
    pub kind: ModelKind,
    /// Tokens in a sequence that is counted: the next one depends on the `order - 1` before it.
    #[schemars(range(min = 1, max = 5))]
    pub order: usize,
    /// Number of transformer blocks.
    #[schemars(range(min = 1, max = 1000))]
    pub n_layer: usize,
    /// Number of attention heads; divides `n_embd`.
    #[schemars(range(min = 1, max = 1000))]
    pub n_head: usize,
    /// Number of heads of keys and values, each shared by as many query heads: divides `n_head`.
    /// 1 is multi-query attention (Shazeer 2019), more is grouped-query attention (Ainslie et al.
    /// 2023), and `null` means `n_head`.
    #[schemars(range(min = 1, max = 1000))]
    pub n_kv_head: Option<usize>,
    /// Width of the residual stream.
    #[schemars(range(min = 1, max = 100_000))]
    pub n_embd: usize,
    /// Longest context, in tokens, and the length of a table of learned positions. What a run
    /// trains and is evaluated on is `train.sequence_length`.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub block_size: usize,
    /// How a model knows the order of its tokens.
    pub positions: Positions,
    /// How many tokens attention sees, a token itself among them: a sliding window (Beltagy et al.
    /// 2020, section 3.1). At most `block_size`; `null` means all.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub window: Option<usize>,
    /// Whether each head's queries and keys are normalised before they meet: RMSNorm over the head,
    /// whatever `norm` is, with a gain for queries and one for keys that the heads of a block share
    /// (Henry et al. 2020; as in Qwen 3, Yang et al. 2025, section 2). Before `rotary` positions.
    pub qk_norm: bool,
    /// Normalisation of the residual stream.
    pub norm: Norm,
    /// Where the norms are.
    pub norm_position: NormPosition,
    /// Whether attention and the MLP of a block read the same normalised input and are added
    /// together, rather than one after the other (GPT-J, Wang & Komatsuzaki 2021; PaLM, Chowdhery et
    /// al. 2022, section 2). One norm a block; only with `norm_position: pre`.
    pub parallel: bool,
    /// The feed-forward half of a block.
    pub mlp: Mlp,
    /// Width of the MLP's hidden layer: a number; a multiple of `n_embd` such as `4x`, `2.5x` or
    /// `8/3x`, rounded down; or `matched`, which is `4x`, and for a gated MLP `8/3x` rounded to a
    /// multiple of 8, which gives it as many parameters (Shazeer 2020, section 2).
    pub mlp_hidden: MlpHidden,
    /// Whether the token embedding is also the output matrix (Press & Wolf 2017).
    pub tie_weights: bool,
    /// Whether token embeddings are multiplied by the root of `n_embd`, before positions are added
    /// (Vaswani et al. 2017, section 3.4; Gemma Team 2024, section 2).
    pub scale_embedding: bool,
    /// Bound of the logits, which become `c * tanh(logits / c)` (Gemma 2, Gemma Team 2024, section
    /// 2: 30). `null` means none.
    #[schemars(range(min = 0.001, max = 1_000_000.0))]
    pub logit_soft_cap: Option<f32>,
    /// Whether linear layers and LayerNorm have a bias; the head has none.
    pub bias: bool,
    /// Parts whose biases are not what `bias` says.
    pub bias_in: BiasIn,
    /// Probability with which an activation is dropped, after the embedding, on the attention
    /// weights and on each residual branch (Srivastava et al. 2014).
    #[schemars(range(min = 0.0, max = 0.99))]
    pub dropout: f32,
    /// Probability after the embedding; `null` means `dropout`.
    #[schemars(range(min = 0.0, max = 0.99))]
    pub embedding_dropout: Option<f32>,
    /// Probability on the attention weights; `null` means `dropout`.
    #[schemars(range(min = 0.0, max = 0.99))]
    pub attention_dropout: Option<f32>,
    /// The weights before the first step. Gains are 1.
    pub init: Init,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            kind: ModelKind::Gpt,
            order: 3,
            n_layer: 4,
            n_head: 4,
            n_kv_head: None,
            n_embd: 128,
            block_size: 64,
            positions: Positions::default(),
            window: None,
            qk_norm: false,
            norm: Norm::Layernorm,
            norm_position: NormPosition::Pre,
            parallel: false,
            mlp: Mlp::Gelu,
            mlp_hidden: MlpHidden::Matched,
            tie_weights: true,
            scale_embedding: false,
            logit_soft_cap: None,
            bias: false,
            bias_in: BiasIn::default(),
            dropout: 0.0,
            embedding_dropout: None,
            attention_dropout: None,
            init: Init::default(),
        }
    }
}

impl Model {
    /// Number of heads of keys and values.
    pub fn kv_heads(&self) -> usize {
        self.n_kv_head.unwrap_or(self.n_head)
    }

    /// Width of an attention head.
    pub fn head_size(&self) -> usize {
        self.n_embd / self.n_head
    }

    /// Columns of a head that rotary positions turn: an even number, in a model that is right.
    pub fn rotary_width(&self) -> f64 {
        let width = self.positions.fraction * self.head_size() as f64;
        // What decimals lose in binary is no fraction of a column.
        (width * 1e6).round() / 1e6
    }

    /// Width of the MLP's hidden layer.
    pub fn mlp_width(&self) -> usize {
        self.mlp_hidden.width(self.n_embd, self.mlp.gated())
    }

    /// Which parts have biases.
    pub fn biases(&self) -> Biases {
        let part = |own: Option<bool>| own.unwrap_or(self.bias);
        Biases {
            qkv: part(self.bias_in.qkv),
            attention_out: part(self.bias_in.attention_out),
            mlp: part(self.bias_in.mlp),
            norm: part(self.bias_in.norm) && self.norm.has_bias(),
            head: self.bias_in.head,
        }
    }

    /// Probabilities of dropout.
    pub fn dropouts(&self) -> Dropouts {
        Dropouts {
            embedding: self.embedding_dropout.unwrap_or(self.dropout),
            attention: self.attention_dropout.unwrap_or(self.dropout),
            residual: self.dropout,
        }
    }
}

/// The parts of a model that have biases, all said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Biases {
    pub qkv: bool,
    pub attention_out: bool,
    pub mlp: bool,
    pub norm: bool,
    pub head: bool,
}

/// Probabilities of dropout, all said.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dropouts {
    /// After the embedding.
    pub embedding: f32,
    /// On the attention weights.
    pub attention: f32,
    /// On each branch of a block, where it joins the residual stream.
    pub residual: f32,
}

/// Biases by part: `true`, `false`, or `null` for what `bias` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BiasIn {
    /// Of query, key and value.
    pub qkv: Option<bool>,
    /// Of the linear layer after attention.
    pub attention_out: Option<bool>,
    /// Of the MLP's linear layers.
    pub mlp: Option<bool>,
    /// Of LayerNorm.
    pub norm: Option<bool>,
    /// Of the output head, whether or not its matrix is tied. Not among what `bias` says.
    pub head: bool,
}

/// How a model knows the order of its tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Positions {
    /// The kind of positions.
    pub kind: PositionKind,
    /// Longest wavelength of a rotation, in tokens over 2π (Su et al. 2021, section 3.2.2).
    #[schemars(range(min = 1.0, max = 1_000_000_000.0))]
    pub base: f64,
    /// Share of each head's columns that are turned, the first ones (GPT-NeoX, Black et al. 2022,
    /// section 2.1: 0.25); comes to an even number of columns.
    #[schemars(range(min = 0.001, max = 1.0))]
    pub fraction: f64,
}

impl Default for Positions {
    fn default() -> Self {
        Self {
            kind: PositionKind::Learned,
            base: 10_000.0,
            fraction: 1.0,
        }
    }
}

/// The kind of positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PositionKind {
    /// A learned vector for each place, added to the token's (Radford et al. 2018, section 3.1).
    Learned,
    /// Sines and cosines of the place, added to the token's vector (Vaswani et al. 2017, section
    /// 3.5, which scales the embedding: see `scale_embedding`).
    Sinusoidal,
    /// Queries and keys turned by angles in proportion to their place, half a head away from each
    /// other (Su et al. 2021, section 3.2).
    Rotary,
    /// Scores lowered in proportion to the distance, by a slope of each head (Press et al. 2022,
    /// section 3).
    Alibi,
    /// None: the causal mask alone tells (Kazemnejad et al. 2023).
    None,
}

/// Where the norms of a block are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NormPosition {
    /// Before attention, before the MLP, and before the head (Radford et al. 2019, section 2.3).
    Pre,
    /// After each addition to the residual stream, and nowhere else (Vaswani et al. 2017, section
    /// 3.1).
    Post,
    /// `pre`, and after attention and the MLP too, before they are added (Ding et al. 2021, section
    /// 2.2; Gemma 2, Gemma Team 2024, section 2).
    Sandwich,
}

/// The weights before the first step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Init {
    /// How matrices are drawn, and an untied head with them.
    pub kind: InitKind,
    /// Standard deviation of matrices.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub std: f64,
    /// Whether a matrix at the end of a branch, where it joins the residual stream, is drawn with
    /// its deviation divided by the root of the number of branches, `2 * n_layer` (Radford et al.
    /// 2019, section 2.3).
    pub residual_scaling: bool,
    /// Standard deviation of embeddings, which are normally distributed: tokens (also where they
    /// are tied to the head), learned positions, and the table of a bigram.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub embedding_std: f64,
}

impl Default for Init {
    fn default() -> Self {
        Self {
            kind: InitKind::Normal,
            std: 0.02,
            residual_scaling: true,
            embedding_std: 0.02,
        }
    }
}

/// How a matrix is drawn, of as many columns as it has inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InitKind {
    /// Normally distributed, with deviation `std`; biases 0 (Radford et al. 2018, section 4.1).
    Normal,
    /// Uniform up to √(6 / (inputs + outputs)) either way; biases 0 (Glorot & Bengio 2010,
    /// equation 16).
    Xavier,
    /// Uniform up to 1/√inputs either way, and biases too: the default of PyTorch's and dfdx's
    /// linear layers.
    Uniform,
}

/// The kind of model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ModelKind {
    /// A decoder-only transformer (Vaswani et al. 2017; Radford et al. 2019, section 2.3).
    Gpt,
    /// A table of vocab x vocab logits: the next token from the present one alone.
    Bigram,
    /// Counts of sequences of up to `order` tokens, each order smoothed by the one below it (Witten
    /// & Bell 1991, method C; Chen & Goodman 1998, section 2.5). Nothing is trained, so `optimizer`
    /// and `train` do not apply: it is what a model must beat to be worth its training.
    Ngram,
}

/// Normalisation of the residual stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Norm {
    /// Zero mean, unit variance, learned gain (Ba et al. 2016).
    Layernorm,
    /// Unit root mean square, learned gain (Zhang & Sennrich 2019).
    Rmsnorm,
    /// No normalisation, and no gain.
    None,
}

/// The feed-forward half of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mlp {
    /// GELU in its tanh form (Hendrycks & Gimpel 2016, section 2).
    Gelu,
    /// GELU itself, x Φ(x), Φ being the normal distribution (Hendrycks & Gimpel 2016, section 2).
    GeluExact,
    /// max(0, x).
    Relu,
    /// max(0, x)² (So et al. 2021, section 3.2).
    ReluSquared,
    /// x σ(x), also called swish (Hendrycks & Gimpel 2016, section 2; Ramachandran et al. 2017).
    Silu,
    /// SiLU(x W) * (x V), a gated MLP (Shazeer 2020, section 2).
    Swiglu,
    /// GELU(x W) * (x V), GELU in its tanh form (Shazeer 2020, section 2).
    Geglu,
    /// max(0, x W) * (x V) (Shazeer 2020, section 2).
    Reglu,
}

impl Norm {
    /// Every norm there is: what the tests go through.
    pub const ALL: [Self; 3] = [Self::Layernorm, Self::Rmsnorm, Self::None];

    /// Whether it has a bias where the model has biases.
    pub fn has_bias(self) -> bool {
        match self {
            Self::Layernorm => true,
            Self::Rmsnorm | Self::None => false,
        }
    }
}

impl Mlp {
    /// Every MLP there is, as [`Norm::ALL`].
    pub const ALL: [Self; 8] = [
        Self::Gelu,
        Self::GeluExact,
        Self::Relu,
        Self::ReluSquared,
        Self::Silu,
        Self::Swiglu,
        Self::Geglu,
        Self::Reglu,
    ];

    /// Whether the hidden layer is the product of two halves, one of them the gate.
    pub fn gated(self) -> bool {
        match self {
            Self::Swiglu | Self::Geglu | Self::Reglu => true,
            Self::Gelu | Self::GeluExact | Self::Relu | Self::ReluSquared | Self::Silu => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{OptimizerKind, ScheduleKind};

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
        assert_eq!(written(&OptimizerKind::ALL), names::<OptimizerKind>());
        assert_eq!(written(&ScheduleKind::ALL), names::<ScheduleKind>());
    }
}
