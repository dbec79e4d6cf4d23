use super::attention;
use super::dropouts::Dropouts;
use super::positions::Positions;
use crate::kernels::{Backend, Heads, Rotary};
use crate::spec;

/// What the blocks of a model share during one forward pass.
pub(in crate::model) struct ForwardContext<'a> {
    pub(super) heads: Heads,
    pub(super) rotary: Option<&'a Rotary>,
    pub(super) dropouts: Dropouts<'a>,
}

impl<'a> ForwardContext<'a> {
    /// For sequences of `block` tokens that follow `first` cached tokens.
    pub(in crate::model) fn new<B: Backend>(
        config: &spec::Model,
        positions: &'a Positions<B>,
        block: usize,
        first: usize,
        dropouts: Dropouts<'a>,
    ) -> Self {
        Self {
            heads: attention::heads(config, block, first),
            rotary: positions.rotary(),
            dropouts,
        }
    }
}
