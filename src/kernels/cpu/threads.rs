//! A helper thread that takes over work every few microseconds, for generating text. A thread pool
//! needs about as long to hand over half of a product as the half takes.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Builder, Thread, available_parallelism};

/// A piece of work for the helper thread. It is called once and comes back with its result. So the
/// calling thread frees the memory that it owns, and the two threads do not contend for cache
/// lines.
type Work = Box<dyn FnMut() -> Vec<f32> + Send>;

/// There is no work.
const IDLE: u8 = 0;
/// There is work in the slot, or the helper is running it.
const POSTED: u8 = 1;
/// There is a result in the slot.
const DONE: u8 = 2;
/// No more work will come.
const CLOSED: u8 = 3;

/// How often the helper reads the state before it goes to sleep. This takes about 100 µs, longer
/// than the time between two products of a token.
const SPIN_LIMIT: u32 = 4096;

/// The state that the two threads share.
#[derive(Default)]
struct Exchange {
    state: AtomicU8,
    /// Whether the helper sleeps, or is about to.
    asleep: AtomicBool,
    slot: Mutex<Slot>,
}

#[derive(Default)]
enum Slot {
    #[default]
    Empty,
    Work(Work),
    /// The result, or the panic of the work, and the work itself.
    Result(thread::Result<Vec<f32>>, Work),
}

/// The helper thread.
#[derive(Clone)]
struct HelperThread {
    exchange: Arc<Exchange>,
    thread: Thread,
}

thread_local! {
    /// The helper of this thread. `None` if it has none, or while the helper is busy.
    static HELPER: RefCell<Option<HelperThread>> = const { RefCell::new(None) };
}

/// Runs `work` with a helper thread for [`join`]. There is no helper if the thread pool of this
/// thread has only one thread, or outside of a pool the machine has only one processor.
pub fn with_helper_thread<R>(work: impl FnOnce() -> R) -> R {
    let threads = match rayon::current_thread_index() {
        Some(_) => rayon::current_num_threads(),
        None => available_parallelism().map_or(1, usize::from),
    };
    if threads < 2 || HELPER.with_borrow(Option::is_some) {
        return work();
    }
    let exchange = Arc::new(Exchange::default());
    thread::scope(|scope| {
        let served = exchange.clone();
        let Ok(spawned) = Builder::new().spawn_scoped(scope, move || served.serve()) else {
            return work(); // the helper is not necessary
        };
        let thread = spawned.thread().clone();
        let helper = HelperThread { exchange, thread };
        HELPER.set(Some(helper.clone()));
        let _guard = CloseGuard(helper);
        work()
    })
}

/// Ends the helper thread when [`with_helper_thread`] ends, also by a panic.
struct CloseGuard(HelperThread);

impl Drop for CloseGuard {
    fn drop(&mut self) {
        HELPER.set(None);
        self.0.exchange.state.store(CLOSED, Ordering::SeqCst);
        self.0.thread.unpark();
    }
}

/// Runs `mine` on this thread and `other` on the helper thread, at the same time, and returns both
/// results. Without a helper thread, or if it is busy, runs one after the other.
pub(crate) fn join<R>(mine: impl FnOnce() -> R, mut other: Work) -> (R, Vec<f32>) {
    let Some(helper) = HELPER.take() else {
        return (mine(), other());
    };
    helper.post(other);
    let results = (mine(), helper.exchange.wait_for_result());
    HELPER.set(Some(helper));
    results
}

impl HelperThread {
    /// Hands over work.
    fn post(&self, work: Work) {
        self.exchange.put(Slot::Work(work));
        self.exchange.state.store(POSTED, Ordering::SeqCst);
        if self.exchange.asleep.load(Ordering::SeqCst) {
            self.thread.unpark();
        }
    }
}

