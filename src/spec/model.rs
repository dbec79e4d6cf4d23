use super::{Choice, MlpHidden};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The model. A `bigram` uses only `kind`, `block_size` and `init.embedding_std`. An `ngram` uses only
/// `kind` and `order`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Model {
    /// The kind of model.
    pub kind: ModelKind,
    /// Order of an n-gram model: the next token depends on the `order - 1` tokens before it.
    #[schemars(range(min = 1, max = 5))]
    pub order: usize,
    /// Number of transformer blocks.
    #[schemars(range(min = 1, max = 1000))]
    pub n_layer: usize,
    /// Number of attention heads. `n_embd` must be divisible by it.
    #[schemars(range(min = 1, max = 1000))]
    pub n_head: usize,
    /// Number of key and value heads, each shared by a group of query heads. `n_head` must be divisible
    /// by it. 1 is multi-query attention (Shazeer 2019); a number between 1 and `n_head` is
    /// grouped-query attention (Ainslie et al. 2023). `null` means `n_head`.
    #[schemars(range(min = 1, max = 1000))]
    pub n_kv_head: Option<usize>,
    /// Width of the residual stream.
    #[schemars(range(min = 1, max = 100_000))]
    pub n_embd: usize,
    /// Longest context, in tokens, and number of learned positions. The length of the sequences in
    /// training and evaluation is `train.sequence_length`.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub block_size: usize,
    /// Position encoding.
    pub positions: Positions,
    /// Number of tokens that a token attends to, including itself: sliding window attention (Beltagy
    /// et al. 2020, section 3.1). At most `block_size`; `null` means the whole context.
    #[serde(alias = "window")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub sliding_window: Option<usize>,
    /// Whether the queries and keys of each head are normalized with RMSNorm, before rotary positions
    /// and independent of `norm` (Henry et al. 2020; Qwen 3, Yang et al. 2025, section 2). The heads of
    /// a block share one gain for queries and one for keys.
    pub qk_norm: bool,
    /// Normalization of the residual stream. 1e-5 is added to the variance or the mean square before the
    /// square root, also with `qk_norm`.
    pub norm: Norm,
    /// Position of the norms in a block.
    pub norm_position: NormPosition,
    /// Whether attention and the MLP of a block are computed in parallel from the same normalized input
    /// instead of one after the other (GPT-J, Wang & Komatsuzaki 2021; PaLM, Chowdhery et al. 2022,
    /// section 2). A block then has one norm. Requires `norm_position: pre`.
    #[serde(alias = "parallel")]
    pub parallel_block: bool,
    /// Feed-forward network of a block.
    pub mlp: Mlp,
    /// Width of the hidden layer of the MLP: a number; a multiple of `n_embd` such as `4x`, `2.5x` or
    /// `8/3x`, rounded down; or `matched`. `matched` is `4x`, or for a gated MLP `8/3x` rounded to a
    /// multiple of 8, so that both have about the same number of parameters (Shazeer 2020, section 2).
    pub mlp_hidden: MlpHidden,
    /// Whether the output head uses the matrix of the token embedding (Press & Wolf 2017).
    pub tie_weights: bool,
    /// Whether token embeddings are multiplied by the square root of `n_embd`, before positions are
    /// added (Vaswani et al. 2017, section 3.4; Gemma Team 2024, section 2).
    pub scale_embedding: bool,
    /// Soft cap `c` of the logits, which become `c * tanh(logits / c)` (Gemma Team 2024, section 2; 30
    /// in Gemma 2). `null` means no cap.
    #[schemars(range(min = 0.001, max = 1_000_000.0))]
    pub logit_soft_cap: Option<f32>,
    /// Whether linear layers and LayerNorm have a bias. It does not apply to the output head.
    pub bias: bool,
    /// Exceptions from `bias` for single parts of the model.
    #[serde(alias = "bias_in")]
    pub bias_overrides: BiasOverrides,
    /// Dropout probability after the embedding, on the attention weights and on each residual branch
    /// (Srivastava et al. 2014).
    #[schemars(range(min = 0.0, max = 0.99))]
    pub dropout: f32,
    /// Dropout probability after the embedding. `null` means `dropout`.
    #[schemars(range(min = 0.0, max = 0.99))]
    pub embedding_dropout: Option<f32>,
    /// Dropout probability on the attention weights. `null` means `dropout`.
    #[schemars(range(min = 0.0, max = 0.99))]
    pub attention_dropout: Option<f32>,
    /// Initialization of the weights. The gains of norms start at 1.
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
            sliding_window: None,
            qk_norm: false,
            norm: Norm::Layernorm,
            norm_position: NormPosition::Pre,
            parallel_block: false,
            mlp: Mlp::GeluTanh,
            mlp_hidden: MlpHidden::Matched,
            tie_weights: true,
            scale_embedding: false,
            logit_soft_cap: None,
            bias: false,
            bias_overrides: BiasOverrides::default(),
            dropout: 0.0,
            embedding_dropout: None,
            attention_dropout: None,
            init: Init::default(),
        }
    }
}

