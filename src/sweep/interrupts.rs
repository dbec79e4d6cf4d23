use super::Error;
use std::sync::atomic::{AtomicU32, Ordering};

static COUNT: AtomicU32 = AtomicU32::new(0);

/// Makes Ctrl-C, SIGTERM and SIGHUP increase [`count`] instead of ending the process. Until this is
/// called they end it at once, which every stage before training survives.
pub(super) fn install_handler() -> Result<(), Error> {
    ctrlc::set_handler(|| {
        COUNT.fetch_add(1, Ordering::Relaxed);
    })
    .map_err(|error| match error {
        ctrlc::Error::System(error) => Error::SignalThread(error),
        error => Error::Signals(error),
    })
}

/// Number of times that this process was asked to end.
pub(super) fn count() -> u32 {
    COUNT.load(Ordering::Relaxed)
}
