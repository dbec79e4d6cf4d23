use super::Choice;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the weights are updated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Optimizer {
    /// The kind of optimizer.
    pub kind: OptimizerKind,
    /// Peak learning rate.
    #[schemars(range(min = 0.0, max = 1000.0))]
    pub lr: f64,
    /// Decay of the running mean of the gradient and of the running mean of its square. With `lion`, the
    /// weight of the mean in the update, and the decay of the mean.
    #[schemars(inner(range(min = 0.0, max = 0.999_999)))]
    pub betas: [f64; 2],
    /// Added to the square root of the running mean of the squared gradient.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub eps: f64,
    /// Momentum: the fraction of the velocity that is kept from step to step.
    #[schemars(range(min = 0.0, max = 0.999_999))]
    pub momentum: f64,
    /// Whether to use Nesterov momentum (Nesterov 1983), in the form that `kind: sgd` states. Requires a
    /// `momentum` above 0.
    pub nesterov: bool,
    /// Decay of the running mean of the squared gradient.
    #[schemars(range(min = 0.0, max = 0.999_999))]
    pub alpha: f64,
    /// Settings of Muon.
    pub muon: Muon,
    /// Weight decay of matrices and of the output head. Embeddings, norms and biases have none unless
    /// `groups` sets it. It is decoupled from the gradient (Loshchilov & Hutter 2019), except with
    /// `adam` and `rmsprop`, where it is added to the gradient (L2 regularization). `null` means 0.1 if
    /// it is decoupled, and 0 otherwise.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub weight_decay: Option<f64>,
    /// Learning rate and weight decay of groups of parameters.
    pub groups: Groups,
    /// Gradient clipping: a gradient with a larger global norm is scaled down to this norm. 0 means no
    /// clipping.
    #[schemars(range(min = 0.0))]
    pub grad_clip: f64,
    /// Learning rate schedule.
    pub schedule: Schedule,
}

impl Default for Optimizer {
    fn default() -> Self {
        Self {
            kind: OptimizerKind::Adamw,
            lr: 1e-3,
            betas: [0.9, 0.99],
            eps: 1e-8,
            momentum: 0.9,
            nesterov: false,
            alpha: 0.99,
            muon: Muon::default(),
            weight_decay: None,
            groups: Groups::default(),
            grad_clip: 1.0,
            schedule: Schedule::default(),
        }
    }
}

/// The kind of optimizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OptimizerKind {
    /// Adam with decoupled weight decay (Loshchilov & Hutter 2019, algorithm 2).
    Adamw,
    /// Adam (Kingma & Ba 2015, algorithm 1). Weight decay is L2 regularization.
    Adam,
    /// Stochastic gradient descent (SGD) with momentum, in the form of PyTorch: `v = momentum * v + g`,
    /// and then `p -= lr * v` or, with `nesterov`, `p -= lr * (g + momentum * v)`. In the form of
    /// Sutskever et al. (2013, section 2), `v` contains the learning rate, which makes a difference if the
    /// rate changes.
    Sgd,
    /// RMSprop: the gradient divided by the square root of the running mean of its square (Tieleman &
    /// Hinton 2012). Weight decay is L2 regularization.
    Rmsprop,
    /// Lion: the sign of the momentum (Chen et al. 2023, algorithm 2). It needs a learning rate that is
    /// 3 to 10 times lower than that of AdamW, and a weight decay that is 3 to 10 times higher.
    Lion,
    /// Muon: orthogonalized momentum for the matrices inside the model (Jordan et al. 2024). Embeddings,
    /// the output head, norms, biases and a bigram use AdamW.
    Muon,
}

impl Choice for OptimizerKind {
    const PATH: &'static str = "optimizer.kind";

    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Adamw | Self::Adam => &["optimizer.betas", "optimizer.eps"],
            Self::Sgd => &["optimizer.momentum", "optimizer.nesterov"],
            Self::Rmsprop => &["optimizer.alpha", "optimizer.eps"],
            Self::Lion => &["optimizer.betas"],
            Self::Muon => &["optimizer.betas", "optimizer.eps", "optimizer.muon"],
        }
    }
}

impl OptimizerKind {
    /// All optimizers, for tests.
    pub const ALL: [Self; 6] = [
        Self::Adamw,
        Self::Adam,
        Self::Sgd,
        Self::Rmsprop,
        Self::Lion,
        Self::Muon,
    ];

    /// Whether weight decay is decoupled from the gradient instead of added to it.
    pub fn decouples_decay(self) -> bool {
        match self {
            Self::Adamw | Self::Sgd | Self::Lion | Self::Muon => true,
            Self::Adam | Self::Rmsprop => false,
        }
    }
}

/// The update rule of each kind: its file in `src/train/optim/` and its type. It is a macro so that
/// `src/train/optim/mod.rs` can declare the files from it.
macro_rules! optimizer_rules {
    ($declare:ident) => {
        $declare! {
            adamw::AdamW for Adamw | Adam;
            sgd::Sgd for Sgd;
            rmsprop::RmsProp for Rmsprop;
            lion::Lion for Lion;
            muon::Muon for Muon;
        }
    };
}
pub(crate) use optimizer_rules;

