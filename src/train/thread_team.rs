//! The threads of a run, which compute the items of a step together.
//!
//! A step of a small model takes less than a millisecond, and its threads wait for each other several times. So
//! they wait by looking again and again, and sleep only if that takes long. A thread that yields to other processes,
//! as those of rayon do, gets its core back some milliseconds later.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Builder, Thread};

/// How often a thread looks for what it waits for before it sleeps. This takes about 50 µs.
const LOOKS: u32 = 2000;

/// The work of one call of [`map`].
struct Job {
    /// Computes the item with this index.
    compute: &'static (dyn Fn(usize) + Sync),
    count: usize,
    /// The next item that nobody has begun.
    next: AtomicUsize,
    /// Items that are computed.
    done: AtomicUsize,
    /// The first panic.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    caller: Thread,
}

/// What the threads share.
#[derive(Default)]
struct Team {
    job: Mutex<Option<Arc<Job>>>,
    /// How many jobs there have been.
    jobs: AtomicUsize,
    is_closed: AtomicBool,
}

thread_local! {
    /// The team that this thread leads, and its other threads.
    static TEAM: RefCell<Option<(Arc<Team>, Vec<Thread>)>> = const { RefCell::new(None) };
}

/// Runs `work` on this thread, with `threads - 1` others for [`map`].
pub(super) fn with_team<R>(threads: usize, work: impl FnOnce() -> R) -> R {
    let team = Arc::new(Team::default());
    thread::scope(|scope| {
        let spawn = |_| {
            let team = team.clone();
            // With fewer threads the run takes longer.
            let spawned = Builder::new().spawn_scoped(scope, move || team.serve());
            spawned.ok().map(|handle| handle.thread().clone())
        };
        let others: Vec<Thread> = (1..threads).filter_map(spawn).collect();
        TEAM.set(Some((team.clone(), others)));
        let _end = EndOfTeam;
        work()
    })
}

/// Ends the team of this thread, also after a panic.
struct EndOfTeam;

impl Drop for EndOfTeam {
    fn drop(&mut self) {
        if let Some((team, others)) = TEAM.take() {
            team.is_closed.store(true, Ordering::Release);
            others.iter().for_each(Thread::unpark);
        }
    }
}

/// Applies `f` to items on all threads of the team. The results are in the order of the items. Without a team, or
/// inside of `f`, this thread does it alone.
pub(super) fn map<T: Send, R: Send>(items: Vec<T>, f: impl Fn(T) -> R + Sync) -> Vec<R> {
    let team = match items.len() {
        0 | 1 => None,
        _ => TEAM.take(),
    };
    let Some((team, others)) = team else {
        return items.into_iter().map(f).collect();
    };
    let items: Vec<Mutex<Option<T>>> = items
        .into_iter()
        .map(|item| Mutex::new(Some(item)))
        .collect();
    let results: Vec<Mutex<Option<R>>> = items.iter().map(|_| Mutex::new(None)).collect();
    let compute = |index: usize| {
        let item = lock(&items[index]).take();
        *lock(&results[index]) = item.map(&f);
    };
    let panic = team.run(&others, items.len(), &compute);
    TEAM.set(Some((team, others)));
    if let Some(panic) = panic {
        resume_unwind(panic);
    }
    let results = results.into_iter().map(|result| result.into_inner());
    let results = results.map(|result| result.unwrap_or_else(PoisonError::into_inner));
    results
        .map(|result| result.expect("every item is computed"))
        .collect()
}

