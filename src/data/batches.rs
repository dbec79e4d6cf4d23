//! Sequences of the training split.

use super::Tokens;
use crate::random::{Stream, below};
use crate::spec::{BatchOrder, sequences_per_epoch};

/// Draws the batches of a run. A batch is a function of (seed, step) and of the shape of a batch: it
/// is the same for every variant, and for a run that was interrupted.
#[derive(Debug, Clone)]
pub struct Batches {
    order: BatchOrder,
    seed: u64,
    block_size: usize,
    batch_size: usize,
    /// Of the epoch that the last batch ended in.
    shuffle: Option<Shuffle>,
}

/// The order of the sequences in an epoch.
#[derive(Debug, Clone)]
struct Shuffle {
    epoch: u64,
    order: Vec<usize>,
}

/// Inputs and, for each, the token that follows it: `(B, T)`, row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    pub inputs: Vec<usize>,
    pub targets: Vec<usize>,
}

impl Batches {
    /// `batch_size` is that of a whole step.
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
    /// If the split is too short for a sequence; [`super::check_sequence_length`] tells beforehand.
    pub fn batch(&mut self, train: &Tokens, step: u64) -> Batch {
        let starts = match self.order {
            BatchOrder::Random => self.drawn(train.len(), step),
            BatchOrder::Sequential => self.in_turn(train.len(), step),
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

    /// Where sequences begin: anywhere in the split where a whole one fits, with its targets, all
    /// with the same probability.
    fn drawn(&self, tokens: usize, step: u64) -> Vec<usize> {
        let mut rng = Stream::new(self.seed, "batches").at(step);
        let starts = tokens.saturating_sub(self.block_size) as u64;
        let draw = |_| below(&mut rng, starts) as usize;
        (0..self.batch_size).map(draw).collect()
    }

    /// Where sequences begin: at multiples of their length, the next of the epochs' orders.
    fn in_turn(&mut self, tokens: usize, step: u64) -> Vec<usize> {
        let per_epoch = sequences_per_epoch(tokens as u64, self.block_size);
        let first = step * self.batch_size as u64;
        let last_start = tokens - 1 - self.block_size;
        let turns = first..first + self.batch_size as u64;
        let mut starts = Vec::with_capacity(self.batch_size);
        for turn in turns {
            let order = self.order_of(turn / per_epoch, per_epoch);
            let sequence = order[(turn % per_epoch) as usize];
            starts.push((sequence * self.block_size).min(last_start));
        }
        starts
    }

    /// The order of an epoch (Fisher & Yates, in Durstenfeld's form).
    fn order_of(&mut self, epoch: u64, sequences: u64) -> &[usize] {
        if self
            .shuffle
            .as_ref()
            .is_none_or(|shuffle| shuffle.epoch != epoch)
        {
            let mut rng = Stream::new(self.seed, "epochs").at(epoch);
            let mut order: Vec<usize> = (0..sequences as usize).collect();
            for i in (1..order.len()).rev() {
                order.swap(i, below(&mut rng, i as u64 + 1) as usize);
            }
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
    fn a_batch_depends_on_seed_and_step_alone() {
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
    fn every_window_is_drawn_and_equally_often() {
        let (len, block_size) = (11, 4);
        let mut batches = Batches::new(1, BatchOrder::Random, block_size, 1000);
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
        for order in [BatchOrder::Random, BatchOrder::Sequential] {
            let batch = Batches::new(1, order, 4, 2).batch(&counting(5), 9);
            assert_eq!(batch.inputs, [0, 1, 2, 3, 0, 1, 2, 3]);
            assert_eq!(batch.targets, [1, 2, 3, 4, 1, 2, 3, 4]);
        }
    }

    /// Where the sequences of the first `n` begin, in batches of `batch_size`.
    fn in_turn(len: u32, block_size: usize, batch_size: usize, n: usize) -> Vec<usize> {
        let mut batches = Batches::new(1, BatchOrder::Sequential, block_size, batch_size);
        let steps = 0..n.div_ceil(batch_size) as u64;
        let rows = steps.flat_map(|step| batches.batch(&counting(len), step).inputs);
        let starts: Vec<usize> = rows.step_by(block_size).collect();
        starts[..n].to_vec()
    }

    #[test]
    fn an_epoch_in_turn_has_every_sequence_once_in_an_order_of_its_own() {
        let starts = in_turn(41, 4, 3, 20);
        let (mut first, mut second) = (starts[..10].to_vec(), starts[10..].to_vec());
        assert_ne!(first, second);
        for epoch in [&mut first, &mut second] {
            epoch.sort_unstable();
            assert_eq!(*epoch, [0, 4, 8, 12, 16, 20, 24, 28, 32, 36]);
        }
    }

    #[test]
    fn the_size_of_a_batch_does_not_change_the_order() {
        assert_eq!(in_turn(41, 4, 3, 60), in_turn(41, 4, 10, 60));
    }

    #[test]
    fn the_last_sequence_of_an_epoch_is_whole() {
        let mut starts = in_turn(44, 4, 3, 11);
        starts.sort_unstable();
        // Its last target is the last token.
        assert_eq!(starts[9..], [36, 39]);
    }
}
