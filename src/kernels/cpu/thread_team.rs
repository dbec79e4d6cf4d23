//! The threads of a run, which compute the items of a step together.
//!
//! A step of a small model takes less than a millisecond, and its threads wait for each other several times. So
//! they wait by looking again and again, and sleep only if that takes long. A thread that yields to other processes,
//! as those of rayon do, gets its core back some milliseconds later.

use std::any::Any;
use std::cell::RefCell;
use std::mem::{forget, transmute};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Builder, Thread};

/// Checks of a condition before a thread that waits for it sleeps. They take about 50 µs.
const SPIN_LIMIT: u32 = 2000;

/// The work of one call of [`map`].
struct Job {
    /// Computes the item with this index. It exists until all items are computed.
    compute: *const (dyn Fn(usize) + Sync),
    count: usize,
    /// The next item that nobody has begun.
    next: AtomicUsize,
    /// Items that are computed.
    done: AtomicUsize,
    /// The first panic.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    caller: Thread,
}

// SAFETY: the function that `compute` points to is `Sync`, and the other fields are `Send` and `Sync`.
unsafe impl Send for Job {}
// SAFETY: as for `Send`.
unsafe impl Sync for Job {}

/// What the threads share.
#[derive(Default)]
struct Team {
    job: Mutex<Option<Arc<Job>>>,
    /// How many jobs there have been.
    jobs: AtomicUsize,
    is_closed: AtomicBool,
}

/// A team, and its threads besides the one that leads it.
type Led = (Arc<Team>, Vec<Thread>);

thread_local! {
    /// The team that this thread leads. `None` while it computes items.
    static TEAM: RefCell<Option<Led>> = const { RefCell::new(None) };
}

/// Runs `work` on this thread, with `threads - 1` others for [`map`].
pub(crate) fn with_team<R>(threads: usize, work: impl FnOnce() -> R) -> R {
    let team = Arc::new(Team::default());
    thread::scope(|scope| {
        let spawn = |_| {
            let team = team.clone();
            // With fewer threads the run takes longer.
            let spawned = Builder::new().spawn_scoped(scope, move || team.serve());
            spawned.ok().map(|handle| handle.thread().clone())
        };
        let others: Vec<Thread> = (1..threads).filter_map(spawn).collect();
        let _end = EndOfTeam {
            outer: TEAM.replace(Some((team.clone(), others.clone()))),
            team,
            others,
        };
        work()
    })
}

/// Ends a team, also after a panic.
struct EndOfTeam {
    /// The team that this thread led before.
    outer: Option<Led>,
    team: Arc<Team>,
    others: Vec<Thread>,
}

impl Drop for EndOfTeam {
    fn drop(&mut self) {
        TEAM.set(self.outer.take());
        self.team.is_closed.store(true, Ordering::Release);
        self.others.iter().for_each(Thread::unpark);
    }
}

/// Threads of the team that this thread leads, if it leads one.
pub(crate) fn threads() -> Option<usize> {
    TEAM.with_borrow(|team| team.as_ref().map(|(_, others)| others.len() + 1))
}

/// Applies `f` to items on all threads of the team, which begin them in their order. The results are in this order
/// too. Without a team, or inside of `f`, this thread does it alone.
pub(crate) fn map<T: Send, R: Send>(items: Vec<T>, f: impl Fn(T) -> R + Sync) -> Vec<R> {
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

/// Locks a mutex whose value is whole even after a panic.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
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
        // SAFETY: only the lifetime changes, and `Job::work` calls it only while this function waits.
        let compute = unsafe {
            transmute::<*const (dyn Fn(usize) + Sync), *const (dyn Fn(usize) + Sync + 'static)>(
                compute,
            )
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
        let mut last_job = 0;
        loop {
            wait_until(|| {
                let is_new = self.jobs.load(Ordering::Acquire) != last_job;
                is_new || self.is_closed.load(Ordering::Acquire)
            });
            if self.is_closed.load(Ordering::Acquire) {
                return;
            }
            last_job = self.jobs.load(Ordering::Acquire);
            let job = lock(&self.job).clone();
            if let Some(job) = job {
                job.work();
            }
        }
    }
}

impl Job {
    /// Computes items until all are begun. Does not panic, so that [`Team::run`] always waits for the others.
    fn work(&self) {
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            if index >= self.count {
                return;
            }
            // SAFETY: this item is not computed yet, and until all are, `Team::run` keeps the function.
            let compute = AssertUnwindSafe(|| unsafe { (*self.compute)(index) });
            if let Err(panic) = catch_unwind(compute) {
                let mut first = lock(&self.panic);
                match &*first {
                    None => *first = Some(panic),
                    Some(_) => forget(panic), // to drop it could panic
                }
            }
            if self.done.fetch_add(1, Ordering::AcqRel) + 1 == self.count {
                self.caller.unpark();
            }
        }
    }
}

/// Waits until `is_over`. Whoever makes it true unparks this thread afterwards.
fn wait_until(is_over: impl Fn() -> bool) {
    if !spin_until(&is_over) {
        while !is_over() {
            thread::park();
        }
    }
}

/// Waits for about 50 µs, and returns whether `is_over` then.
pub(crate) fn spin_until(is_over: impl Fn() -> bool) -> bool {
    for _ in 0..SPIN_LIMIT {
        if is_over() {
            return true;
        }
        std::hint::spin_loop();
    }
    false
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
    fn a_team_inside_of_a_team_ends_before_it() {
        with_team(2, || {
            with_team(3, || assert_eq!(threads(), Some(3)));
            assert_eq!(threads(), Some(2));
            assert_eq!(map(vec![1, 2], |i| i + 1), [2, 3]);
        });
        assert_eq!(threads(), None);
    }

    #[test]
    fn an_item_may_call_map() {
        let rows = with_team(2, || map(vec![10, 20], |i| map(vec![1, 2], move |j| i + j)));
        assert_eq!(rows, [[11, 12], [21, 22]]);
    }
}
