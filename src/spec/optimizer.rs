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
    /// Decay of the running means of the gradient and of its square; with `lion` of the two uses of
    /// the gradient's mean.
    #[schemars(inner(range(min = 0.0, max = 0.999_999)))]
    pub betas: [f64; 2],
    /// Added to the root of the second moment.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub eps: f64,
    /// Share of the velocity kept from step to step.
    #[schemars(range(min = 0.0, max = 0.999_999))]
    pub momentum: f64,
    /// Whether a step looks ahead along the velocity (Nesterov 1983, in the form of Sutskever et al.
    /// 2013, section 2). Needs a `momentum`.
    pub nesterov: bool,
    /// Decay of the running mean of the gradient's square.
    #[schemars(range(min = 0.0, max = 0.999_999))]
    pub alpha: f64,
    /// How Muon treats the matrices.
    pub muon: Muon,
    /// Share of a weight that a learning rate of 1 would take away, on matrices and the head:
    /// embeddings, norms and biases are left alone, unless `groups` says otherwise. Decoupled from
    /// the gradient (Loshchilov & Hutter 2019), but for `adam` and `rmsprop`, which have it added to
    /// the gradient (L2 regularisation). `null` means 0.1 where it is decoupled and 0 where it is
    /// not.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub weight_decay: Option<f64>,
    /// What differs between groups of parameters.
    pub groups: Groups,
    /// Largest global gradient norm; a larger gradient is scaled down to it. 0 means no clipping.
    #[schemars(range(min = 0.0))]
    pub grad_clip: f64,
    /// How the learning rate changes over the run.
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
    /// Adam (Kingma & Ba 2015, algorithm 1); weight decay is L2 regularisation.
    Adam,
    /// Stochastic gradient descent with momentum.
    Sgd,
    /// The gradient over the root of its running mean square (Tieleman & Hinton 2012); weight decay
    /// is L2 regularisation.
    Rmsprop,
    /// The sign of the momentum (Chen et al. 2023, algorithm 2). It likes a learning rate three to
    /// ten times lower than AdamW's and as much more weight decay.
    Lion,
    /// For the matrices inside the model the momentum made orthogonal (Jordan et al. 2024); AdamW
    /// for the embeddings, the head, norms and biases, and for a bigram.
    Muon,
}

impl OptimizerKind {
    /// Every optimizer there is: what the tests go through.
    pub const ALL: [Self; 6] = [
        Self::Adamw,
        Self::Adam,
        Self::Sgd,
        Self::Rmsprop,
        Self::Lion,
        Self::Muon,
    ];

    /// Whether weight decay is apart from the gradient, rather than added to it.
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

/// How Muon treats the matrices inside the model, each as it is stored: query, key and value are
/// one matrix.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Muon {
    /// Share of the velocity kept from step to step.
    #[schemars(range(min = 0.0, max = 0.999_999))]
    pub momentum: f64,
    /// Whether a step looks ahead along the velocity. Needs a `momentum`.
    pub nesterov: bool,
    /// Iterations of Newton and Schulz that make the velocity orthogonal.
    #[schemars(range(min = 1, max = 100))]
    pub iterations: usize,
    /// What the orthogonal matrix is multiplied by, besides the learning rate.
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

/// What an orthogonal matrix of rows x columns is multiplied by, besides the learning rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MuonScale {
    /// `0.2 sqrt(max(rows, columns))`, which makes the steps about as long as AdamW's: one learning
    /// rate and one weight decay do for both (Liu et al. 2025, section 2.2).
    MatchAdamw,
    /// `sqrt(max(1, rows / columns))`, as in Jordan's own implementation. Matrices then want a
    /// learning rate of their own, by `groups.matrix.lr_scale`: that of the author is 0.02.
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

/// What differs between groups of parameters. Each parameter is in one of them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Groups {
    /// Weights of the linear layers inside the model.
    pub matrix: Group,
    /// Tables that rows are read from: tokens, positions, and the table of a bigram.
    pub embedding: Group,
    /// The output head, and with it the token embedding where it is tied to it.
    pub head: Group,
    /// Gains of norms.
    pub norm: Group,
    /// Biases, of linear layers and of norms.
    pub bias: Group,
}

/// A group of parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Group {
    /// What the learning rate of every step is multiplied by. 0 freezes the group.
    #[schemars(range(min = 0.0, max = 1000.0))]
    pub lr_scale: f64,
    /// Weight decay of the group. `null` means `optimizer.weight_decay` for `matrix` and `head`, and
    /// 0 for the others.
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

/// How the learning rate changes over the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Schedule {
    /// The shape of the schedule.
    pub kind: ScheduleKind,
    /// Steps over which the learning rate rises in a line from 0 to `lr`.
    pub warmup_steps: u64,
    /// Learning rate at the last step.
    #[schemars(range(min = 0.0, max = 1000.0))]
    pub min_lr: f64,
    /// Share of the steps, at the end of the run, over which the learning rate falls.
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
    /// Stays at `lr`.
    Constant,
    /// Falls from `lr` to `min_lr` in a line.
    Linear,
    /// Falls from `lr` to `min_lr` along half a cosine (Loshchilov & Hutter 2017).
    Cosine,
    /// Warm-up, stable, decay: stays at `lr` and falls to `min_lr` in a line over the last
    /// `decay_fraction` of the steps (Hu et al. 2024, section 4).
    Wsd,
    /// Falls with the inverse root of the step, from `lr` at the end of the warm-up, to wherever
    /// that leads (Vaswani et al. 2017, section 5.3).
    InverseSqrt,
}

impl ScheduleKind {
    /// Every shape there is: what the tests go through.
    pub const ALL: [Self; 5] = [
        Self::Constant,
        Self::Linear,
        Self::Cosine,
        Self::Wsd,
        Self::InverseSqrt,
    ];

    /// Whether it ends at `min_lr`.
    pub fn falls_to_min_lr(self) -> bool {
        match self {
            Self::Linear | Self::Cosine | Self::Wsd => true,
            Self::Constant | Self::InverseSqrt => false,
        }
    }
}

impl Schedule {
    /// Number of steps, at the end of a run of `steps`, over which `wsd` lowers the learning rate. 0
    /// with any other kind.
    pub fn decay_steps(&self, steps: u64) -> u64 {
        match self.kind {
            ScheduleKind::Wsd => (steps as f64 * self.decay_fraction).round() as u64,
            _ => 0,
        }
    }
}
