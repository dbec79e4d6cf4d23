//! The batch of a step, and how it is divided. The division depends on the configuration alone, and
//! sums follow its order, so results do not depend on the number of threads.

use crate::data::Batch;
use crate::kernels::{Backend, DeviceError, Scalar};
use crate::model::{DropoutContext, Model};
use crate::random::Stream;
use crate::spec::RunSpec;
use dfdx::prelude::*;
use std::ops::Range;

/// Largest number of shards of a micro-batch. One thread computes the forward and backward pass of a
/// shard, on a tape of its own.
const MAX_SHARDS: usize = 4;

/// Smallest number of rows (tokens) for which another shard pays. With fewer, packing the weights
/// for its products and adding its gradients cost more than another thread saves.
const ROWS_PER_SHARD: usize = 256;

/// The batch of a step, with what else a forward pass over it depends on.
#[derive(Debug)]
pub(super) struct StepBatch<'a> {
    pub(super) batch: Batch,
    /// Steps taken before.
    pub(super) step: u64,
    pub(super) spec: &'a RunSpec,
    pub(super) vocab_size: usize,
    pub(super) dropout: &'a Stream,
}

impl StepBatch<'_> {
    /// The rows of each micro-batch.
    pub(super) fn micro_batches(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let rows = self.batch.inputs.len();
        let each = self.spec.train.batch_size * self.spec.sequence_length();
        let starts = (0..rows).step_by(each);
        starts.map(move |start| start..(start + each).min(rows))
    }

    /// The rows of each shard of a micro-batch.
    pub(super) fn shards(&self, micro_batch: Range<usize>) -> Vec<Range<usize>> {
        shards(micro_batch, self.spec.sequence_length())
    }

    /// The part of the batch's mean loss that comes from some rows.
    pub(super) fn loss<B: Backend, T: Tape<f32, B::Device>>(
        &self,
        model: &Model<B>,
        rows: Range<usize>,
    ) -> Result<Scalar<B::Device, T>, DeviceError<B::Device>> {
        let scale = 1.0 / self.batch.inputs.len() as f32;
        let dropout = DropoutContext {
            stream: self.dropout,
            step: self.step,
            first_row: rows.start,
        };
        let inputs = &self.batch.inputs[rows.clone()];
        let targets = &self.batch.targets[rows];
        let block = self.spec.sequence_length();
        model.loss(inputs, targets, block, scale, Some(dropout))
    }
}

/// Number of shards of a micro-batch of `sequences` sequences of `block` tokens. It is a power of
/// two, so that two or four threads have equal work.
pub(super) fn shard_count(sequences: usize, block: usize) -> usize {
    let rows = sequences.saturating_mul(block);
    let worthwhile = (rows / ROWS_PER_SHARD).clamp(1, MAX_SHARDS);
    (1 << worthwhile.ilog2()).min(sequences)
}

/// The rows of each shard of a micro-batch that consists of sequences of `block` rows.
fn shards(micro_batch: Range<usize>, block: usize) -> Vec<Range<usize>> {
    let sequences = micro_batch.len() / block;
    let count = shard_count(sequences, block);
    let start = |shard: usize| micro_batch.start + block * (shard * sequences / count);
    let shards = (0..count).map(|shard| start(shard)..start(shard + 1));
    shards.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_whole_sequences_and_cover_the_micro_batch() {
        for (micro_batch, block, starts) in [
            (0..64, 32, vec![0]),          // too few rows for two shards
            (1000..1512, 512, vec![1000]), // one sequence
            (0..768, 256, vec![0, 256]),   // three sequences in two shards
            (1024..2048, 32, vec![1024, 1280, 1536, 1792]),
        ] {
            let shards = shards(micro_batch.clone(), block);
            let found: Vec<usize> = shards.iter().map(|rows| rows.start).collect();
            assert_eq!(found, starts, "{micro_batch:?}");
            assert!(shards.windows(2).all(|pair| pair[0].end == pair[1].start));
            assert_eq!(shards.last().unwrap().end, micro_batch.end);
        }
    }
}
