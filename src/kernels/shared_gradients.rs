//! Gradients of large weights that the shards of a batch add up in one place, instead of one gradient for each
//! shard, which would take more memory than the weights and the optimizer together.
//!
//! Each shard adds its products in its turn, so that the order of the sums, and with it their bits, is that of the
//! shards. A shard waits for the one before it, which has usually finished this weight already.

use super::cpu::matmul::{self, Accumulate, TERMS, View, matmul};
use super::cpu::simd::add_assign;
use super::cpu::storage::{matrix, slice, slice_mut};
use super::cpu::thread_team::{lock, spin_until};
use super::matrix::Matrix;
use crate::spec::Precision;
use dfdx::prelude::*;
use std::any::Any;
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// How often a shard waits for 50 µs before it sleeps until its turn.
const WAITS: usize = 40;

/// The gradients of the large weights of a model, while the shards of a batch are computed.
#[derive(Debug, Default)]
pub struct SharedGradients {
    /// By the address of the first element of the weight.
    by_weight: HashMap<usize, SharedGradient>,
}

/// The gradient of one weight.
#[derive(Debug, Default)]
struct SharedGradient {
    /// `None` before the first shard.
    sum: Mutex<Option<Matrix<Cpu>>>,
    /// The shards that are done with it, which is the number of the shard whose turn it is.
    turn: AtomicUsize,
    next_turn: Condvar,
}

thread_local! {
    /// The shard that this thread computes.
    static SHARD: RefCell<Option<(Arc<SharedGradients>, usize)>> = const { RefCell::new(None) };
}

impl SharedGradients {
    /// Elements of a weight from which its gradient is shared. The waits cost more than a smaller one saves.
    pub const MIN_ELEMENTS: usize = 1 << 18;

    /// Gradients to which nothing has been added. Only those of large weights on the CPU are shared.
    pub fn new<'a, D: Device<f32>>(weights: impl IntoIterator<Item = &'a Matrix<D>>) -> Arc<Self> {
        let weights = weights.into_iter().filter_map(address);
        Arc::new(Self {
            by_weight: weights
                .map(|address| (address, SharedGradient::default()))
                .collect(),
        })
    }

    /// The gradient of this weight, if it is shared.
    fn of<D: Device<f32>>(&self, weight: &Matrix<D>) -> Option<&SharedGradient> {
        self.by_weight.get(&address(weight)?)
    }

    /// Whether the gradient of this weight can be shared.
    pub fn has<D: Device<f32>>(&self, weight: &Matrix<D>) -> bool {
        self.of(weight).is_some()
    }

    /// Begins with this sum of earlier shards instead of nothing.
    pub fn begin_with<D: Device<f32>>(&self, weight: &Matrix<D>, sum: Matrix<D>) {
        if let Some(shared) = self.of(weight) {
            *lock(&shared.sum) = cast(sum);
        }
    }

    /// Whether the shard with this number has added its gradient of this weight.
    pub fn includes<D: Device<f32>>(&self, weight: &Matrix<D>, number: usize) -> bool {
        let shared = self.of(weight);
        shared.is_some_and(|shared| shared.turn.load(Ordering::Acquire) > number)
    }

    /// The sum of all shards. `None` if the gradient is not shared, or nothing was added.
    pub fn take<D: Device<f32>>(&self, weight: &Matrix<D>) -> Option<Matrix<D>> {
        lock(&self.of(weight)?.sum).take().and_then(cast)
    }

    /// Computes the shard with this number on this thread. The shards before it have been begun, each on a thread of
    /// its own or before on this one.
    pub fn compute_shard<R>(self: &Arc<Self>, number: usize, work: impl FnOnce() -> R) -> R {
        let _end = EndOfShard {
            outer: SHARD.replace(Some((self.clone(), number))),
        };
        work()
    }
}

/// Lets the later shards continue, also after an error or a panic.
struct EndOfShard {
    /// A shard that waits for other threads, on one of which this thread began this shard.
    outer: Option<(Arc<SharedGradients>, usize)>,
}

impl Drop for EndOfShard {
    fn drop(&mut self) {
        if let Some((gradients, number)) = SHARD.replace(self.outer.take()) {
            for shared in gradients.by_weight.values() {
                if shared.turn.load(Ordering::Acquire) <= number {
                    shared.wait_for_turn(number);
                    shared.end_turn();
                }
            }
        }
    }
}

/// Adds `gyᵀ x` to the shared gradient of a weight (D, C), for gy (N, D) and x (N, C). Returns whether there is one.
pub(super) fn add_product(precision: Precision, weight: &Matrix<Cpu>, gy: View, x: View) -> bool {
    let shard = SHARD.with_borrow(Clone::clone);
    let Some((gradients, number)) = shard else {
        return false;
    };
    let Some(shared) = gradients.of(weight) else {
        return false;
    };
    shared.wait_for_turn(number);
    let mut sum = lock(&shared.sum);
    match &mut *sum {
        None => {
            *sum = Some(matrix(
                *weight.shape(),
                matmul::product(precision, gy.t(), x),
            ))
        }
        // With more rows, `Accumulate::Add` would add each block of terms by itself, and change the bits.
        Some(sum) if x.row_count() <= TERMS => {
            let stride = weight.shape().1;
            matmul(
                precision,
                slice_mut(sum),
                stride,
                Accumulate::Add,
                gy.t(),
                x,
            );
        }
        Some(sum) => add_assign(slice_mut(sum), &matmul::product(precision, gy.t(), x)),
    }
    drop(sum);
    shared.end_turn();
    true
}