impl Model {
    /// Number of key and value heads.
    pub fn kv_heads(&self) -> usize {
        self.n_kv_head.unwrap_or(self.n_head)
    }

    /// Width of an attention head; 0 for a model without heads, which validation rejects.
    pub fn head_size(&self) -> usize {
        self.n_embd.checked_div(self.n_head).unwrap_or(0)
    }

    /// Number of columns of a head that rotary positions rotate. Validation accepts only even numbers.
    pub fn rotary_width(&self) -> f64 {
        let width = self.positions.rotary_pct * self.head_size() as f64;
        // Removes the rounding error of decimals such as 0.3.
        (width * 1e6).round() / 1e6
    }

    /// The sliding window, unless it contains every context.
    pub fn effective_window(&self) -> Option<usize> {
        self.sliding_window
            .filter(|&window| window < self.block_size)
    }

    /// Width of the MLP's hidden layer.
    pub fn mlp_width(&self) -> usize {
        self.mlp_hidden.width(self.n_embd, self.mlp.gated())
    }

    /// Which parts have biases.
    pub fn biases(&self) -> Biases {
        let part = |own: Option<bool>| own.unwrap_or(self.bias);
        Biases {
            qkv: part(self.bias_overrides.qkv),
            attention_out: part(self.bias_overrides.attention_out),
            mlp: part(self.bias_overrides.mlp),
            norm: part(self.bias_overrides.norm) && self.norm.has_bias(),
            head: self.bias_overrides.head,
        }
    }

    /// The dropout probability of each part.
    pub fn dropouts(&self) -> Dropouts {
        Dropouts {
            embedding: self.embedding_dropout.unwrap_or(self.dropout),
            attention: self.attention_dropout.unwrap_or(self.dropout),
            residual: self.dropout,
        }
    }
}

/// Which parts of a model have biases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Biases {
    pub qkv: bool,
    pub attention_out: bool,
    pub mlp: bool,
    pub norm: bool,
    pub head: bool,
}

/// The dropout probability of each part.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dropouts {
    /// After the embedding.
    pub embedding: f32,
    /// On the attention weights.
    pub attention: f32,
    /// On each branch of a block, before it is added to the residual stream.
    pub residual: f32,
}

/// Exceptions from `bias` for single parts of the model: `true`, `false`, or `null` for the value of
/// `bias`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BiasOverrides {
    /// Bias of queries, keys and values.
    pub qkv: Option<bool>,
    /// Bias of the linear layer after attention.
    pub attention_out: Option<bool>,
    /// Bias of the linear layers of the MLP.
    pub mlp: Option<bool>,
    /// Bias of LayerNorm.
    pub norm: Option<bool>,
    /// Bias of the output head, also if its matrix is tied. `bias` does not change it.
    pub head: bool,
}

/// Position encoding: how the model distinguishes the order of its tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Positions {
    /// The kind of position encoding.
    pub kind: PositionKind,
    /// Base of the rotation frequencies (Su et al. 2021, section 3.2.2). A larger base gives longer
    /// wavelengths.
    #[serde(alias = "base")]
    #[schemars(range(min = 1.0, max = 1_000_000_000.0))]
    pub rope_theta: f64,
    /// Fraction of the columns of each head that are rotated, starting with the first (Black et al.
    /// 2022, section 2.1; 0.25 in GPT-NeoX). The number of rotated columns must be even.
    #[serde(alias = "fraction")]
    #[schemars(range(min = 0.001, max = 1.0))]
    pub rotary_pct: f64,
}

