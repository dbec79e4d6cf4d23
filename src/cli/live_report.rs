//! The report of a sweep while it runs.

use crate::report::Report;
use crate::results::{RunStatus, Sealed, SweepPlan};
use crate::sweep::Observer;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Shortest time between two reports, although runs end.
const MIN_INTERVAL: Duration = Duration::from_secs(2);

/// Between two reports there are at least so many times the duration of one, so that they take little of the
/// processor from the runs.
const COST_FACTOR: u32 = 50;

/// Writes the report again when runs end and at intervals, in a thread of its own. The last report, after all runs,
/// is not written by it.
pub(super) struct LiveReport {
    /// Tells the thread that a run has ended. `None` after the sweep.
    ended: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl LiveReport {
    /// `template` is that of [`Report::render`].
    pub(super) fn start(
        folder: PathBuf,
        plan: SweepPlan,
        template: Option<String>,
        interval: Duration,
    ) -> Self {
        let (ended, ends) = channel();
        let write = move || {
            let plan = Sealed::verified(plan.clone());
            let report = Report::render_live(&folder, plan, template.as_deref());
            // What keeps it from being written is told at the end of the sweep, if it still does then.
            let _ = report.and_then(|report| report.write());
        };
        // Without a thread, there is only the report after the sweep.
        let thread = thread::Builder::new().spawn(move || write_again(&ends, interval, write));
        Self {
            ended: Some(ended),
            thread: thread.ok(),
        }
    }
}

impl Observer for LiveReport {
    fn ended(&mut self, _run: usize, _text: &str, _status: Option<&RunStatus>) {
        if let Some(ended) = &self.ended {
            let _ = ended.send(());
        }
    }

    fn close(&mut self) {
        self.ended = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for LiveReport {
    fn drop(&mut self) {
        self.close();
    }
}

/// Calls `write` after each interval, and sooner after the end of a run, until the sender is gone.
fn write_again(ends: &Receiver<()>, interval: Duration, write: impl Fn()) {
    let mut last = Instant::now();
    let mut least = MIN_INTERVAL.min(interval);
    let mut next = interval;
    loop {
        match ends.recv_timeout(next.saturating_sub(last.elapsed())) {
            Ok(()) => next = least,
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
                let start = Instant::now();
                write();
                last = Instant::now();
                least = MIN_INTERVAL
                    .min(interval)
                    .max(start.elapsed() * COST_FACTOR);
                next = interval.max(least);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn reports_are_written_until_the_sweep_is_over() {
        let written = AtomicUsize::new(0);
        let (sender, ends) = channel();
        for _ in 0..5 {
            sender.send(()).unwrap();
        }
        let written = &written;
        thread::scope(|scope| {
            scope.spawn(move || {
                write_again(&ends, Duration::from_millis(1), || {
                    written.fetch_add(1, Ordering::Relaxed);
                });
            });
            while written.load(Ordering::Relaxed) < 2 {
                thread::sleep(Duration::from_millis(1));
            }
            drop(sender);
        });
        let (sender, ends) = channel();
        drop(sender);
        write_again(&ends, Duration::ZERO, || panic!("the sweep is over"));
    }
}