impl SharedGradient {
    fn wait_for_turn(&self, number: usize) {
        let is_turn = || {
            let turn = self.turn.load(Ordering::Acquire);
            assert!(turn <= number, "a large weight has one product in a pass");
            turn == number
        };
        // About as long as the product of an earlier shard takes.
        if (0..WAITS).any(|_| spin_until(is_turn)) {
            return;
        }
        let mut sum = lock(&self.sum);
        while !is_turn() {
            sum = self
                .next_turn
                .wait(sum)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn end_turn(&self) {
        // With the lock, so that nobody is between looking and sleeping.
        let _sum = lock(&self.sum);
        self.turn.fetch_add(1, Ordering::Release);
        self.next_turn.notify_all();
    }
}

/// The address of the first element of a large weight on the CPU.
fn address<D: Device<f32>>(weight: &Matrix<D>) -> Option<usize> {
    let weight = (weight as &dyn Any).downcast_ref::<Matrix<Cpu>>()?;
    let elements = slice(weight);
    (elements.len() >= SharedGradients::MIN_ELEMENTS).then(|| elements.as_ptr().addr())
}

/// A matrix of the CPU as one of `D`, or the reverse, if these are the same.
fn cast<From: 'static, To: 'static>(value: From) -> Option<To> {
    (&mut Some(value) as &mut dyn Any)
        .downcast_mut::<Option<To>>()
        .and_then(Option::take)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::cpu::matmul::product;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::thread;

    const SHAPE: (usize, usize) = (1 << 9, 1 << 9);

    fn numbers(len: usize, seed: usize) -> Vec<f32> {
        (0..len).map(|i| ((i + seed) as f32).sin()).collect()
    }

    fn add(weight: &Matrix<Cpu>, gy: &[f32], x: &[f32]) -> bool {
        let rows = gy.len() / SHAPE.0;
        let (gy, x) = (View::new(gy, rows, SHAPE.0), View::new(x, rows, SHAPE.1));
        add_product(Precision::F32, weight, gy, x)
    }

    /// Shards of few rows and of more than are added up in one chain, on several threads.
    #[test]
    fn the_sum_is_that_of_one_shard_after_another() {
        for (rows, has_earlier) in [(3, true), (3, false), (TERMS + 2, true), (TERMS + 2, false)] {
            let weight = matrix(SHAPE, vec![0.0; SHAPE.0 * SHAPE.1]);
            let shards: Vec<_> = (0..3)
                .map(|i| (numbers(rows * SHAPE.0, i), numbers(rows * SHAPE.1, 7 + i)))
                .collect();
            let before = numbers(SHAPE.0 * SHAPE.1, 3);
            let gradients = SharedGradients::new([&weight]);
            assert!(gradients.has(&weight));
            if has_earlier {
                gradients.begin_with(&weight, matrix(SHAPE, before.clone()));
            }
            thread::scope(|scope| {
                for (number, (gy, x)) in shards.iter().enumerate().rev() {
                    let (gradients, weight) = (gradients.clone(), weight.clone());
                    scope.spawn(move || {
                        assert!(gradients.compute_shard(number, || add(&weight, gy, x)));
                        assert!(gradients.includes(&weight, number));
                    });
                }
            });
            let mut expected = match has_earlier {
                true => before,
                false => vec![0.0; before.len()],
            };
            for (gy, x) in &shards {
                let (gy, x) = (View::new(gy, rows, SHAPE.0), View::new(x, rows, SHAPE.1));
                add_assign(&mut expected, &product(Precision::F32, gy.t(), x));
            }
            assert!(slice(&gradients.take(&weight).unwrap()) == expected);
        }
    }

    #[test]
    fn a_shard_that_fails_does_not_stop_the_next_one() {
        let weight = matrix(SHAPE, vec![0.0; SHAPE.0 * SHAPE.1]);
        let gradients = SharedGradients::new([&weight]);
        let (gy, x) = (numbers(SHAPE.0, 0), numbers(SHAPE.1, 1));
        let panics = || gradients.compute_shard(0, || panic!("a shard"));
        assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
        assert!(gradients.compute_shard(1, || add(&weight, &gy, &x)));
        assert!(gradients.take(&weight).is_some());
    }

    #[test]
    fn small_weights_and_other_threads_share_nothing() {
        let small = matrix((2, 2), vec![0.0; 4]);
        let gradients = SharedGradients::new([&small]);
        assert!(!gradients.has(&small));
        assert!(gradients.take(&small).is_none());
        let large = matrix(SHAPE, vec![0.0; SHAPE.0 * SHAPE.1]);
        assert!(
            !add(&large, &numbers(SHAPE.0, 0), &numbers(SHAPE.1, 1)),
            "outside of a shard"
        );
    }
}