impl Exchange {
    /// Puts something into the slot, and takes out what was there.
    fn put(&self, new: Slot) -> Slot {
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *slot, new)
    }

    /// Waits until the helper is done, without sleeping.
    fn wait_for_result(&self) -> Vec<f32> {
        let mut spins = 0u32;
        while self.state.load(Ordering::SeqCst) != DONE {
            spins += 1;
            // The helper may be waiting for the core that this thread runs on.
            match spins % SPIN_LIMIT {
                0 => thread::yield_now(),
                _ => std::hint::spin_loop(),
            }
        }
        self.state.store(IDLE, Ordering::SeqCst);
        match self.put(Slot::Empty) {
            Slot::Result(result, work) => {
                drop(work);
                result.unwrap_or_else(|panic| resume_unwind(panic))
            }
            Slot::Empty | Slot::Work(_) => unreachable!("the work is done"),
        }
    }

    /// The loop of the helper thread, until the state is [`CLOSED`].
    fn serve(&self) {
        let mut spins = 0;
        loop {
            match self.state.load(Ordering::SeqCst) {
                CLOSED => return,
                POSTED => {
                    spins = 0;
                    if let Slot::Work(mut work) = self.put(Slot::Empty) {
                        let result = catch_unwind(AssertUnwindSafe(&mut work));
                        self.put(Slot::Result(result, work));
                    }
                    // If it is closed, nobody waits for the result.
                    let _ = self.state.compare_exchange(
                        POSTED,
                        DONE,
                        Ordering::SeqCst,
                        Ordering::SeqCst,
                    );
                }
                _ if spins < SPIN_LIMIT => {
                    spins += 1;
                    std::hint::spin_loop();
                }
                _ => self.sleep(),
            }
        }
    }

    /// Sleeps until there is work or the end.
    fn sleep(&self) {
        self.asleep.store(true, Ordering::SeqCst);
        let state = self.state.load(Ordering::SeqCst);
        if state != POSTED && state != CLOSED {
            thread::park();
        }
        self.asleep.store(false, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn pool(threads: usize) -> rayon::ThreadPool {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.unwrap()
    }

    /// Sums of a number of this thread and a number of the helper.
    fn sums(rounds: u32) -> Vec<f32> {
        let round = |i| {
            if i % 100 == 50 {
                thread::sleep(Duration::from_millis(2)); // long enough for the helper to fall asleep
            }
            let (mine, other) = join(|| i as f32, Box::new(move || vec![2.0 * i as f32]));
            mine + other[0]
        };
        (0..rounds).map(round).collect()
    }

    #[test]
    fn two_threads_have_the_result_of_one() {
        let alone = sums(300);
        for threads in [1, 2] {
            assert_eq!(
                pool(threads).install(|| with_helper_thread(|| sums(300))),
                alone
            );
        }
    }

    #[test]
    fn work_runs_on_the_helper_thread() {
        let on_helper = pool(2).install(|| {
            let this = thread::current().id();
            with_helper_thread(|| {
                let is_other = move || vec![f32::from(u8::from(thread::current().id() != this))];
                join(|| (), Box::new(is_other)).1
            })
        });
        assert_eq!(on_helper, [1.0]);
    }

    #[test]
    #[should_panic(expected = "in the helper")]
    fn a_panic_of_the_helper_reaches_the_caller() {
        pool(2)
            .install(|| with_helper_thread(|| join(|| (), Box::new(|| panic!("in the helper")))));
    }

    #[test]
    fn a_panic_of_the_work_ends_the_helper() {
        let idle = || with_helper_thread::<()>(|| panic!("in the caller"));
        let busy = || {
            with_helper_thread(|| {
                let other = || {
                    thread::sleep(Duration::from_millis(20));
                    Vec::new()
                };
                join(|| panic!("in the caller"), Box::new(other)).0
            })
        };
        for work in [&idle as &(dyn Fn() + Sync), &busy] {
            let panicked = pool(2).install(|| catch_unwind(AssertUnwindSafe(work)).is_err());
            assert!(panicked);
        }
        assert_eq!(sums(2), [0.0, 3.0]);
    }

    #[test]
    fn nested_work_runs_on_the_thread_it_is_called_on() {
        let nested = || join(|| 1.0, Box::new(|| vec![2.0]));
        let inner = || with_helper_thread(|| join(nested, Box::new(move || nested().1)));
        let ((one, two), other) = pool(2).install(|| with_helper_thread(inner));
        assert_eq!((one, two, other), (1.0, vec![2.0], vec![2.0]));
    }
}
