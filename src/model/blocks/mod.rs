//! The layers of a transformer block, one file each.
//!
//! A layer owns its parameters, its forward pass, and what else depends on its kind: its cache and its
//! cost. Shapes use the letters of [`crate::model`].

pub(super) mod attention;
pub(super) mod dropouts;
pub(super) mod forward_context;
pub(super) mod linear;
pub(super) mod mlp;
pub(super) mod norm;
pub(super) mod positions;
pub(super) mod residual;
