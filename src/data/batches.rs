//! The batches of a run: sequences of the training split.

use super::Tokens;
use crate::random::{Stream, below, shuffle};
use crate::spec::{BatchOrder, sequences_per_epoch};

/// Selects the batches of a run. A batch depends only on the seed, the step, the batch shape and the
/// training tokens. Variants with the same seed therefore see the same batches, and so does a run
/// that was interrupted and resumed.
#[derive(Debug, Clone)]
pub struct Batches {
    order: BatchOrder,
    seed: u64,
    block_size: usize,
    batch_size: usize,
    /// The order of the current epoch.
    shuffle: Option<Shuffle>,
}

/// The order of the sequences in an epoch, as a permutation of their numbers.
#[derive(Debug, Clone)]
struct Shuffle {
    epoch: u64,
    order: Vec<usize>,
}

/// Input tokens, and the next token for each of them. Both have the shape (B, T), row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    pub inputs: Vec<usize>,
    pub targets: Vec<usize>,
}

impl Batches {
    /// `batch_size` is the number of sequences in a step, over all gradient accumulation steps.
    pub fn new(seed: u64, order: BatchOrder, block_size: usize, batch_size: usize) -> Self {
        Self {
            order,
            seed,
            block_size,
            batch_size,
            shuffle: None,
        }
    }

    /// The batch of a step.
    ///
    /// # Panics
    /// If the split is too short for a sequence, which [`super::check_sequence_length`] checks.
    pub fn batch(&mut self, train: &Tokens, step: u64) -> Batch {
        let starts = match self.order {
            BatchOrder::Random => self.random_starts(train.len(), step),
            BatchOrder::Sequential => self.sequential_starts(train.len(), step),
        };
        let size = self.batch_size * self.block_size;
        let mut inputs = Vec::with_capacity(size);
        let mut targets = Vec::with_capacity(size);
        for start in starts {
            train.copy_to(start..start + self.block_size, &mut inputs);
            train.copy_to(start + 1..start + 1 + self.block_size, &mut targets);
        }
        Batch { inputs, targets }
    }

    /// First positions of the sequences: uniformly random positions at which a whole sequence fits
    /// with its targets.
    fn random_starts(&self, tokens: usize, step: u64) -> Vec<usize> {
        let mut rng = Stream::new(self.seed, "batches").at(step);
        let starts = tokens.saturating_sub(self.block_size) as u64;
        let draw = |_| below(&mut rng, starts) as usize;
        (0..self.batch_size).map(draw).collect()
    }

    /// First positions of the sequences: multiples of the sequence length, in the shuffled order of
    /// the epoch. An epoch contains every sequence once.
    fn sequential_starts(&mut self, tokens: usize, step: u64) -> Vec<usize> {
        let per_epoch = sequences_per_epoch(tokens as u64, self.block_size);
        // The product of two 64-bit numbers fits into 128 bits.
        let first = u128::from(step) * self.batch_size as u128;
        let last_start = tokens - 1 - self.block_size;
        let mut starts = Vec::with_capacity(self.batch_size);
        for number in first..first + self.batch_size as u128 {
            let epoch = number / u128::from(per_epoch);
            // Only the epochs after 2^64 others would repeat an earlier order.
            let order = self.shuffled_order(epoch as u64, per_epoch);
            let sequence = order[(number % u128::from(per_epoch)) as usize];
            starts.push((sequence * self.block_size).min(last_start));
        }
        starts
    }

    /// The order of an epoch (Fisher-Yates shuffle, in the form of Durstenfeld 1964).
    fn shuffled_order(&mut self, epoch: u64, sequences: u64) -> &[usize] {
        if self
            .shuffle
            .as_ref()
            .is_none_or(|shuffle| shuffle.epoch != epoch)
        {
            let mut rng = Stream::new(self.seed, "epochs").at(epoch);
            let mut order: Vec<usize> = (0..sequences as usize).collect();
            shuffle(&mut rng, &mut order);
            self.shuffle = Some(Shuffle { epoch, order });
        }
        self.shuffle.as_ref().map_or(&[], |shuffle| &shuffle.order)
    }
}

