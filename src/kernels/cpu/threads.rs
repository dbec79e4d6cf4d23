//! Two threads that hand work to each other every few microseconds, as drawing text needs: a thread
//! pool takes about as long to hand over half of a product as the half takes.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Builder, Thread, available_parallelism};

/// What the other thread is handed, and what it comes to. It is called once, and comes back with its
/// result: what it has of this thread's memory is then let go by this thread, without the two of them
/// waiting for each other's caches.
type Work = Box<dyn FnMut() -> Vec<f32> + Send>;

/// Nothing is to be done.
const IDLE: u8 = 0;
/// There is work in the slot, or being done.
const POSTED: u8 = 1;
/// There is a result in the slot.
const DONE: u8 = 2;
/// No more work will come.
const CLOSED: u8 = 3;

/// Looks at the state before the other thread goes to sleep: some 100 µs, longer than it takes from
/// one product of a token to the next.
const PATIENCE: u32 = 4096;

#[derive(Default)]
struct Duet {
    state: AtomicU8,
    /// Whether the other thread sleeps, or is about to.
    asleep: AtomicBool,
    slot: Mutex<Slot>,
}

#[derive(Default)]
enum Slot {
    #[default]
    Empty,
    Work(Work),
    /// An error is the panic of the work.
    Result(thread::Result<Vec<f32>>, Work),
}

/// The other thread, and where it is handed work.
#[derive(Clone)]
struct Partner {
    duet: Arc<Duet>,
    thread: Thread,
}

thread_local! {
    /// Of this thread, while it has one and none of its work is with it.
    static PARTNER: RefCell<Option<Partner>> = const { RefCell::new(None) };
}

/// Does `work` with another thread at hand for [`beside`], where there may be two: as many as the pool
/// has that this thread is of, or the machine.
pub fn together<R>(work: impl FnOnce() -> R) -> R {
    let threads = match rayon::current_thread_index() {
        Some(_) => rayon::current_num_threads(),
        None => available_parallelism().map_or(1, usize::from),
    };
    if threads < 2 || PARTNER.with_borrow(Option::is_some) {
        return work();
    }
    let duet = Arc::new(Duet::default());
    thread::scope(|scope| {
        let served = duet.clone();
        let Ok(other) = Builder::new().spawn_scoped(scope, move || served.serve()) else {
            return work(); // alone, since it can be done alone
        };
        let thread = other.thread().clone();
        let partner = Partner { duet, thread };
        PARTNER.set(Some(partner.clone()));
        let _closing = Closing(partner);
        work()
    })
}

/// Lets the other thread go when [`together`] ends, by a panic too.
struct Closing(Partner);

impl Drop for Closing {
    fn drop(&mut self) {
        PARTNER.set(None);
        self.0.duet.state.store(CLOSED, Ordering::SeqCst);
        self.0.thread.unpark();
    }
}

/// The results of `mine` and of `other`, which another thread has done meanwhile, where [`together`]
/// has put one at hand that is not at work already.
pub(crate) fn beside<R>(mine: impl FnOnce() -> R, mut other: Work) -> (R, Vec<f32>) {
    let Some(partner) = PARTNER.take() else {
        return (mine(), other());
    };
    partner.post(other);
    let results = (mine(), partner.duet.result());
    PARTNER.set(Some(partner));
    results
}

impl Partner {
    fn post(&self, work: Work) {
        self.duet.put(Slot::Work(work));
        self.duet.state.store(POSTED, Ordering::SeqCst);
        if self.duet.asleep.load(Ordering::SeqCst) {
            self.thread.unpark();
        }
    }
}

impl Duet {
    /// Puts something into the slot, and takes out what was there.
    fn put(&self, new: Slot) -> Slot {
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *slot, new)
    }

    fn result(&self) -> Vec<f32> {
        let mut looks = 0u32;
        while self.state.load(Ordering::SeqCst) != DONE {
            looks += 1;
            // The other may be waiting for this very core.
            match looks % PATIENCE {
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

    /// What the other thread does, until [`CLOSED`].
    fn serve(&self) {
        let mut looks = 0;
        loop {
            match self.state.load(Ordering::SeqCst) {
                CLOSED => return,
                POSTED => {
                    looks = 0;
                    if let Slot::Work(mut work) = self.put(Slot::Empty) {
                        let result = catch_unwind(AssertUnwindSafe(&mut work));
                        self.put(Slot::Result(result, work));
                    }
                    // Unless it is closed: nobody waits for the result then.
                    let _ = self.state.compare_exchange(
                        POSTED,
                        DONE,
                        Ordering::SeqCst,
                        Ordering::SeqCst,
                    );
                }
                _ if looks < PATIENCE => {
                    looks += 1;
                    std::hint::spin_loop();
                }
                _ => self.sleep(),
            }
        }
    }

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

    /// Sums of this thread's and the other's numbers.
    fn sums(rounds: u32) -> Vec<f32> {
        let round = |i| {
            if i % 100 == 50 {
                thread::sleep(Duration::from_millis(2)); // long enough for the other to fall asleep
            }
            let (mine, other) = beside(|| i as f32, Box::new(move || vec![2.0 * i as f32]));
            mine + other[0]
        };
        (0..rounds).map(round).collect()
    }

    #[test]
    fn two_threads_come_to_what_one_comes_to() {
        let alone = sums(300);
        for threads in [1, 2] {
            assert_eq!(pool(threads).install(|| together(|| sums(300))), alone);
        }
    }

    #[test]
    fn work_is_done_by_the_other_thread() {
        let other = pool(2).install(|| {
            let this = thread::current().id();
            together(|| {
                let is_other = move || vec![f32::from(u8::from(thread::current().id() != this))];
                beside(|| (), Box::new(is_other)).1
            })
        });
        assert_eq!(other, [1.0]);
    }

    #[test]
    #[should_panic(expected = "of the other")]
    fn a_panic_of_the_other_thread_is_one_of_this() {
        pool(2).install(|| together(|| beside(|| (), Box::new(|| panic!("of the other")))));
    }

    #[test]
    fn together_ends_with_the_panic_of_its_work() {
        let idle = || together::<()>(|| panic!("as it should"));
        let busy = || {
            together(|| {
                let other = || {
                    thread::sleep(Duration::from_millis(20));
                    Vec::new()
                };
                beside(|| panic!("as it should"), Box::new(other)).0
            })
        };
        for work in [&idle as &(dyn Fn() + Sync), &busy] {
            let panicked = pool(2).install(|| catch_unwind(AssertUnwindSafe(work)).is_err());
            assert!(panicked);
        }
        assert_eq!(sums(2), [0.0, 3.0]);
    }

    #[test]
    fn work_within_work_is_done_by_the_thread_it_is_on() {
        let nested = || beside(|| 1.0, Box::new(|| vec![2.0]));
        let inner = || together(|| beside(nested, Box::new(move || nested().1)));
        let ((one, two), other) = pool(2).install(|| together(inner));
        assert_eq!((one, two, other), (1.0, vec![2.0], vec![2.0]));
    }
}