impl Default for Positions {
    fn default() -> Self {
        Self {
            kind: PositionKind::Learned,
            rope_theta: 10_000.0,
            rotary_pct: 1.0,
        }
    }
}

/// The kind of position encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PositionKind {
    /// A learned vector for each position, added to the token embedding (Radford et al. 2018, section
    /// 3.1).
    Learned,
    /// Sines and cosines of the position, added to the token embedding (Vaswani et al. 2017, section
    /// 3.5, which also scales the embedding: see `scale_embedding`).
    Sinusoidal,
    /// Rotary position embedding (RoPE): queries and keys are rotated by angles proportional to their
    /// position (Su et al. 2021, section 3.2). Each pair is a column of the first half of a head and
    /// the same column of the second half.
    Rotary,
    /// ALiBi: attention scores are lowered in proportion to the distance, with a different slope for
    /// each head (Press et al. 2022, section 3).
    Alibi,
    /// No position encoding. The causal mask is the only source of order (Kazemnejad et al. 2023).
    None,
}

/// Position of the norms in a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NormPosition {
    /// Before attention, before the MLP, and before the head (Radford et al. 2019, section 2.3).
    Pre,
    /// Only after each addition to the residual stream (Vaswani et al. 2017, section 3.1).
    Post,
    /// As `pre`, and also after attention and after the MLP, before each is added (Ding et al. 2021,
    /// section 2.2; Gemma 2, Gemma Team 2024, section 2).
    Sandwich,
}

/// Initialization of the weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Init {
    /// Distribution of the matrices, including an untied head.
    pub kind: InitKind,
    /// Standard deviation of matrices.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub std: f64,
    /// Whether the standard deviation of the last matrix of each residual branch is divided by the
    /// square root of the number of branches, `2 * n_layer` (Radford et al. 2019, section 2.3).
    pub residual_scaling: bool,
    /// Standard deviation of the embeddings, which are normally distributed: tokens (also if they are
    /// tied to the head), learned positions, and the table of a bigram.
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

/// Distribution of the initial matrices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InitKind {
    /// Normal distribution with standard deviation `std`; biases are 0 (Radford et al. 2018, section
    /// 4.1).
    Normal,
    /// Uniform distribution between ±√(6 / (inputs + outputs)); biases are 0 (Glorot & Bengio 2010,
    /// equation 16).
    Xavier,
    /// Normal distribution with standard deviation √(2 / inputs); biases are 0 (He et al. 2015, equation
    /// 10). It keeps the variance through layers with ReLU.
    Kaiming,
    /// Uniform distribution between ±1/√inputs, for biases too: the default of linear layers in PyTorch
    /// and dfdx.
    Uniform,
}

/// The kind of model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ModelKind {
    /// A decoder-only transformer (Vaswani et al. 2017; Radford et al. 2019, section 2.3).
    Gpt,
    /// A table of vocab x vocab logits: the next token depends only on the current one.
    Bigram,
    /// Counts of sequences of up to `order` tokens, where each order is smoothed with the next lower one
    /// (Witten & Bell 1991, method C; Chen & Goodman 1998, section 2.5). It is not trained, so
    /// `optimizer` and `train` do not apply, and its result is the same for every seed: it is counted
    /// once. It is a baseline for trained models.
    Ngram,
}

impl ModelKind {
    /// Whether it is trained by gradient descent, so that its result depends on the seed. N-gram models are
    /// counted.
    pub fn is_trained(self) -> bool {
        self != Self::Ngram
    }
}

/// Normalization of the residual stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Norm {
    /// Zero mean, unit variance, learned gain (Ba et al. 2016).
    Layernorm,
    /// Unit root mean square, learned gain (Zhang & Sennrich 2019).
    Rmsnorm,
    /// No normalization and no gain.
    None,
}