/// Settings of Muon for the matrices inside the model. Queries, keys and values are one matrix.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Muon {
    /// Momentum: the fraction of the velocity that is kept from step to step.
    #[schemars(range(min = 0.0, max = 0.999_999))]
    pub momentum: f64,
    /// Whether to use Nesterov momentum. Requires a `momentum` above 0.
    pub nesterov: bool,
    /// Number of Newton-Schulz iterations that orthogonalize the velocity.
    #[schemars(range(min = 1, max = 100))]
    pub iterations: usize,
    /// Factor of the orthogonalized matrix, besides the learning rate.
    pub scale: MuonScale,
}

impl Default for Muon {
    fn default() -> Self {
        Self {
            momentum: 0.95,
            nesterov: true,
            iterations: 5,
            scale: MuonScale::MatchAdamw,
        }
    }
}

/// Factor of an orthogonalized matrix of (rows, columns), besides the learning rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MuonScale {
    /// `0.2 sqrt(max(rows, columns))`. The steps have about the size of AdamW steps, so that both can
    /// use the same learning rate and weight decay (Liu et al. 2025, section 2.2).
    MatchAdamw,
    /// `sqrt(max(1, rows / columns))`, as in the original implementation by Jordan. Matrices then need
    /// their own learning rate, which `groups.matrix.lr_scale` sets; the original one is 0.02.
    Spectral,
}

impl MuonScale {
    /// The factor for a matrix of (rows, columns).
    pub fn factor(self, (rows, cols): (usize, usize)) -> f64 {
        match self {
            Self::MatchAdamw => 0.2 * (rows.max(cols) as f64).sqrt(),
            Self::Spectral => (rows as f64 / cols as f64).max(1.0).sqrt(),
        }
    }
}

/// Learning rate and weight decay of groups of parameters. Each parameter is in one group.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Groups {
    /// Weights of the linear layers inside the model.
    pub matrix: Group,
    /// Embeddings: tokens, learned positions, and the table of a bigram.
    pub embedding: Group,
    /// The output head, including a token embedding that is tied to it.
    pub head: Group,
    /// Gains of norms.
    pub norm: Group,
    /// Biases of linear layers and of norms.
    pub bias: Group,
}

/// A group of parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Group {
    /// Factor of the learning rate. 0 freezes the group.
    #[schemars(range(min = 0.0, max = 1000.0))]
    pub lr_scale: f64,
    /// Weight decay of the group. `null` means `optimizer.weight_decay` for `matrix` and `head`, and 0 for
    /// the other groups.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub weight_decay: Option<f64>,
}

impl Default for Group {
    fn default() -> Self {
        Self {
            lr_scale: 1.0,
            weight_decay: None,
        }
    }
}

/// Learning rate schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Schedule {
    /// The shape of the schedule after warm-up.
    pub kind: ScheduleKind,
    /// Number of warm-up steps `w`. Step `t` of them, counted from 1, has the learning rate
    /// `lr * t / (w + 1)`, and the next step after them has `lr`.
    pub warmup_steps: u64,
    /// Learning rate at the last step.
    #[schemars(range(min = 0.0, max = 1000.0))]
    pub min_lr: f64,
    /// Fraction of the steps, at the end of the run, in which the learning rate decreases.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub decay_fraction: f64,
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            kind: ScheduleKind::Constant,
            warmup_steps: 0,
            min_lr: 0.0,
            decay_fraction: 0.1,
        }
    }
}

/// The shape of the schedule after warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleKind {
    /// The learning rate stays at `lr`.
    Constant,
    /// The learning rate decreases linearly from `lr` to `min_lr`.
    Linear,
    /// The learning rate follows half a cosine from `lr` to `min_lr` (Loshchilov & Hutter 2017).
    Cosine,
    /// Warmup-stable-decay: the learning rate stays at `lr`, and decreases linearly to `min_lr` over the
    /// last `decay_fraction` of the steps (Hu et al. 2024, section 4).
    Wsd,
    /// The learning rate decreases with the inverse square root of the step: `lr * sqrt((w + 1) / t)` in
    /// step `t`, counted from 1, after `w` warm-up steps. In Vaswani et al. (2017, section 5.3), it is
    /// `lr * sqrt(w / t)`.
    InverseSqrt,
}

impl Choice for ScheduleKind {
    const PATH: &'static str = "optimizer.schedule.kind";

    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Linear | Self::Cosine => &["optimizer.schedule.min_lr"],
            Self::Wsd => &[
                "optimizer.schedule.min_lr",
                "optimizer.schedule.decay_fraction",
            ],
            Self::Constant | Self::InverseSqrt => &[],
        }
    }
}

impl ScheduleKind {
    /// All shapes, for tests.
    pub const ALL: [Self; 5] = [
        Self::Constant,
        Self::Linear,
        Self::Cosine,
        Self::Wsd,
        Self::InverseSqrt,
    ];

    /// Whether the learning rate ends at `min_lr`.
    pub fn falls_to_min_lr(self) -> bool {
        self.uses("optimizer.schedule.min_lr")
    }
}

impl Schedule {
    /// Number of steps, at the end of a run of `steps` steps, in which `wsd` decreases the learning
    /// rate. 0 with any other kind.
    pub fn decay_steps(&self, steps: u64) -> u64 {
        match self.kind {
            ScheduleKind::Wsd => (steps as f64 * self.decay_fraction).round() as u64,
            _ => 0,
        }
    }
}
