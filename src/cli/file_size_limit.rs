//! What happens at the limit of file sizes (`ulimit -f`). The system sends SIGXFSZ, which ends a process without a word
//! and leaves the file that it was writing.

use nix::sys::signal::{SigSet, Signal};

/// Lets a write beyond the limit fail with an error, as on a full disk. This holds for the threads and processes that
/// are started later.
pub(super) fn fail_writes() {
    // It fails for an invalid set of signals only.
    let _ = signals().thread_block();
}

/// Lets a write beyond the limit end this process.
pub(super) fn end_process() {
    let _ = signals().thread_unblock();
}

fn signals() -> SigSet {
    SigSet::from(Signal::SIGXFSZ)
}
