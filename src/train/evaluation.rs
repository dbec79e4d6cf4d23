use super::parallel::MapOrdered;
use crate::data::{Corpus, Split};
use crate::kernels::{Backend, DeviceError, Scalar};
use crate::model::Model;
use std::ops::Range;

/// Tokens that are scored together. The chunks, and so the order of the sums, do not depend on the
/// number of threads.
pub(super) const CHUNK_TOKENS: usize = 2048;

/// Mean cross-entropy, in nats per token, over a whole split. Every token is scored once, in
/// consecutive windows of `block` tokens. The first window of the validation split starts from the
/// last training token. The first training token has no token before it and is not scored.
pub(super) fn evaluate<B>(
    model: &Model<B>,
    corpus: &Corpus,
    split: Split,
    block: usize,
) -> Result<f64, DeviceError<B::Device>>
where
    B: for<'a> MapOrdered<Chunk<'a, B>, f64>,
{
    let windows: Vec<Range<usize>> = corpus.eval_windows(split, block).collect();
    let tokens: usize = windows.iter().map(Range::len).sum();
    // The windows of a chunk have the same length. The last window may be shorter than the others.
    let chunks = windows
        .chunk_by(|a, b| a.len() == b.len())
        .flat_map(|alike| alike.chunks((CHUNK_TOKENS / block).max(1)))
        .map(|windows| Chunk {
            model,
            corpus,
            split,
            block,
            tokens: windows[0].start..windows[windows.len() - 1].end,
        });
    let losses = B::map_ordered(chunks.collect(), Chunk::loss)?;
    Ok(losses.iter().sum::<f64>() / tokens as f64)
}

/// Tokens of a split that are scored together.
#[derive(Debug)]
pub struct Chunk<'a, B: Backend> {
    model: &'a Model<B>,
    corpus: &'a Corpus,
    split: Split,
    block: usize,
    tokens: Range<usize>,
}

impl<B: Backend> Chunk<'_, B> {
    /// Sum of the cross-entropies of the tokens.
    fn loss(self) -> Result<f64, DeviceError<B::Device>> {
        let (mut inputs, mut targets) = (Vec::new(), Vec::new());
        let block = self.block.min(self.tokens.len());
        let tokens = self.tokens;
        self.corpus
            .eval_window(self.split, tokens, &mut inputs, &mut targets);
        let loss: Scalar<B::Device> = self.model.loss(&inputs, &targets, block, 1.0, None)?;
        Ok(f64::from(loss.as_vec()[0]))
    }
}
