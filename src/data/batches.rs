//! Random windows of the training split.

use super::Tokens;
use crate::random::{Stream, below};

/// Draws the batches of a run. A batch is a function of (seed, step) and of the shape of a batch: it
/// is the same for every variant, and for a run that was interrupted.
#[derive(Debug, Clone)]
pub struct Batches {
    stream: Stream,
    block_size: usize,
    batch_size: usize,
}

/// Inputs and, for each, the token that follows it: `(B, T)`, row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    pub inputs: Vec<usize>,
    pub targets: Vec<usize>,
}

impl Batches {
    pub fn new(seed: u64, block_size: usize, batch_size: usize) -> Self {
        Self {
            stream: Stream::new(seed, "batches"),
            block_size,
            batch_size,
        }
    }

    /// The batch of a step: windows that begin anywhere in the training split where a whole one
    /// fits, with its targets, all with the same probability.
    ///
    /// # Panics
    /// If the split is too short for a window; [`super::check_sequence_length`] tells beforehand.
    pub fn batch(&self, train: &Tokens, step: u64) -> Batch {
        let mut rng = self.stream.at(step);
        let starts = train.len().saturating_sub(self.block_size) as u64;
        let size = self.batch_size * self.block_size;
        let mut inputs = Vec::with_capacity(size);
        let mut targets = Vec::with_capacity(size);
        for _ in 0..self.batch_size {
            let start = below(&mut rng, starts) as usize;
            train.copy_to(start..start + self.block_size, &mut inputs);
            train.copy_to(start + 1..start + 1 + self.block_size, &mut targets);
        }
        Batch { inputs, targets }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tokens::Width;
    use super::*;

    fn counting(len: u32) -> Tokens {
        Tokens::of(&(0..len).collect::<Vec<_>>(), Width::Two)
    }

    #[test]
    fn a_batch_depends_on_seed_and_step_alone() {
        let train = counting(1000);
        let batch = |seed, step| Batches::new(seed, 8, 4).batch(&train, step);
        assert_eq!(batch(1, 0), batch(1, 0));
        assert_ne!(batch(1, 0), batch(1, 1));
        assert_ne!(batch(1, 0), batch(2, 0));
    }

    #[test]
    fn targets_are_the_next_tokens() {
        let batch = Batches::new(1, 8, 4).batch(&counting(1000), 3);
        assert_eq!(batch.inputs.len(), 32);
        for (row, targets) in batch.inputs.chunks(8).zip(batch.targets.chunks(8)) {
            for (offset, (&input, &target)) in row.iter().zip(targets).enumerate() {
                assert_eq!(input, row[0] + offset);
                assert_eq!(target, input + 1);
            }
        }
    }

    #[test]
    fn every_window_is_drawn_and_equally_often() {
        let (len, block_size) = (11, 4);
        let batches = Batches::new(1, block_size, 1000);
        let mut counts = [0u32; 7];
        for row in batches.batch(&counting(len), 0).inputs.chunks(block_size) {
            counts[row[0]] += 1;
        }
        // The last window that fits begins at 6: its last target is the last token.
        assert!(
            counts.iter().all(|&count| (100..190).contains(&count)),
            "{counts:?}"
        );
    }

    #[test]
    fn a_split_of_one_window_gives_that_window() {
        let batch = Batches::new(1, 4, 2).batch(&counting(5), 9);
        assert_eq!(batch.inputs, [0, 1, 2, 3, 0, 1, 2, 3]);
        assert_eq!(batch.targets, [1, 2, 3, 4, 1, 2, 3, 4]);
    }
}
