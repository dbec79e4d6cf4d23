use super::slow_notice::notify_if_slow;
use crate::regular_file::{self, is_absence};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Time after which the user is told that a lock is waited for.
const WAIT_NOTICE_DELAY: Duration = Duration::from_secs(1);

/// Most bytes of a `.lock` that are read.
const MAX_HOLDER: u64 = 1 << 12;

/// Locks a folder for this process. The system releases the lock when the process ends in any way, so
/// that no lock is left behind.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
    path: PathBuf,
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

    /// Whether a process has locked `folder`. `false` if this cannot be found out.
    pub(super) fn is_held(folder: &Path) -> bool {
        let mut options = File::options();
        let file = regular_file::open_without_link(&folder.join(Self::FILE), options.read(true));
        // A shared lock is released at once, when the file is closed.
        file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

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
        let mut tries = 5;
        let mut file = loop {
            let mut file = open(&path).map_err(failed("open"))?;
            match file.try_lock() {
                Ok(()) => {}
                // `is_held` has it for an instant.
                Err(TryLockError::WouldBlock) if tries > 0 => {
                    tries -= 1;
                    thread::sleep(Duration::from_millis(10));
                    continue;
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(LockError::Held(Holder::read(&mut file)));
                }
                Err(TryLockError::Error(error)) => return Err(failed("lock")(error)),
            }
            // A sweep that found an error removes its lock file. If that happened since the file was opened,
            // the next sweep would lock another file.
            if is_at(&file, &path).map_err(failed("lock"))? {
                break file;
            }
        };
        // The holder is written for error messages only. The lock works without it.
        let _ = Holder::of_this_process().write(&mut file);
        Ok(Self { file, path })
    }

    /// Whether the locked file is still at its path. It is not after its folder was moved or deleted.
    pub(super) fn is_in_place(&self) -> bool {
        // Another error says nothing about the folder.
        is_at(&self.file, &self.path).unwrap_or(true)
    }

    /// Waits until `folder` can be locked. A worker locks the folder of its run: a worker of a sweep that
    /// was killed has then ended before the next one writes there. If this takes long, `on_wait` gets the process that
    /// has locked the folder.
    pub(super) fn wait(folder: &Path, on_wait: impl FnOnce(&Holder) + Send) -> io::Result<Self> {
        let path = folder.join(Self::FILE);
        let mut file = open(&path)?;
        let mut held = file.try_clone()?;
        notify_if_slow(
            WAIT_NOTICE_DELAY,
            move || on_wait(&Holder::read(&mut held)),
            || file.lock(),
        )?;
        let _ = Holder::of_this_process().write(&mut file);
        Ok(Self { file, path })
    }
}

/// Opens the file to lock. The holder of the lock overwrites it, so that it must not be a link to another file.
fn open(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    regular_file::open_without_link(path, &mut options)
}

/// Whether a path still leads to an open file.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let opened = file.metadata()?;
    match fs::metadata(path) {
        Ok(found) => Ok((found.dev(), found.ino()) == (opened.dev(), opened.ino())),
        Err(error) if is_absence(&error) => Ok(false),
        Err(error) => Err(error),
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
        match file.take(MAX_HOLDER).read_to_string(&mut json) {
            Ok(_) => serde_json::from_str(&json).unwrap_or_default(),
            Err(_) => Self::default(),
        }
    }
}

impl Holder {
    /// `process 7`, or `another process` if it is not known.
    pub(super) fn process(&self) -> String {
        let pid = self.pid.map(|pid| format!("process {pid}"));
        pid.unwrap_or_else(|| "another process".to_owned())
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
    use std::sync::atomic::{AtomicU32, Ordering};

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
    fn a_folder_that_was_moved_is_noticed() {
        let around = tempfile::tempdir().unwrap();
        let [folder, moved] = ["x", "y"].map(|name| around.path().join(name));
        fs::create_dir(&folder).unwrap();
        let lock = Lock::take(&folder).unwrap();
        assert!(lock.is_in_place());
        fs::rename(&folder, &moved).unwrap();
        assert!(!lock.is_in_place());
        // Another folder with this name is not the locked one.
        fs::create_dir(&folder).unwrap();
        let _other = Lock::take(&folder).unwrap();
        assert!(!lock.is_in_place());
    }

    /// Many threads take the lock and remove its file, as sweeps with errors do. No two of them have it at once.
    #[test]
    fn removed_lock_file_is_not_locked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(Lock::FILE);
        let holders = AtomicU32::new(0);
        let taken = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        let Ok(_lock) = Lock::take(folder.path()) else {
                            continue;
                        };
                        assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0);
                        taken.fetch_add(1, Ordering::SeqCst);
                        holders.fetch_sub(1, Ordering::SeqCst);
                        // A sweep removes the file when its work is done, and then releases the lock.
                        std::fs::remove_file(&path).unwrap();
                    }
                });
            }
        });
        assert!(taken.into_inner() > 0);
    }

    #[test]
    fn nothing_is_written_through_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let other = folder.path().join("other");
        std::fs::write(&other, "kept").unwrap();
        std::os::unix::fs::symlink(&other, folder.path().join(Lock::FILE)).unwrap();
        let refused = |error: io::Error| assert_eq!(error.to_string(), "it is a symbolic link");
        match Lock::take(folder.path()) {
            Err(LockError::Io { source, .. }) => refused(source),
            other => panic!("{other:?}"),
        }
        refused(Lock::wait(folder.path(), |_| ()).unwrap_err());
        assert!(!Lock::is_held(folder.path()));
        assert_eq!(std::fs::read(&other).unwrap(), b"kept");
    }

    #[test]
    fn wait_tells_which_process_has_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let first = Lock::take(folder.path()).unwrap();
        let (sender, holders) = std::sync::mpsc::channel();
        let path = folder.path();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let on_wait = |holder: &Holder| sender.send(holder.process()).unwrap();
                Lock::wait(path, on_wait).unwrap();
            });
            let holder = holders.recv().unwrap();
            assert_eq!(holder, format!("process {}", std::process::id()));
            drop(first);
        });
    }

    #[test]
    fn empty_lock_file_still_locks() {
        let folder = tempfile::tempdir().unwrap();
        let _first = Lock::take(folder.path()).unwrap();
        std::fs::write(folder.path().join(".lock"), "").unwrap();
        assert_eq!(holder(folder.path()), "another sweep");
    }
}
