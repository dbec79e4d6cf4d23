use super::dropouts::Dropouts;
use super::positions::Positions;
use crate::kernels::{Backend, Heads, Rotary};
use crate::spec::{self, PositionKind};

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
            heads: heads(config, block, first),
            rotary: positions.rotary(),
            dropouts,
        }
    }
}

/// The heads of a model, for sequences of `block` tokens that follow `first` cached tokens.
fn heads(config: &spec::Model, block: usize, first: usize) -> Heads {
    Heads {
        count: config.n_head,
        kv_count: config.kv_heads(),
        block,
        first,
        window: config.sliding_window,
        alibi: config.positions.kind == PositionKind::Alibi,
    }
}