#[cfg(test)]
mod tests {
    use super::super::token_file::Width;
    use super::*;

    fn counting(len: u32) -> Tokens {
        Tokens::of(&(0..len).collect::<Vec<_>>(), Width::Two)
    }

    #[test]
    fn a_batch_depends_only_on_seed_and_step() {
        let train = counting(1000);
        for order in [BatchOrder::Random, BatchOrder::Sequential] {
            let batch = |seed, step| Batches::new(seed, order, 8, 4).batch(&train, step);
            assert_eq!(batch(1, 0), batch(1, 0));
            assert_ne!(batch(1, 0), batch(1, 1));
            assert_ne!(batch(1, 0), batch(2, 0));
            let mut one_after_another = Batches::new(1, order, 8, 4);
            for step in 0..100 {
                assert_eq!(one_after_another.batch(&train, step), batch(1, step));
            }
        }
    }

    #[test]
    fn targets_are_the_next_tokens() {
        let batch = Batches::new(1, BatchOrder::Random, 8, 4).batch(&counting(1000), 3);
        assert_eq!(batch.inputs.len(), 32);
        for (row, targets) in batch.inputs.chunks(8).zip(batch.targets.chunks(8)) {
            for (offset, (&input, &target)) in row.iter().zip(targets).enumerate() {
                assert_eq!(input, row[0] + offset);
                assert_eq!(target, input + 1);
            }
        }
    }

    #[test]
    fn every_start_is_drawn_equally_often() {
        let (len, block_size) = (11, 4);
        let mut batches = Batches::new(1, BatchOrder::Random, block_size, 1000);
        let mut counts = [0u32; 7];
        for row in batches.batch(&counting(len), 0).inputs.chunks(block_size) {
            counts[row[0]] += 1;
        }
        // The last sequence that fits starts at 6: its last target is the last token.
        assert!(
            counts.iter().all(|&count| (100..190).contains(&count)),
            "{counts:?}"
        );
    }

    #[test]
    fn a_split_with_one_sequence_gives_this_sequence() {
        for order in [BatchOrder::Random, BatchOrder::Sequential] {
            let batch = Batches::new(1, order, 4, 2).batch(&counting(5), 9);
            assert_eq!(batch.inputs, [0, 1, 2, 3, 0, 1, 2, 3]);
            assert_eq!(batch.targets, [1, 2, 3, 4, 1, 2, 3, 4]);
        }
    }

    /// First positions of the first `n` sequences, in batches of `batch_size`.
    fn sequential(len: u32, block_size: usize, batch_size: usize, n: usize) -> Vec<usize> {
        let mut batches = Batches::new(1, BatchOrder::Sequential, block_size, batch_size);
        let steps = 0..n.div_ceil(batch_size) as u64;
        let rows = steps.flat_map(|step| batches.batch(&counting(len), step).inputs);
        let starts: Vec<usize> = rows.step_by(block_size).collect();
        starts[..n].to_vec()
    }

    #[test]
    fn a_sequential_epoch_has_every_sequence_once_in_its_own_order() {
        let starts = sequential(41, 4, 3, 20);
        let (mut first, mut second) = (starts[..10].to_vec(), starts[10..].to_vec());
        assert_ne!(first, second);
        for epoch in [&mut first, &mut second] {
            epoch.sort_unstable();
            assert_eq!(*epoch, [0, 4, 8, 12, 16, 20, 24, 28, 32, 36]);
        }
    }

    #[test]
    fn the_batch_size_does_not_change_the_order() {
        assert_eq!(sequential(41, 4, 3, 60), sequential(41, 4, 10, 60));
    }

    #[test]
    fn the_last_sequence_of_an_epoch_is_complete() {
        let mut starts = sequential(44, 4, 3, 11);
        starts.sort_unstable();
        // The last target of the last sequence is the last token.
        assert_eq!(starts[9..], [36, 39]);
    }

    #[test]
    fn the_last_possible_step_has_a_batch() {
        for order in [BatchOrder::Random, BatchOrder::Sequential] {
            let batch = Batches::new(1, order, 4, 1000).batch(&counting(41), u64::MAX);
            assert_eq!(batch.inputs.len(), 4000);
        }
    }
}