/// Feed-forward network of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mlp {
    /// GELU in its tanh approximation (Hendrycks & Gimpel 2016, section 2), `gelu_new` in Hugging Face.
    #[serde(alias = "gelu")]
    GeluTanh,
    /// Exact GELU, x Φ(x), where Φ is the distribution function of the normal distribution (Hendrycks
    /// & Gimpel 2016, section 2), `gelu` in PyTorch and Hugging Face.
    #[serde(alias = "gelu_exact")]
    GeluErf,
    /// max(0, x).
    Relu,
    /// max(0, x)² (So et al. 2021, section 3.2).
    ReluSquared,
    /// x σ(x), also called Swish (Hendrycks & Gimpel 2016, section 2; Ramachandran et al. 2017).
    Silu,
    /// SiLU(x W) * (x V), a gated MLP (Shazeer 2020, section 2).
    Swiglu,
    /// GELU(x W) * (x V), with the tanh approximation of GELU (Shazeer 2020, section 2).
    Geglu,
    /// max(0, x W) * (x V) (Shazeer 2020, section 2).
    Reglu,
}

impl Choice for ModelKind {
    const PATH: &'static str = "model.kind";

    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Gpt => &[
                "optimizer",
                "train",
                "train.precision",
                "model.block_size",
                "model.n_layer",
                "model.n_head",
                "model.n_kv_head",
                "model.n_embd",
                "model.positions",
                "model.sliding_window",
                "model.qk_norm",
                "model.norm",
                "model.norm_position",
                "model.parallel_block",
                "model.mlp",
                "model.mlp_hidden",
                "model.tie_weights",
                "model.scale_embedding",
                "model.logit_soft_cap",
                "model.bias",
                "model.bias_overrides",
                "model.dropout",
                "model.embedding_dropout",
                "model.attention_dropout",
                "model.init",
                "model.init.kind",
                "model.init.std",
                "model.init.residual_scaling",
            ],
            Self::Bigram => &["optimizer", "train", "model.block_size", "model.init"],
            Self::Ngram => &["model.order"],
        }
    }
}

impl Choice for PositionKind {
    const PATH: &'static str = "model.positions.kind";

    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Rotary => &["model.positions.rope_theta", "model.positions.rotary_pct"],
            Self::Learned | Self::Sinusoidal | Self::Alibi | Self::None => &[],
        }
    }
}

impl Choice for InitKind {
    const PATH: &'static str = "model.init.kind";

    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Normal => &["model.init.std", "model.init.residual_scaling"],
            Self::Xavier | Self::Kaiming | Self::Uniform => &[],
        }
    }
}

impl Choice for Norm {
    const PATH: &'static str = "model.norm";

    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Layernorm => &["model.norm_position", "model.bias_overrides.norm"],
            Self::Rmsnorm => &["model.norm_position"],
            Self::None => &[],
        }
    }
}

impl Norm {
    /// All norms, for tests.
    pub const ALL: [Self; 3] = [Self::Layernorm, Self::Rmsnorm, Self::None];

    /// Whether it can have a bias.
    pub fn has_bias(self) -> bool {
        self.uses("model.bias_overrides.norm")
    }
}

impl Mlp {
    /// All MLPs, for tests.
    pub const ALL: [Self; 8] = [
        Self::GeluTanh,
        Self::GeluErf,
        Self::Relu,
        Self::ReluSquared,
        Self::Silu,
        Self::Swiglu,
        Self::Geglu,
        Self::Reglu,
    ];

    /// Whether the hidden layer is the product of two halves, one of which is the gate.
    pub fn gated(self) -> bool {
        match self {
            Self::Swiglu | Self::Geglu | Self::Reglu => true,
            Self::GeluTanh | Self::GeluErf | Self::Relu | Self::ReluSquared | Self::Silu => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{OptimizerKind, ScheduleKind};

    /// The names of the values of an enum in a file.
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
    fn all_lists_every_value() {
        assert_eq!(written(&Norm::ALL), names::<Norm>());
        assert_eq!(written(&Mlp::ALL), names::<Mlp>());
        assert_eq!(written(&OptimizerKind::ALL), names::<OptimizerKind>());
        assert_eq!(written(&ScheduleKind::ALL), names::<ScheduleKind>());
    }
}
