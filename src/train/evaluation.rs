use super::parallel::Parallel;
use crate::data::{Corpus, Split};
use crate::kernels::{Backend, DeviceError, Scalar};
use crate::model::Model;
use std::ops::Range;

/// Rows of activations in a piece of a split. The pieces, and so the order of the
/// sums, do not depend on the number of threads.
const ROWS: usize = 2048;

/// Mean cross-entropy, in nats a token, over a whole split. Every token is scored once, in windows
/// of `block` one after another: the first of the validation split from the last training token, and
/// all of the training split but its first, which has none before it.
pub(super) fn evaluate<B: Parallel>(
    model: &Model<B>,
    corpus: &Corpus,
    split: Split,
    block: usize,
) -> Result<f64, DeviceError<B::Device>> {
    let windows: Vec<Range<usize>> = corpus.eval_windows(split, block).collect();
    let n: usize = windows.iter().map(Range::len).sum();
    // Windows of one length go together; the last one may be shorter than the others.
    let pieces = windows
        .chunk_by(|a, b| a.len() == b.len())
        .flat_map(|alike| alike.chunks((ROWS / block).max(1)))
        .map(|windows| windows[0].start..windows[windows.len() - 1].end);
    let losses = B::losses(model, corpus, split, block, pieces.collect())?;
    Ok(losses.iter().sum::<f64>() / n as f64)
}

/// Summed cross-entropy of the tokens in `piece`.
pub(super) fn piece<B: Backend>(
    model: &Model<B>,
    corpus: &Corpus,
    split: Split,
    block: usize,
    piece: Range<usize>,
) -> Result<f64, DeviceError<B::Device>> {
    let (mut inputs, mut targets) = (Vec::new(), Vec::new());
    let block = block.min(piece.len());
    corpus.eval_window(split, piece, &mut inputs, &mut targets);
    let loss: Scalar<B::Device> = model.loss(&inputs, &targets, block, 1.0, None)?;
    Ok(f64::from(loss.as_vec()[0]))
}
