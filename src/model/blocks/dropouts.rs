use crate::kernels::{Dropout, Heads};
use crate::random::Stream;
use crate::spec;

/// The random numbers for the dropout of one training step.
#[derive(Debug, Clone, Copy)]
pub struct DropoutContext<'a> {
    /// The stream `dropout` of the run's seed.
    pub stream: &'a Stream,
    pub step: u64,
    /// Index of the first row in the whole batch, for a batch that is split into shards.
    pub first_row: usize,
}

/// The dropouts of one forward pass. Each place in the model has its own random mask.
pub(in crate::model) struct Dropouts<'a> {
    p: spec::Dropouts,
    /// `None` in evaluation.
    context: Option<DropoutContext<'a>>,
    /// Number of places passed so far.
    site: u32,
}

impl<'a> Dropouts<'a> {
    pub(in crate::model) fn new(config: &spec::Model, context: Option<DropoutContext<'a>>) -> Self {
        Self {
            p: config.dropouts(),
            context,
            site: 0,
        }
    }

    /// The mask of the embedding (N, C).
    pub(in crate::model) fn embedding(&mut self, c: usize) -> Option<Dropout> {
        self.next(c, self.p.embedding)
    }

    /// The mask of the attention weights: T elements for each head of each of the N rows.
    pub(super) fn attention(&mut self, heads: Heads) -> Option<Dropout> {
        let per_row = heads.count.saturating_mul(heads.block);
        self.next(per_row, self.p.attention)
    }

    /// The mask of the output (N, C) of a residual branch.
    pub(super) fn residual(&mut self, c: usize) -> Option<Dropout> {
        self.next(c, self.p.residual)
    }

    /// The next mask, for rows of `per_row` elements.
    ///
    /// A place is counted even if its probability is 0. The mask of a place therefore does not depend
    /// on the probabilities of other places.
    fn next(&mut self, per_row: usize, p: f32) -> Option<Dropout> {
        self.site += 1;
        let context = self.context.filter(|_| p > 0.0)?;
        let offset = context.first_row.saturating_mul(per_row);
        Some(Dropout::new(
            p,
            context.stream,
            context.step,
            self.site,
            offset,
        ))
    }
}
