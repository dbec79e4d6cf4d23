use super::parallel::Parallel;
use crate::data::Corpus;
use crate::model::Model;
use crate::ops::{Backend, Fault, Scalar};
use std::ops::Range;

/// Rows of activations in a piece of the validation split. The pieces, and so the order of the
/// sums, do not depend on the number of threads.
const ROWS: usize = 2048;

/// Mean cross-entropy, in nats a token, over the whole validation split. Every token is scored
/// once, in windows of `block` one after another; the first of all from the last training token.
pub(super) fn evaluate<B: Parallel>(
    model: &Model<B>,
    corpus: &Corpus,
    block: usize,
) -> Result<f64, Fault<B::Device>> {
    let n = corpus.val.len();
    let windows: Vec<Range<usize>> = corpus.eval_windows(block).collect();
    // Windows of one length go together; the last one may be shorter than the others.
    let pieces = windows
        .chunk_by(|a, b| a.len() == b.len())
        .flat_map(|alike| alike.chunks((ROWS / block).max(1)))
        .map(|windows| windows[0].start..windows[windows.len() - 1].end);
    let losses = B::losses(model, corpus, block, pieces.collect())?;
    Ok(losses.iter().sum::<f64>() / n as f64)
}

/// Summed cross-entropy of the validation tokens in `piece`.
pub(super) fn piece<B: Backend>(
    model: &Model<B>,
    corpus: &Corpus,
    block: usize,
    piece: Range<usize>,
) -> Result<f64, Fault<B::Device>> {
    let (mut inputs, mut targets) = (Vec::new(), Vec::new());
    let block = block.min(piece.len());
    corpus.eval_window(piece, &mut inputs, &mut targets);
    let loss: Scalar<B::Device> = model.loss(&inputs, &targets, block, 1.0, None)?;
    Ok(f64::from(loss.as_vec()[0]))
}
