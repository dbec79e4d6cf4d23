use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// Does some work, and calls `say` once if it takes longer than `patience`: whoever waits for longer
/// than that wants to know for what.
pub(super) fn with_patience<T>(
    patience: Duration,
    say: impl FnOnce() + Send,
    work: impl FnOnce() -> T,
) -> T {
    let (working, waiting) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            if waiting.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
                say();
            }
        });
        let result = work();
        // Ends the waiting; on a panic, unwinding does.
        drop(working);
        result
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::sync_channel;

    #[test]
    fn says_nothing_of_what_is_done_at_once() {
        let mut said = false;
        let result = with_patience(Duration::from_secs(3600), || said = true, || 7);
        assert_eq!((result, said), (7, false));
    }

    #[test]
    fn speaks_while_the_work_goes_on() {
        let (say, heard) = sync_channel(1);
        let say = move || say.send("reading").unwrap();
        let result = with_patience(Duration::ZERO, say, || heard.recv().unwrap());
        assert_eq!(result, "reading");
    }
}
