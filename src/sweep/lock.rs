use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Locks a folder for this process. The system releases the lock when the process ends in any way, so
/// that no lock is left behind.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

/// Why a folder could not be locked.
#[derive(Debug)]
pub(super) enum LockError {
    /// Another process has locked it.
    Held(Holder),
    Io {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
}

/// The process that locked a folder, as written in its `.lock`. Empty if it could not be read.
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

    /// Locks `folder`. Does not wait.
    pub(super) fn take(folder: &Path) -> Result<Self, LockError> {
        let path = folder.join(Self::FILE);
        let failed = |action| {
            let path = path.clone();
            move |source| LockError::Io {
                action,
                path,
                source,
            }
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed("open"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LockError::Held(Holder::read(&mut file)));
            }
            Err(TryLockError::Error(error)) => return Err(failed("lock")(error)),
        }
        // The holder is written for error messages only. The lock works without it.
        let _ = Holder::of_this_process().write(&mut file);
        Ok(Self { _file: file })
    }

    /// Waits until `folder` can be locked. A worker locks the folder of its run: a worker of a sweep that
    /// was killed has then ended before the next one writes there.
    pub(super) fn wait(folder: &Path) -> io::Result<Self> {
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

    fn write(&self, file: &mut File) -> io::Result<()> {
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

    /// The holder of a folder that cannot be locked.
    fn holder(folder: &Path) -> String {
        match Lock::take(folder) {
            Err(LockError::Held(holder)) => holder.to_string(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn lock_names_its_holder_until_it_is_released() {
        let folder = tempfile::tempdir().unwrap();
        let first = Lock::take(folder.path()).unwrap();
        let message = holder(folder.path());
        let pid = std::process::id();
        assert!(
            message.starts_with(&format!("another sweep (process {pid}")),
            "{message}"
        );
        drop(first);
        Lock::take(folder.path()).unwrap();
    }

    #[test]
    fn empty_lock_file_still_locks() {
        let folder = tempfile::tempdir().unwrap();
        let _first = Lock::take(folder.path()).unwrap();
        std::fs::write(folder.path().join(".lock"), "").unwrap();
        assert_eq!(holder(folder.path()), "another sweep");
    }
}
