//! Folders that are being written under a temporary name. Each has an owner: the process that writes
//! it.

use crate::regular_file::{self, is_absent, is_wrong_kind};
use std::fs::{self, DirEntry, File};
use std::io::{self, ErrorKind};
use std::path::Path;
use tempfile::TempDir;

/// Start of the temporary names.
const PREFIX: &str = ".partial-";

/// A file in the folder that the owner has locked. The system releases the lock when the owner ends
/// in any way.
const OWNER: &str = ".owner";

/// A folder that this process writes. It is removed on drop, unless it has got its final name.
pub struct PartialFolder {
    folder: TempDir,
    /// The locked file.
    _owner: File,
}

impl PartialFolder {
    pub fn new(root: &Path) -> io::Result<Self> {
        Self::with_prefix(root, PREFIX)
    }

    /// [`Self::new`] with another start of the temporary name, for a folder that others use as well.
    pub fn with_prefix(root: &Path, prefix: &str) -> io::Result<Self> {
        loop {
            let folder = tempfile::Builder::new().prefix(prefix).tempdir_in(root);
            let folder = folder.map_err(without_path)?;
            if let Some(owner) = lock(folder.path())? {
                return Ok(Self {
                    folder,
                    _owner: owner,
                });
            }
        }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Gives the folder its final name, and the usual permissions. Only its owner can read a temporary folder.
    ///
    /// # Errors
    /// If there is something with this name that the system does not replace.
    pub fn rename(&mut self, target: &Path) -> io::Result<()> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(self.path(), fs::Permissions::from_mode(0o755))?;
        }
        fs::rename(self.path(), target)?;
        self.folder.disable_cleanup(true);
        // Only now: a folder with a temporary name is not safe without this file.
        ignore_missing(fs::remove_file(target.join(OWNER)))
    }
}

/// Makes this process the owner of a new folder. The result is `None` if another process removed the
/// folder before it had an owner.
fn lock(folder: &Path) -> io::Result<Option<File>> {
    let path = folder.join(OWNER);
    let owner = match File::create(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        owner => owner?,
    };
    // Some file systems have no locks. There, no folder with this file is ever removed by others.
    let _ = owner.lock();
    Ok((!is_absent(&path)).then_some(owner))
}

/// Removes the folders whose owners were killed. `root` may be absent. If it is a symbolic link, nothing is removed:
/// what it leads to can belong to somebody else.
pub(crate) fn remove_abandoned(root: &Path) -> io::Result<()> {
    if root.is_symlink() {
        return Ok(());
    }
    for entry in entries(root)? {
        if is_partial(&entry)? {
            // The owner may finish at the same time.
            ignore_missing(remove_if_abandoned(&entry.path()))?;
        }
    }
    Ok(())
}

/// Removes `root`, which may be absent, with all that is in it. If another process is writing a folder
/// there, this folder and `root` stay.
pub(crate) fn remove_all(root: &Path) -> io::Result<()> {
    remove_abandoned(root)?;
    for entry in entries(root)? {
        match entry.file_type()?.is_dir() {
            true if is_partial(&entry)? => {}
            true => fs::remove_dir_all(entry.path())?,
            false => fs::remove_file(entry.path())?,
        }
    }
    ignore_missing(remove_if_empty(root))
}

