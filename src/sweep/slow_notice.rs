use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// Performs `operation`, and calls `notify` once if it takes longer than `delay`. If no thread can be started
/// for the notice, there is none.
pub(super) fn notify_if_slow<T>(
    delay: Duration,
    notify: impl FnOnce() + Send,
    operation: impl FnOnce() -> T,
) -> T {
    let (running, ended) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let _ = thread::Builder::new().spawn_scoped(scope, move || {
            if ended.recv_timeout(delay) == Err(RecvTimeoutError::Timeout) {
                notify();
            }
        });
        let result = operation();
        // Dropping the sender ends the wait of the thread. A panic drops it, too.
        drop(running);
        result
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::sync_channel;

    #[test]
    fn fast_operation_causes_no_notice() {
        let mut notified = false;
        let result = notify_if_slow(Duration::from_secs(3600), || notified = true, || 7);
        assert_eq!((result, notified), (7, false));
    }

    #[test]
    fn notice_comes_while_the_operation_is_still_running() {
        let (sender, receiver) = sync_channel(1);
        let notify = move || sender.send("reading").unwrap();
        let result = notify_if_slow(Duration::ZERO, notify, || receiver.recv().unwrap());
        assert_eq!(result, "reading");
    }
}
