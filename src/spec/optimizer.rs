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
    /// Decay of the running means of the gradient and of its square (`adamw`).
    #[schemars(inner(range(min = 0.0, max = 0.999_999)))]
    pub betas: [f64; 2],
    /// Added to the root of the second moment (`adamw`).
    #[schemars(range(min = 0.0, max = 1.0))]
    pub eps: f64,
    /// Share of the velocity kept from step to step (`sgd`).
    #[schemars(range(min = 0.0, max = 0.999_999))]
    pub momentum: f64,
    /// Decoupled weight decay (Loshchilov & Hutter 2019), on matrices only: embeddings, norms and
    /// biases are left alone. A tied embedding is a matrix.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub weight_decay: f64,
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
            weight_decay: 0.1,
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
    /// Stochastic gradient descent with momentum.
    Sgd,
}

/// How the learning rate changes over the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Schedule {
    /// The shape of the schedule.
    pub kind: ScheduleKind,
    /// Steps over which the learning rate rises in a line from 0 to `lr`.
    pub warmup_steps: u64,
    /// Learning rate at the last step (`cosine`).
    #[schemars(range(min = 0.0, max = 1000.0))]
    pub min_lr: f64,
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            kind: ScheduleKind::Constant,
            warmup_steps: 0,
            min_lr: 0.0,
        }
    }
}

/// The shape of the schedule after warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleKind {
    /// Stays at `lr`.
    Constant,
    /// Falls from `lr` to `min_lr` along half a cosine (Loshchilov & Hutter 2017).
    Cosine,
}
