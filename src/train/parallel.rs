//! What a CPU does side by side, and any other device one after another: dfdx's CUDA device cannot
//! be shared among threads, and needs not be.
//!
//! The work is cut before it comes here, in pieces that do not depend on the number of threads, and
//! the results are in the order of the pieces.

use super::evaluation;
use super::optimizer::Update;
use super::trainer::{Shard, Trainer};
use crate::data::{Batch, Corpus, Split};
use crate::kernels::{
    Backend, CpuBackend, DeviceError, GradientSum, Matrix, ReferenceBackend, with_product_threads,
};
use crate::model::Model;
use dfdx::prelude::*;
use rayon::prelude::*;
use std::ops::Range;

/// A backend that can carry out the pieces of a training step.
pub trait Parallel: Backend {
    /// Each shard of a batch, forward and back.
    fn shards(
        trainer: &Trainer<Self>,
        batch: &Batch,
        rows: Vec<Range<usize>>,
    ) -> Result<Vec<Shard<Self>>, DeviceError<Self::Device>>;

    /// For each parameter, the sum of its gradients.
    fn sums(
        gradients: Vec<Vec<Matrix<Self::Device>>>,
    ) -> Result<Vec<GradientSum<Self::Device>>, DeviceError<Self::Device>>;

    /// Each parameter's update.
    fn updates(updates: Vec<Update<Self>>) -> Result<(), DeviceError<Self::Device>>;

    /// Moves each mean by `weight` of the way to its value.
    fn averages(
        means: &mut [Matrix<Self::Device>],
        values: &[&Matrix<Self::Device>],
        weight: f32,
    ) -> Result<(), DeviceError<Self::Device>>;

    /// The summed loss of each piece of a split.
    fn losses(
        model: &Model<Self>,
        corpus: &Corpus,
        split: Split,
        block: usize,
        pieces: Vec<Range<usize>>,
    ) -> Result<Vec<f64>, DeviceError<Self::Device>>;
}

impl Parallel for CpuBackend {
    fn shards(
        trainer: &Trainer<Self>,
        batch: &Batch,
        rows: Vec<Range<usize>>,
    ) -> Result<Vec<Shard<Self>>, CpuError> {
        // Threads that have no shard of their own take part in the products of the others.
        let threads = rayon::current_num_threads() / rows.len().max(1);
        let rows = rows.into_par_iter().with_max_len(1);
        rows.map(|rows| with_product_threads(threads, || trainer.shard(batch, rows)))
            .collect()
    }

    fn sums(gradients: Vec<Vec<Matrix<Cpu>>>) -> Result<Vec<GradientSum<Cpu>>, CpuError> {
        let gradients = gradients.into_par_iter().with_max_len(1);
        gradients.map(Self::sum_gradients).collect()
    }

    fn updates(updates: Vec<Update<Self>>) -> Result<(), CpuError> {
        let updates = updates.into_par_iter().with_max_len(1);
        updates.map(Update::run).collect()
    }

    fn averages(
        means: &mut [Matrix<Cpu>],
        values: &[&Matrix<Cpu>],
        weight: f32,
    ) -> Result<(), CpuError> {
        let pairs = means.par_iter_mut().zip(values).with_max_len(1);
        pairs
            .map(|(mean, value)| Self::average(mean, value, weight))
            .collect()
    }

    fn losses(
        model: &Model<Self>,
        corpus: &Corpus,
        split: Split,
        block: usize,
        pieces: Vec<Range<usize>>,
    ) -> Result<Vec<f64>, CpuError> {
        let pieces = pieces.into_par_iter().with_max_len(1);
        pieces
            .map(|piece| evaluation::piece(model, corpus, split, block, piece))
            .collect()
    }
}

impl<D: Device<f32>> Parallel for ReferenceBackend<D> {
    fn shards(
        trainer: &Trainer<Self>,
        batch: &Batch,
        rows: Vec<Range<usize>>,
    ) -> Result<Vec<Shard<Self>>, DeviceError<D>> {
        rows.into_iter()
            .map(|rows| trainer.shard(batch, rows))
            .collect()
    }

    fn sums(gradients: Vec<Vec<Matrix<D>>>) -> Result<Vec<GradientSum<D>>, DeviceError<D>> {
        gradients.into_iter().map(Self::sum_gradients).collect()
    }

    fn updates(updates: Vec<Update<Self>>) -> Result<(), DeviceError<D>> {
        updates.into_iter().try_for_each(Update::run)
    }

    fn averages(
        means: &mut [Matrix<D>],
        values: &[&Matrix<D>],
        weight: f32,
    ) -> Result<(), DeviceError<D>> {
        let mut pairs = means.iter_mut().zip(values);
        pairs.try_for_each(|(mean, value)| Self::average(mean, value, weight))
    }

    fn losses(
        model: &Model<Self>,
        corpus: &Corpus,
        split: Split,
        block: usize,
        pieces: Vec<Range<usize>>,
    ) -> Result<Vec<f64>, DeviceError<D>> {
        let piece = |piece| evaluation::piece(model, corpus, split, block, piece);
        pieces.into_iter().map(piece).collect()
    }
}
