//! The loss of a trained model on a split that training has not seen.

use super::evaluation::evaluate;
use crate::data::{Corpus, NgramCounts, Split};
use crate::kernels::CpuBackend;
use crate::model::Model;
use crate::spec::RunSpec;

/// Mean cross-entropy of a model on the held-out split of a corpus, in nats per token, as at the end of training.
///
/// # Errors
/// If there is not enough memory.
pub fn held_out_loss(
    model: &Model<CpuBackend>,
    spec: &RunSpec,
    corpus: &Corpus,
) -> Result<f64, String> {
    let loss = evaluate(model, corpus, Split::Val, spec.sequence_length());
    loss.map_err(|error| format!("{error:?}"))
}

/// Same as [`held_out_loss`], for the n-gram model that a run counts.
///
/// # Errors
/// If there is not enough memory.
pub fn ngram_loss(spec: &RunSpec, corpus: &Corpus) -> Result<f64, String> {
    let train = &corpus.train;
    let counts = NgramCounts::count(train.iter(), spec.model.order, corpus.info.vocab_size);
    let counts = counts.map_err(|error| error.to_string())?;
    Ok(counts.loss(train, &corpus.val))
}
