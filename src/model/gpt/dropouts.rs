use crate::kernels::{Dropout, Heads};
use crate::model::DropoutContext;
use crate::spec;

/// The dropouts of one pass, each with a mask of its own.
pub(super) struct Dropouts<'a> {
    pub(super) p: spec::Dropouts,
    noise: Option<DropoutContext<'a>>,
    block: usize,
    site: u32,
}

impl<'a> Dropouts<'a> {
    pub(super) fn new(
        config: &spec::Model,
        noise: Option<DropoutContext<'a>>,
        block: usize,
    ) -> Self {
        Self {
            p: config.dropouts(),
            noise,
            block,
            site: 0,
        }
    }

    /// The next mask, for rows of `per_row` elements. Its place is counted whether or not there is
    /// one, so that a site's mask does not depend on the probabilities of others.
    pub(super) fn next(&mut self, per_row: usize, p: f32) -> Option<Dropout> {
        self.site += 1;
        let noise = self.noise.filter(|_| p > 0.0)?;
        let offset = noise.first_row * per_row;
        Some(Dropout::new(p, noise.stream, noise.step, self.site, offset))
    }

    /// The mask of the attention weights: T for each head of each row.
    pub(super) fn scores(&mut self, heads: Heads) -> Option<Dropout> {
        self.next(heads.count * self.block, self.p.attention)
    }
}
