//! Two threads that hand work to each other every few microseconds, as drawing text needs: a thread
//! pool takes about as long to hand over half of a product as the half takes.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Builder, Thread};

/// What the other thread is handed, and what it comes to.
type Work = Box<dyn FnOnce() -> Vec<f32> + Send>;

/// Nothing is to be done.
const IDLE: u8 = 0;
/// There is work in the slot.
const POSTED: u8 = 1;
/// There is a result in the slot.
const DONE: u8 = 2;
/// No more work will come.
const CLOSED: u8 = 3;
/// The other thread has panicked.
const BROKEN: u8 = 4;

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
struct Slot {
    work: Option<Work>,
    result: Vec<f32>,
}

thread_local! {
    static PARTNER: RefCell<Option<(Arc<Duet>, Thread)>> = const { RefCell::new(None) };
}

/// Does `work` with another thread at hand for [`beside`], where there may be two: rayon says.
pub fn together<R>(work: impl FnOnce() -> R) -> R {
    if rayon::current_num_threads() < 2 {
        return work();
    }
    let duet = Arc::new(Duet::default());
    thread::scope(|scope| {
        let served = duet.clone();
        let Ok(other) = Builder::new().spawn_scoped(scope, move || served.serve()) else {
            return work(); // alone, since it can be done alone
        };
        let partner = (duet, other.thread().clone());
        PARTNER.set(Some(partner));
        let _closing = Closing;
        work()
    })
}

/// Lets the other thread go when [`together`] ends, by a panic too.
struct Closing;

impl Drop for Closing {
    fn drop(&mut self) {
        if let Some((duet, other)) = PARTNER.take() {
            duet.state.store(CLOSED, Ordering::SeqCst);
            other.unpark();
        }
    }
}

/// The results of `mine` and of `other`, which another thread has done meanwhile, where [`together`]
/// has put one at hand.
pub(super) fn beside<R>(mine: impl FnOnce() -> R, other: Work) -> (R, Vec<f32>) {
    // Not borrowed while there is work done, which might come back here.
    match PARTNER.take() {
        None => (mine(), other()),
        Some((duet, thread)) => {
            duet.post(other, &thread);
            PARTNER.set(Some((duet.clone(), thread)));
            (mine(), duet.result())
        }
    }
}

impl Duet {
    fn slot(&self) -> std::sync::MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn post(&self, work: Work, other: &Thread) {
        self.slot().work = Some(work);
        let idle = self
            .state
            .compare_exchange(IDLE, POSTED, Ordering::SeqCst, Ordering::SeqCst);
        assert!(idle != Err(BROKEN), "the other thread is there");
        if self.asleep.load(Ordering::SeqCst) {
            other.unpark();
        }
    }

    fn result(&self) -> Vec<f32> {
        let mut looks = 0u32;
        loop {
            match self.state.load(Ordering::SeqCst) {
                DONE => break,
                BROKEN => panic!("the other thread has panicked"),
                _ => {}
            }
            looks += 1;
            // The other may be waiting for this very core.
            match looks % PATIENCE {
                0 => thread::yield_now(),
                _ => std::hint::spin_loop(),
            }
        }
        self.state.store(IDLE, Ordering::SeqCst);
        std::mem::take(&mut self.slot().result)
    }

    /// What the other thread does, until [`CLOSED`].
    fn serve(&self) {
        struct Breaking<'a>(&'a Duet);
        impl Drop for Breaking<'_> {
            fn drop(&mut self) {
                if thread::panicking() {
                    self.0.state.store(BROKEN, Ordering::SeqCst);
                }
            }
        }
        let _breaking = Breaking(self);
        let mut looks = 0;
        loop {
            match self.state.load(Ordering::SeqCst) {
                CLOSED => return,
                POSTED => {
                    looks = 0;
                    let work = self.slot().work.take();
                    if let Some(work) = work {
                        let result = work();
                        self.slot().result = result;
                        self.state.store(DONE, Ordering::SeqCst);
                    }
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
    #[should_panic(expected = "the other thread has panicked")]
    fn a_panic_of_the_other_is_not_waited_for() {
        pool(2).install(|| together(|| beside(|| (), Box::new(|| panic!("as it should")))));
    }

    #[test]
    fn together_ends_with_the_panic_of_its_work() {
        let work = || pool(2).install(|| together(|| panic!("as it should")));
        assert!(std::panic::catch_unwind(work).is_err());
        assert_eq!(sums(2), [0.0, 3.0]);
    }
}
