//! What an optimizer does to one parameter: each rule once as a kernel in one pass over the
//! parameter (`cpu`, and `muon` for the one that is more than a pass), and once composed of dfdx's
//! own operations (`reference`).

pub(super) mod cpu;
pub(super) mod muon;
pub(super) mod reference;
#[cfg(test)]
mod tests;

use super::Matrix;
use dfdx::prelude::*;

/// One step of AdamW (Loshchilov & Hutter 2019, algorithm 2), and with `l2` of Adam with L2
/// regularisation (there too, in its other colour).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamW {
    pub lr: f32,
    pub betas: [f32; 2],
    pub eps: f32,
    /// Decoupled: the parameter is multiplied by `1 - lr * weight_decay` first.
    pub weight_decay: f32,
    /// Coupled: this much of the parameter is added to its gradient.
    pub l2: f32,
    /// What the gradient is multiplied by first (clipping).
    pub gradient_scale: f32,
    /// `1 - beta^t` for each beta, t counting from 1.
    pub bias_corrections: [f32; 2],
}

/// One step of SGD with momentum (PyTorch's form: v = μv + g; p -= lr v), decay decoupled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sgd {
    pub lr: f32,
    pub momentum: f32,
    /// Looks ahead along the velocity: p -= lr (g + μv) (Sutskever et al. 2013, section 2).
    pub nesterov: bool,
    pub weight_decay: f32,
    pub gradient_scale: f32,
}

/// One step of RMSprop (Tieleman & Hinton 2012): v = αv + (1-α)g²; p -= lr g / (√v + ε).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RmsProp {
    pub lr: f32,
    pub alpha: f32,
    pub eps: f32,
    pub l2: f32,
    pub gradient_scale: f32,
}

/// One step of Lion (Chen et al. 2023, algorithm 2), decay decoupled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lion {
    pub lr: f32,
    pub betas: [f32; 2],
    pub weight_decay: f32,
    pub gradient_scale: f32,
}

/// One step of Muon (Jordan et al. 2024): the momentum, made orthogonal by Newton and Schulz's
/// iteration, is the direction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Muon {
    pub lr: f32,
    /// What the orthogonal direction is multiplied by besides `lr`.
    pub scale: f32,
    pub momentum: f32,
    pub nesterov: bool,
    /// Of Newton and Schulz.
    pub iterations: usize,
    pub weight_decay: f32,
    pub gradient_scale: f32,
}

/// A parameter's gradient over a whole batch.
#[derive(Debug)]
pub struct GradientSum<D: Device<f32>> {
    pub gradient: Matrix<D>,
    pub squared_norm: f64,
}
