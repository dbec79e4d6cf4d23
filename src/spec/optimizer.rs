use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The optimizer, its learning rate, and its weight decay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Optimizer {
    /// The kind of optimizer.
    pub kind: OptimizerKind,
    /// Peak learning rate.
    #[schemars(range(min = 0.0, max = 1000.0))]
    pub lr: f64,
    /// Decay of the running means of the gradient and of its square. With `lion`, the first is the
    /// weight of the momentum in the direction of a step, and the second is the decay of the momentum.
    #[schemars(inner(range(min = 0.0, max = 0.999_999)))]
    pub betas: [f64; 2],
    /// Added to the square root of the second moment, against division by zero.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub eps: f64,
    /// Momentum: the fraction of the velocity that is kept from step to step.
    #[schemars(range(min = 0.0, max = 0.999_999))]
    pub momentum: f64,
    /// Whether to use Nesterov momentum (Nesterov 1983, in the form of Sutskever et al. 2013,
    /// section 2). Needs a `momentum` above 0.
    pub nesterov: bool,
    /// Decay of the running mean of the gradient's square.
    #[schemars(range(min = 0.0, max = 0.999_999))]
    pub alpha: f64,
    /// Settings of Muon.
    pub muon: Muon,
    /// Weight decay. It applies to matrices and the head, and not to embeddings, norms and biases;
    /// `groups` can change this. A step multiplies a weight by `1 - lr * weight_decay` (decoupled
    /// weight decay, Loshchilov & Hutter 2019). With `adam` and `rmsprop` it is L2 regularization
    /// instead: `weight_decay` times the weight is added to the gradient. `null` means 0.1, and 0
    /// with `adam` and `rmsprop`.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub weight_decay: Option<f64>,
    /// Learning rate and weight decay of single groups of parameters.
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
    /// Stochastic gradient descent with momentum.
    Sgd,
    /// RMSprop: the gradient divided by the square root of its running mean square (Tieleman &
    /// Hinton 2012). Weight decay is L2 regularization.
    Rmsprop,
    /// Lion: a step follows the sign of the momentum (Chen et al. 2023, algorithm 2). The paper
    /// recommends a learning rate 3 to 10 times lower than AdamW's, and a weight decay 3 to 10 times
    /// higher.
    Lion,
    /// Muon: a step follows the momentum, made orthogonal (Jordan et al. 2024). It updates the weight
    /// matrices inside the model. AdamW updates embeddings, the head, norms and biases, and all of a
    /// bigram.
    Muon,
}

impl OptimizerKind {
    /// Every kind. Tests iterate over it.
    pub const ALL: [Self; 6] = [
        Self::Adamw,
        Self::Adam,
        Self::Sgd,
        Self::Rmsprop,
        Self::Lion,
        Self::Muon,
    ];

    /// Whether weight decay is decoupled from the gradient. Otherwise it is L2 regularization.
    pub fn decouples_decay(self) -> bool {
        match self {
            Self::Adamw | Self::Sgd | Self::Lion | Self::Muon => true,
            Self::Adam | Self::Rmsprop => false,
        }
    }

    /// The keys of `optimizer` that this kind uses, among those that not every kind uses.
    pub fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Adamw | Self::Adam => &["betas", "eps"],
            Self::Sgd => &["momentum", "nesterov"],
            Self::Rmsprop => &["alpha", "eps"],
            Self::Lion => &["betas"],
            Self::Muon => &["betas", "eps", "muon"],
        }
    }
}

/// The update rule of each kind: the file in `src/train/optim/` and the type in it. It is a macro so
/// that `src/train/optim/mod.rs` can declare the files from it.
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

