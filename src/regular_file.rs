//! Opening and reading regular files. Something else can be in the place of a file: a named pipe would let its reader
//! wait for ever, and a device such as `/dev/zero` has no end.

use nix::libc;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// What is in the place of a regular file.
#[derive(Debug, thiserror::Error)]
enum WrongKind {
    #[error("it is a folder")]
    Folder,
    #[error("it is a symbolic link")]
    Link,
    #[error("it is not a regular file")]
    Other,
}

/// Opens a regular file for reading.
///
/// # Errors
/// If it cannot be opened, or is of another kind.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    open_with(path, File::options().read(true))
}

/// [`open`] with other options.
pub(crate) fn open_with(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    open_checked(path, options, 0)
}

/// [`open_with`], where a symbolic link is of another kind, too. What it leads to can belong to somebody else.
pub(crate) fn open_without_link(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    open_checked(path, options, libc::O_NOFOLLOW)
}

fn open_checked(path: &Path, options: &mut OpenOptions, flags: i32) -> io::Result<File> {
    // Without O_NONBLOCK, opening a named pipe waits for its writer.
    let opened = options.custom_flags(libc::O_NONBLOCK | flags).open(path);
    let file = opened.map_err(|error| match error.raw_os_error() {
        Some(libc::ELOOP) if flags & libc::O_NOFOLLOW != 0 && path.is_symlink() => {
            wrong_kind(WrongKind::Link)
        }
        // A socket, or a named pipe without a reader.
        Some(libc::ENXIO) => wrong_kind(WrongKind::Other),
        _ => error,
    })?;
    let kind = file.metadata()?.file_type();
    if kind.is_file() {
        return Ok(file);
    }
    Err(wrong_kind(match kind.is_dir() {
        true => WrongKind::Folder,
        false => WrongKind::Other,
    }))
}

fn wrong_kind(kind: WrongKind) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, kind)
}

/// The contents of a regular file.
///
/// # Errors
/// As [`open`], and if it cannot be read.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    read_at_most(path, u64::MAX)
}

/// The first `bytes` of the contents of a regular file, or all of them if there are fewer.
///
/// # Errors
/// As [`read`].
pub(crate) fn read_at_most(path: &Path, bytes: u64) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    let mut contents = Vec::new();
    contents.try_reserve_exact(file.metadata()?.len().min(bytes) as usize)?;
    file.take(bytes).read_to_end(&mut contents)?;
    Ok(contents)
}

/// Whether an error says that something else is in the place of a file or of a folder. Trying again does not help.
pub(crate) fn is_wrong_kind(error: &io::Error) -> bool {
    let inner = error.get_ref();
    inner.is_some_and(|inner| inner.is::<WrongKind>())
        || error.raw_os_error() == Some(libc::ELOOP)
        || matches!(
            error.kind(),
            ErrorKind::IsADirectory | ErrorKind::NotADirectory
        )
}

/// Whether something is at a path, also a symbolic link that leads nowhere.
pub(crate) fn is_present(path: &Path) -> bool {
    let found = fs::symlink_metadata(path);
    !found.is_err_and(|error| error.kind() == ErrorKind::NotFound)
}

/// Whether there is certainly nothing at a path, and no link at it leads anywhere. Where this cannot be found out, such
/// as without the permission to read a folder, what is done next with the path gives the error.
pub(crate) fn is_absent(path: &Path) -> bool {
    fs::metadata(path).is_err_and(|error| is_absence(&error))
}

/// Whether a path leads to a folder.
///
/// # Errors
/// If this cannot be found out, such as without the permission to read the folder that it is in.
pub(crate) fn is_folder(path: &Path) -> io::Result<bool> {
    match fs::metadata(path) {
        Ok(found) => Ok(found.is_dir()),
        Err(error) if is_absence(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether an error says that there is nothing at a path: a part of it is absent, is not a folder, is a link that leads
/// in a circle, or is longer than any name.
pub(crate) fn is_absence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidFilename
    ) || error.raw_os_error() == Some(libc::ELOOP)
}

/// The error of something that is in the place of a folder or of one of its parents, if there is something.
pub(crate) fn not_a_folder(path: &Path) -> Option<io::Error> {
    let is_other = |path: &&Path| fs::symlink_metadata(path).is_ok() && !path.is_dir();
    let outermost = path.ancestors().filter(is_other).last()?;
    let message = format!("{} is not a folder", outermost.display());
    Some(io::Error::new(ErrorKind::NotADirectory, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;
    use std::process::Command;

    #[test]
    fn only_regular_files_are_read_and_nothing_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("file"), "text").unwrap();
        assert!(
            Command::new("mkfifo")
                .arg(at("pipe"))
                .status()
                .unwrap()
                .success()
        );
        let _socket = UnixListener::bind(at("socket")).unwrap();
        for (name, target) in [("zero", "/dev/zero"), ("loop", "loop"), ("link", "file")] {
            symlink(target, at(name)).unwrap();
        }
        assert_eq!(read(&at("file")).unwrap(), b"text");
        assert_eq!(read(&at("link")).unwrap(), b"text");
        assert_eq!(read_at_most(&at("file"), 2).unwrap(), b"te");
        for (name, expected) in [
            ("pipe", "it is not a regular file"),
            ("socket", "it is not a regular file"),
            ("zero", "it is not a regular file"),
            (".", "it is a folder"),
            ("loop", "Too many levels of symbolic links"),
            ("file/inner", "Not a directory"),
        ] {
            let error = read(&at(name)).unwrap_err();
            assert!(error.to_string().contains(expected), "{name}: {error}");
            assert!(is_wrong_kind(&error), "{name}: {error}");
        }
        let absent = read(&at("absent")).unwrap_err();
        assert!(absent.kind() == ErrorKind::NotFound && !is_wrong_kind(&absent));
        let link = open_without_link(&at("link"), File::options().read(true)).unwrap_err();
        assert_eq!(link.to_string(), "it is a symbolic link");
    }

    #[test]
    fn the_outermost_obstacle_of_a_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "text").unwrap();
        let error = not_a_folder(&file.join("inner")).unwrap();
        assert_eq!(
            error.to_string(),
            format!("{} is not a folder", file.display())
        );
        assert!(is_wrong_kind(&error));
        assert!(not_a_folder(&folder.path().join("absent")).is_none());
    }

    #[test]
    fn a_link_that_leads_nowhere_is_present() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        assert!(!is_present(&link));
        symlink("absent", &link).unwrap();
        assert!(is_present(&link) && is_absent(&link));
    }

    #[test]
    fn what_cannot_be_found_out_is_not_absent() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        assert!(is_absent(&file) && !is_folder(&file).unwrap());
        fs::write(&file, "text").unwrap();
        assert!(!is_absent(&file) && !is_folder(&file).unwrap());
        assert!(is_absent(&file.join("inner")) && !is_folder(&file.join("inner")).unwrap());
        assert!(!is_absent(folder.path()) && is_folder(folder.path()).unwrap());
        let circle = folder.path().join("circle");
        symlink("circle", &circle).unwrap();
        assert!(is_absent(&circle) && !is_folder(&circle).unwrap());
        // The system has no answer to a path with this character.
        let unknown = folder.path().join("a\0b");
        assert!(!is_absent(&unknown) && is_folder(&unknown).is_err());
    }
}
