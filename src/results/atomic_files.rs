use crate::regular_file::{self, is_absent};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use tempfile::NamedTempFile;

/// Start of the name of a file that is being written.
const PARTIAL_PREFIX: &str = ".partial-";

/// Writes a file so that it is complete or absent: it is written under another name in the same folder,
/// synced, and renamed. Its permissions follow the umask, as those of any other new file.
pub fn write_atomic(path: &Path, contents: &[u8]) -> io::Result<()> {
    write_atomic_with(path, |file| file.as_file_mut().write_all(contents))
}

/// [`write_atomic`] of what `write` gives to the temporary file.
pub fn write_atomic_with(
    path: &Path,
    write: impl FnOnce(&mut NamedTempFile) -> io::Result<()>,
) -> io::Result<()> {
    let mut file = temporary_file(folder_of(path))?;
    write(&mut file)?;
    file.as_file().sync_all()?;
    persist(file, path)?;
    // The rename is durable once the folder is synced.
    sync_folder(folder_of(path))
}

/// [`write_atomic`] without syncing. Other processes see the file complete or not at all, but it can be
/// damaged after a power failure. What depends on it must sync it before.
pub fn replace_file(path: &Path, contents: &[u8]) -> io::Result<()> {
    let mut file = temporary_file(folder_of(path))?;
    file.as_file_mut().write_all(contents)?;
    persist(file, path)
}

/// Gives a temporary file its final name. This is done by the standard library, because the simulation of power failures
/// in the tests does not see the system calls of `NamedTempFile::persist`.
fn persist(mut file: NamedTempFile, path: &Path) -> io::Result<()> {
    fs::rename(file.path(), path)?;
    file.disable_cleanup(true);
    Ok(())
}

/// Writes a new file so that it is complete or absent, and returns whether it did: it leaves a file that exists.
pub(super) fn create_atomic(path: &Path, contents: &[u8]) -> io::Result<bool> {
    let mut file = temporary_file(folder_of(path))?;
    file.as_file_mut().write_all(contents)?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => {}
        Err(failed) if failed.error.kind() == ErrorKind::AlreadyExists => return Ok(false),
        Err(failed) => return Err(failed.error),
    }
    sync_folder(folder_of(path))?;
    Ok(true)
}

/// Removes a file. It may be absent.
pub fn remove_if_exists(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes a file, a symbolic link, or a folder with all that is in it. It may be absent.
pub(crate) fn remove_any(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => remove_if_exists(path),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Creates a folder and its missing parents, and makes their names durable.
///
/// # Errors
/// If something else is in the place of one of them, which the error names, or if it cannot be created.
pub fn create_folders(path: &Path) -> io::Result<()> {
    let missing = path.ancestors().take_while(|path| is_absent(path));
    let missing: Vec<&Path> = missing.collect();
    fs::create_dir_all(path).map_err(|error| regular_file::not_a_folder(path).unwrap_or(error))?;
    let mut folders = missing.into_iter().map(folder_of);
    folders.try_for_each(sync_folder)
}

/// Creates a folder in one that exists. It may exist itself.
///
/// # Errors
/// If the folder that it is in is absent, or if it cannot be created.
pub fn create_folder(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        result => result,
    }
}

/// Makes the names in a folder durable.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn folder_of(path: &Path) -> &Path {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

/// A file that this process has locked, so that no other process removes it. The system releases the lock when the
/// process ends in any way.
fn temporary_file(folder: &Path) -> io::Result<NamedTempFile> {
    // It is opened here because the errors of `tempfile` name the temporary file and hide that of the system.
    let create = |path: &Path| File::options().write(true).create_new(true).open(path);
    loop {
        let file = tempfile::Builder::new()
            .prefix(PARTIAL_PREFIX)
            .make_in(folder, create)?;
        // Some file systems have no locks. There, no file is removed by other processes.
        let _ = file.as_file().lock();
        // Another process may have removed it before it was locked.
        if !is_absent(file.path()) {
            return Ok(file);
        }
    }
}

/// Removes the files that a killed process was writing by [`write_atomic`] in a folder, and in its
/// subfolders down to `depth`. Those that another process is writing stay. The folder need not exist. If it is a
/// symbolic link, nothing is removed: what it leads to can belong to somebody else.
pub fn remove_partial_files(folder: &Path, depth: usize) -> io::Result<()> {
    if folder.is_symlink() {
        return Ok(());
    }
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        // Of the entry itself: a symbolic link is not followed.
        if entry.file_type()?.is_dir() {
            if depth > 0 {
                remove_partial_files(&entry.path(), depth - 1)?;
            }
        } else if entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(PARTIAL_PREFIX.as_bytes())
        {
            remove_abandoned(&entry.path())?;
        }
    }
    Ok(())
}

/// Removes a temporary file, unless the process that writes it has locked it.
fn remove_abandoned(path: &Path) -> io::Result<()> {
    let mut options = File::options();
    match regular_file::open_without_link(path, options.read(true).write(true)) {
        // The lock is held while the file is removed.
        Ok(file) if file.try_lock().is_ok() => remove_if_exists(path),
        _ => Ok(()),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn errors_do_not_name_the_temporary_file() {
        let folder = tempfile::tempdir().unwrap();
        let error = write_atomic(&folder.path().join("absent/file"), b"x").unwrap_err();
        assert_eq!(error.to_string(), "No such file or directory (os error 2)");
    }

    #[test]
    fn permissions_are_those_of_any_new_file() {
        let folder = tempfile::tempdir().unwrap();
        let [ours, plain] = ["ours", "plain"].map(|name| folder.path().join(name));
        write_atomic(&ours, b"x").unwrap();
        fs::write(&plain, "x").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&ours), mode(&plain));
    }

    #[test]
    fn file_that_is_being_written_is_not_a_leftover() {
        let folder = tempfile::tempdir().unwrap();
        let abandoned = folder.path().join(".partial-x");
        fs::write(&abandoned, "{").unwrap();
        let path = folder.path().join("report.md");
        write_atomic_with(&path, |file| {
            remove_partial_files(folder.path(), 0)?;
            file.write_all(b"text")
        })
        .unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"text");
        assert!(!abandoned.exists());
    }

    #[test]
    fn files_behind_a_link_are_not_removed() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let foreign = other.path().join(".partial-x");
        fs::write(&foreign, "kept").unwrap();
        let link = folder.path().join("plots");
        std::os::unix::fs::symlink(other.path(), &link).unwrap();
        remove_partial_files(&link, 0).unwrap();
        remove_partial_files(folder.path(), 1).unwrap();
        assert!(foreign.exists());
    }
}
