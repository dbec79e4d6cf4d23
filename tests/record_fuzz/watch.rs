//! Ends the process if a case takes too much time or memory, and says which case it was.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, Once};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

/// A case takes some milliseconds. If the cost of an input grew without bound, it would take longer.
const LIMIT: Duration = Duration::from_secs(60);

/// Memory of the process in MiB. It needs a tenth of it.
const MEMORY_LIMIT: u64 = 3000;

/// A case that is watched until this is dropped.
pub(crate) struct Watched(ThreadId);

static ACTIVE: Mutex<BTreeMap<String, (Instant, String)>> = Mutex::new(BTreeMap::new());

impl Watched {
    pub(crate) fn new(case: &dyn Debug) -> Self {
        static WATCH: Once = Once::new();
        WATCH.call_once(|| drop(thread::spawn(watch)));
        let thread = thread::current();
        let case = format!("{case:#?}");
        let name = thread.name().unwrap_or("test").replace("::", "-");
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("record_fuzz-{name}.txt"));
        fs::write(file, &case).unwrap();
        let mut active = ACTIVE.lock().unwrap();
        active.insert(format!("{:?}", thread.id()), (Instant::now(), case));
        Self(thread.id())
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        ACTIVE.lock().unwrap().remove(&format!("{:?}", self.0));
    }
}

fn watch() {
    loop {
        thread::sleep(Duration::from_millis(20));
        let active = ACTIVE.lock().unwrap();
        let slow = active.values().find(|(start, _)| start.elapsed() > LIMIT);
        let is_large = resident_mib() > MEMORY_LIMIT;
        if slow.is_none() && !is_large {
            continue;
        }
        let cases: Vec<&String> = match slow {
            Some((_, case)) => vec![case],
            None => active.values().map(|(_, case)| case).collect(),
        };
        let what = if is_large { "memory" } else { "time" };
        // The output of a test is captured, and this process ends without showing it.
        let text = format!("a case takes too much {what}: {cases:#?}\n");
        let _ = io::stderr().write_all(text.as_bytes());
        std::process::abort();
    }
}

/// Resident memory of this process. 0 where the system does not tell it.
fn resident_mib() -> u64 {
    let pages = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let resident = pages.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    resident.unwrap_or(0) * 4096 / (1 << 20)
}
