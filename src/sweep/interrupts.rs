use super::Error;
use std::sync::atomic::{AtomicU32, Ordering};

static REQUESTS: AtomicU32 = AtomicU32::new(0);

/// From here on Ctrl-C, and a request of the system to end, no longer end the process but are
/// counted. Until then they end it at once, which every stage before training survives.
pub(super) fn listen() -> Result<(), Error> {
    ctrlc::set_handler(|| {
        REQUESTS.fetch_add(1, Ordering::Relaxed);
    })
    .map_err(Error::Signals)
}

/// How often this process has been asked to end.
pub(super) fn requests() -> u32 {
    REQUESTS.load(Ordering::Relaxed)
}
