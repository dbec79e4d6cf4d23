use super::Error;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Holds a folder for this process. The system lets go of it when the process ends, however it
/// ends, so that a lock is never left behind.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

/// Who holds a folder, as written into its `.lock`. Empty where it could not be read.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Holder {
    pid: Option<u32>,
    host: Option<String>,
    /// Seconds since 1970.
    since: Option<u64>,
}

impl Lock {
    /// Name of the file that is locked.
    pub(super) const FILE: &str = ".lock";

    /// Takes the lock of `folder`, or says who has it.
    pub(super) fn take(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(Self::FILE);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(Error::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::Held {
                    folder: folder.to_owned(),
                    holder: Holder::read(&mut file),
                });
            }
            Err(TryLockError::Error(error)) => return Err(Error::io("lock", &path)(error)),
        }
        // Who holds it is a courtesy to the next one; the lock holds without it.
        let _ = Holder::of_this_process().write(&mut file);
        Ok(Self { _file: file })
    }

    /// Waits for the lock of `folder`. A worker takes that of its run, so that one whose parent was
    /// killed has gone before the next writes there.
    pub(super) fn wait(folder: &Path) -> std::io::Result<Self> {
        let file = File::create(folder.join(Self::FILE))?;
        file.lock()?;
        Ok(Self { _file: file })
    }
}

impl Holder {
    fn of_this_process() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).ok();
        Self {
            pid: Some(std::process::id()),
            host: host_name(),
            since: since.map(|since| since.as_secs()),
        }
    }

    fn write(&self, file: &mut File) -> std::io::Result<()> {
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(serde_json::to_string(self)?.as_bytes())
    }

    fn read(file: &mut File) -> Self {
        let mut json = String::new();
        match file.read_to_string(&mut json) {
            Ok(_) => serde_json::from_str(&json).unwrap_or_default(),
            Err(_) => Self::default(),
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("another sweep")?;
        if let Some(pid) = self.pid {
            write!(f, " (process {pid}")?;
            if let Some(host) = &self.host {
                write!(f, " on {host}")?;
            }
            let now = SystemTime::now().duration_since(UNIX_EPOCH).ok();
            if let (Some(since), Some(now)) = (self.since, now) {
                let seconds = now.as_secs().saturating_sub(since) as f64;
                write!(f, ", started {} ago", crate::text::units::duration(seconds))?;
            }
            f.write_str(")")?;
        }
        Ok(())
    }
}

fn host_name() -> Option<String> {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .or_else(|| std::env::var("HOSTNAME").ok())
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_holds_it_and_the_third_gets_it() {
        let folder = tempfile::tempdir().unwrap();
        let first = Lock::take(folder.path()).unwrap();
        let message = Lock::take(folder.path()).unwrap_err().to_string();
        let pid = std::process::id();
        assert!(
            message.contains(&format!("another sweep (process {pid}")),
            "{message}"
        );
        drop(first);
        Lock::take(folder.path()).unwrap();
    }

    #[test]
    fn a_lock_file_that_says_nothing_is_still_a_lock() {
        let folder = tempfile::tempdir().unwrap();
        let _first = Lock::take(folder.path()).unwrap();
        std::fs::write(folder.path().join(".lock"), "").unwrap();
        let message = Lock::take(folder.path()).unwrap_err().to_string();
        assert!(message.contains("in use by another sweep\n"), "{message}");
    }
}