/// Settings of Muon for the weight matrices inside the model. Each is taken as it is stored: query,
/// key and value are one matrix.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Muon {
    /// Momentum: the fraction of the velocity that is kept from step to step.
    #[schemars(range(min = 0.0, max = 0.999_999))]
    pub momentum: f64,
    /// Whether to use Nesterov momentum. Needs a `momentum` above 0.
    pub nesterov: bool,
    /// Newton-Schulz iterations that make the momentum orthogonal.
    #[schemars(range(min = 1, max = 100))]
    pub iterations: usize,
    /// Scale of a step, besides the learning rate.
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

/// The factor that the orthogonal matrix of a step is multiplied by, besides the learning rate, for a
/// weight matrix of rows x columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MuonScale {
    /// `0.2 sqrt(max(rows, columns))`. It makes steps about as large as those of AdamW, so that one
    /// learning rate and one weight decay fit both (Liu et al. 2025, section 2.2).
    MatchAdamw,
    /// `sqrt(max(1, rows / columns))`, as in Jordan's implementation. Matrices then need a learning
    /// rate of their own, which `groups.matrix.lr_scale` sets. The author uses 0.02.
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

/// Learning rate and weight decay of groups of parameters. Each parameter is in exactly one group.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Groups {
    /// Weight matrices of the linear layers inside the model.
    pub matrix: Group,
    /// Token embedding, position embedding, and the table of a bigram.
    pub embedding: Group,
    /// Output head. It includes the token embedding if the two are tied.
    pub head: Group,
    /// Gains of normalization layers.
    pub norm: Group,
    /// Biases of linear and normalization layers.
    pub bias: Group,
}

/// Settings of a group of parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Group {
    /// Factor of the learning rate. 0 freezes the group.
    #[schemars(range(min = 0.0, max = 1000.0))]
    pub lr_scale: f64,
    /// Weight decay of the group. `null` means `optimizer.weight_decay` for `matrix` and `head`, and
    /// 0 for the other groups.
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
    /// The kind of schedule.
    pub kind: ScheduleKind,
    /// Warm-up: the number of steps over which the learning rate rises linearly from 0 to `lr`.
    pub warmup_steps: u64,
    /// Learning rate at the last step.
    #[schemars(range(min = 0.0, max = 1000.0))]
    pub min_lr: f64,
    /// Fraction of the steps, at the end of the run, over which the learning rate falls.
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

/// The kind of schedule: how the learning rate changes after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleKind {
    /// Stays at `lr`.
    Constant,
    /// Falls linearly from `lr` to `min_lr`.
    Linear,
    /// Falls from `lr` to `min_lr` along half a cosine (Loshchilov & Hutter 2017).
    Cosine,
    /// Warm-up, stable, decay: stays at `lr`, and falls linearly to `min_lr` over the last
    /// `decay_fraction` of the steps (Hu et al. 2024, section 4).
    Wsd,
    /// Falls with the inverse square root of the step, from `lr` at the end of the warm-up
    /// (Vaswani et al. 2017, section 5.3). It has no lower limit.
    InverseSqrt,
}

impl ScheduleKind {
    /// Every kind. Tests iterate over it.
    pub const ALL: [Self; 5] = [
        Self::Constant,
        Self::Linear,
        Self::Cosine,
        Self::Wsd,
        Self::InverseSqrt,
    ];

    /// The keys of `optimizer.schedule` that this kind uses, among those that not every kind uses.
    pub fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Constant | Self::InverseSqrt => &[],
            Self::Linear | Self::Cosine => &["min_lr"],
            Self::Wsd => &["min_lr", "decay_fraction"],
        }
    }

    /// Whether the learning rate ends at `min_lr`.
    pub fn falls_to_min_lr(self) -> bool {
        self.keys().contains(&"min_lr")
    }
}

impl Schedule {
    /// Number of steps, of a run of `steps`, that the schedule reserves for `decay_fraction`.
    pub fn decay_steps(&self, steps: u64) -> u64 {
        if self.kind.keys().contains(&"decay_fraction") {
            (steps as f64 * self.decay_fraction).round() as u64
        } else {
            0
        }
    }
}
