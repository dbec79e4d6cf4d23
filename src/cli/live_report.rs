//! The report of a sweep while it runs.

use super::Error;
use crate::report::{Report, ReportError};
use crate::results::{RunStatus, Sealed, SweepPlan};
use crate::sweep::Observer;
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
    /// The names of the runs that are being trained.
    running: Arc<Mutex<HashSet<String>>>,
    /// The names of all runs of the plan.
    names: Vec<String>,
    /// Gets the reason if a report cannot be written, once.
    failure: Receiver<String>,
    thread: Option<JoinHandle<()>>,
}

impl LiveReport {
    /// `template` is that of [`Report::render`]. Nothing is written if `is_in_place` says that the folder is gone.
    pub(super) fn start(
        folder: PathBuf,
        is_in_place: impl Fn() -> bool + Send + 'static,
        plan: SweepPlan,
        template: Option<String>,
        interval: Duration,
    ) -> Self {
        let (ended, ends) = channel();
        let (tell, failure) = channel();
        let mut tell = Some(tell);
        let names = plan.runs.iter().map(|run| run.name.clone()).collect();
        let running = Arc::new(Mutex::new(HashSet::new()));
        let running_now = Arc::clone(&running);
        let write = move || {
            let plan = Sealed::verified(plan.clone());
            let running = lock(&running_now).clone();
            let report = Report::render_live(&folder, plan, template.as_deref(), &running);
            if !is_in_place() {
                return; // the sweep notices it, too
            }
            // If it still fails at the end of the sweep, that is an error.
            if let Err(error) = report.and_then(|report| report.write())
                && let Some(tell) = tell.take()
            {
                let _ = tell.send(notice(error));
            }
        };
        // Without a thread, there is only the report after the sweep.
        let thread = thread::Builder::new().spawn(move || write_again(&ends, interval, write));
        Self {
            ended: Some(ended),
            running,
            names,
            failure,
            thread: thread.ok(),
        }
    }
}

/// No code that could panic holds the lock.
fn lock(running: &Mutex<HashSet<String>>) -> MutexGuard<'_, HashSet<String>> {
    running.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is said when a report cannot be written.
fn notice(error: ReportError) -> String {
    format!(
        "note: the report cannot be written: {}; the runs go on, and it is tried again until they have ended",
        Error::Report(error).with_causes().trim_end()
    )
}

impl Observer for LiveReport {
    fn take_notice(&mut self) -> Option<String> {
        self.failure.try_recv().ok()
    }

    fn started(&mut self, run: usize, _name: &str, _steps: u64, _saved_step: Option<u64>) {
        lock(&self.running).insert(self.names[run].clone());
    }

    fn ended(&mut self, run: usize, _text: &str, _status: Option<&RunStatus>) {
        lock(&self.running).remove(&self.names[run]);
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
fn write_again(ends: &Receiver<()>, interval: Duration, mut write: impl FnMut()) {
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
    use crate::results::testing::plan_of;
    use std::fs;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn a_report_that_cannot_be_written_is_said_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "no folder").unwrap();
        let plan =
            plan_of("{name: x, sweep: {seeds: 2, variants: {a: {}, b: {model: {n_layer: 2}}}}}");
        let mut live =
            LiveReport::start(file.clone(), || true, plan, None, Duration::from_millis(1));
        let start = Instant::now();
        let notice = loop {
            if let Some(notice) = live.take_notice() {
                break notice;
            }
            assert!(start.elapsed() < Duration::from_secs(60));
            thread::sleep(Duration::from_millis(1));
        };
        let expected = "note: the report cannot be written: cannot ";
        assert!(notice.starts_with(expected), "{notice}");
        assert!(notice.contains(file.to_str().unwrap()), "{notice}");
        thread::sleep(Duration::from_millis(50));
        assert_eq!(live.take_notice(), None);
    }

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