/// Removes the folders with this start of their names whose owners were killed, in a folder that others use as well. What
/// cannot be removed, or has no owner, stays.
pub(crate) fn remove_killed(root: &Path, prefix: &str) {
    for entry in entries(root).unwrap_or_default() {
        let is_ours = entry.file_name().to_string_lossy().starts_with(prefix);
        let owner = entry.path().join(OWNER);
        if is_ours && regular_file::open(&owner).is_ok_and(|owner| owner.try_lock().is_ok()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn entries(root: &Path) -> io::Result<Vec<DirEntry>> {
    match fs::read_dir(root) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries?.collect(),
    }
}

fn is_partial(entry: &DirEntry) -> io::Result<bool> {
    let is_named_so = entry.file_name().to_string_lossy().starts_with(PREFIX);
    Ok(is_named_so && entry.file_type()?.is_dir())
}

fn remove_if_abandoned(folder: &Path) -> io::Result<()> {
    match regular_file::open(&folder.join(OWNER)) {
        // The lock is held while the folder is removed.
        Ok(owner) if owner.try_lock().is_ok() => fs::remove_dir_all(folder),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => remove_without_owner(folder),
        // Nobody knows whose folder it is.
        Err(error) if is_wrong_kind(&error) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Removes a folder that had no owner when it was found. An empty folder may get its owner at any
/// moment. A folder with other files is of a version without owners.
fn remove_without_owner(folder: &Path) -> io::Result<()> {
    let entries = entries(folder)?;
    if entries.iter().any(|entry| entry.file_name() == OWNER) {
        return Ok(());
    }
    match entries.is_empty() {
        true => remove_if_empty(folder),
        false => fs::remove_dir_all(folder),
    }
}

fn remove_if_empty(folder: &Path) -> io::Result<()> {
    match fs::remove_dir(folder) {
        Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => Ok(()),
        removed => removed,
    }
}

/// The error without the temporary path that ends its message, which tells a user nothing.
fn without_path(error: io::Error) -> io::Error {
    let message = error.to_string();
    match message.rsplit_once(" at path ") {
        Some((message, _)) => io::Error::new(error.kind(), message.to_owned()),
        None => error,
    }
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(root: &Path) -> Vec<String> {
        let entries = fs::read_dir(root).unwrap().map(|entry| entry.unwrap());
        let mut names: Vec<_> = entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_folder_with_a_living_owner_is_kept() {
        let root = tempfile::tempdir().unwrap();
        let mut folder = PartialFolder::new(root.path()).unwrap();
        fs::write(folder.path().join("train.bin"), "tokens").unwrap();
        remove_abandoned(root.path()).unwrap();
        let target = root.path().join("0a1b");
        folder.rename(&target).unwrap();
        drop(folder);
        remove_abandoned(root.path()).unwrap();
        assert_eq!(names(root.path()), ["0a1b"]);
        assert_eq!(names(&target), ["train.bin"]);
    }

    #[test]
    fn folders_of_killed_processes_are_removed() {
        let root = tempfile::tempdir().unwrap();
        let folder = |name: &str, file: Option<&str>| {
            let path = root.path().join(name);
            fs::create_dir(&path).unwrap();
            if let Some(file) = file {
                fs::write(path.join(file), "").unwrap();
            }
        };
        folder(".partial-locked-once", Some(OWNER));
        folder(".partial-before-its-lock", None);
        folder(".partial-of-an-earlier-version", Some("train.bin"));
        folder("0a1b", Some("train.bin"));
        fs::write(root.path().join(".partial-file"), "").unwrap();
        remove_abandoned(root.path()).unwrap();
        assert_eq!(names(root.path()), [".partial-file", "0a1b"]);
        remove_abandoned(&root.path().join("absent")).unwrap();
    }

    #[test]
    fn folders_of_others_are_kept_where_others_write() {
        let root = tempfile::tempdir().unwrap();
        for (name, file) in [
            (".x-killed", OWNER),
            (".x-other", "file"),
            (".y-killed", OWNER),
        ] {
            fs::create_dir(root.path().join(name)).unwrap();
            fs::write(root.path().join(name).join(file), "").unwrap();
        }
        let living = PartialFolder::with_prefix(root.path(), ".x-").unwrap();
        remove_killed(root.path(), ".x-");
        let living = living.path().file_name().unwrap().to_str().unwrap();
        assert_eq!(names(root.path()).len(), 3);
        for name in [".x-other", ".y-killed", living] {
            assert!(root.path().join(name).exists(), "{name}");
        }
    }

    #[test]
    fn all_is_removed_but_what_another_process_is_writing() {
        let around = tempfile::tempdir().unwrap();
        let root = around.path().join("cache");
        fs::create_dir_all(root.join("0a1b")).unwrap();
        fs::write(root.join("file"), "").unwrap();
        let folder = PartialFolder::new(&root).unwrap();
        remove_all(&root).unwrap();
        assert_eq!(names(&root).len(), 1);
        drop(folder);
        remove_all(&root).unwrap();
        assert!(!root.exists());
        remove_all(&root).unwrap();
    }

    #[test]
    fn a_folder_that_is_dropped_is_removed() {
        let root = tempfile::tempdir().unwrap();
        drop(PartialFolder::new(root.path()).unwrap());
        assert_eq!(names(root.path()), [""; 0]);
    }

    #[test]
    fn an_error_does_not_name_the_temporary_folder() {
        let root = tempfile::tempdir().unwrap();
        let error = PartialFolder::new(&root.path().join("absent"))
            .err()
            .unwrap();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(!error.to_string().contains(PREFIX), "{error}");
    }

    #[test]
    fn threads_that_create_and_remove_do_not_disturb_each_other() {
        let root = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for writer in 0..2 {
                let root = root.path();
                scope.spawn(move || {
                    for number in 0..100 {
                        let mut folder = PartialFolder::new(root).unwrap();
                        fs::write(folder.path().join("file"), "").unwrap();
                        folder
                            .rename(&root.join(format!("{writer}-{number}")))
                            .unwrap();
                    }
                });
                scope.spawn(move || (0..200).for_each(|_| remove_abandoned(root).unwrap()));
            }
        });
        assert_eq!(names(root.path()).len(), 200);
    }
}