/// Nobody panics while one of these locks is held.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Team {
    /// Computes the items with the indices below `count`, and returns the first panic.
    fn run(
        &self,
        others: &[Thread],
        count: usize,
        compute: &(dyn Fn(usize) + Sync),
    ) -> Option<Box<dyn Any + Send>> {
        // SAFETY: `compute` is called once for each item. This function ends after the last of these calls.
        // Whoever holds the job longer gets no item.
        let compute = unsafe {
            std::mem::transmute::<&(dyn Fn(usize) + Sync), &'static (dyn Fn(usize) + Sync)>(compute)
        };
        let job = Arc::new(Job {
            compute,
            count,
            next: AtomicUsize::new(0),
            done: AtomicUsize::new(0),
            panic: Mutex::new(None),
            caller: thread::current(),
        });
        *lock(&self.job) = Some(job.clone());
        self.jobs.fetch_add(1, Ordering::Release);
        others.iter().for_each(Thread::unpark);
        job.work();
        wait_until(|| job.done.load(Ordering::Acquire) == count);
        *lock(&self.job) = None;
        lock(&job.panic).take()
    }

    /// Takes part in each job until the team is closed.
    fn serve(&self) {
        let mut seen = 0;
        loop {
            wait_until(|| {
                self.jobs.load(Ordering::Acquire) != seen || self.is_closed.load(Ordering::Acquire)
            });
            if self.is_closed.load(Ordering::Acquire) {
                return;
            }
            seen = self.jobs.load(Ordering::Acquire);
            let job = lock(&self.job).clone();
            if let Some(job) = job {
                job.work();
            }
        }
    }
}

impl Job {
    /// Computes items until all are begun.
    fn work(&self) {
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            if index >= self.count {
                return;
            }
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (self.compute)(index))) {
                lock(&self.panic).get_or_insert(panic);
            }
            if self.done.fetch_add(1, Ordering::AcqRel) + 1 == self.count {
                self.caller.unpark();
            }
        }
    }
}

/// Waits until `is_over`. Whoever makes it true unparks this thread afterwards.
fn wait_until(is_over: impl Fn() -> bool) {
    let mut looks = 0;
    while !is_over() {
        match looks < LOOKS {
            true => std::hint::spin_loop(),
            false => thread::park(),
        }
        looks += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn results_are_in_the_order_of_the_items() {
        for threads in [0, 1, 2, 5] {
            with_team(threads, || {
                for count in [0, 1, 2, 3, 100] {
                    let squares = map((0..count).collect(), |i: usize| i * i);
                    assert_eq!(squares, (0..count).map(|i| i * i).collect::<Vec<_>>());
                }
            });
        }
        assert_eq!(map(vec![1, 2], |i| i + 1), [2, 3], "without a team");
    }

    #[test]
    fn several_threads_take_part() {
        with_team(2, || {
            // Each waits for the other.
            let barrier = std::sync::Barrier::new(2);
            let leaders = map(vec![(), ()], |()| barrier.wait().is_leader());
            assert!(leaders.contains(&true));
        });
    }

    #[test]
    fn threads_that_sleep_are_woken() {
        with_team(3, || {
            for _ in 0..5 {
                thread::sleep(Duration::from_millis(2)); // longer than they look for work
                let slow = |i: u64| thread::sleep(Duration::from_millis(i));
                map((0..4).collect(), slow);
            }
        });
    }

    #[test]
    fn a_panic_reaches_the_caller_after_all_items() {
        let done = AtomicUsize::new(0);
        let item = |i: usize| {
            assert!(i != 3, "item three");
            done.fetch_add(1, Ordering::Relaxed);
        };
        with_team(2, || {
            let panic = catch_unwind(AssertUnwindSafe(|| map((0..10).collect(), item)));
            let message = panic.unwrap_err();
            assert_eq!(message.downcast_ref::<&str>(), Some(&"item three"));
            assert_eq!(done.load(Ordering::Relaxed), 9);
            assert_eq!(map(vec![1, 2], |i| i + 1), [2, 3], "the team goes on");
        });
    }

    #[test]
    fn an_item_may_call_map() {
        let rows = with_team(2, || map(vec![10, 20], |i| map(vec![1, 2], move |j| i + j)));
        assert_eq!(rows, [[11, 12], [21, 22]]);
    }
}
