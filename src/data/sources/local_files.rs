//! Text from local files: one file, or all files that a glob matches.

use crate::data::{DataError, formats};
use crate::regular_file::is_absence;
use std::fs;
use std::path::{Path, PathBuf};

/// The text of a file, or of the files that a glob matches, joined in the order of their paths. If
/// a file does not end with a line break, one is added before the next file, so that no line has
/// text of two files. `max_bytes` limits the size of the joined text.
pub(super) fn read(pattern: &str, max_bytes: u64) -> Result<String, DataError> {
    let mut joined = String::new();
    for path in matching_paths(pattern)? {
        if !joined.is_empty() && !joined.ends_with('\n') {
            joined.push('\n');
        }
        let left = max_bytes.saturating_sub(joined.len() as u64);
        let text = formats::read_file(&path, left).map_err(|error| {
            match (error, joined.len() as u64) {
                // The error states the limit on the joined text and not what is left of it.
                (DataError::TooLarge { bytes, .. }, before) => DataError::TooLarge {
                    name: pattern.to_owned(),
                    bytes: before + bytes,
                    limit: max_bytes,
                },
                (error, _) => error,
            }
        })?;
        joined.push_str(&text);
    }
    if joined.is_empty() {
        return Err(DataError::Empty {
            name: pattern.to_owned(),
        });
    }
    Ok(joined)
}

/// The paths that a pattern stands for. A pattern that is the path of an existing file is this path,
/// even if it contains the special characters of a glob.
fn matching_paths(pattern: &str) -> Result<Vec<PathBuf>, DataError> {
    let path = Path::new(pattern);
    match fs::metadata(path) {
        Ok(_) => return Ok(vec![path.to_owned()]),
        Err(error) if is_absence(&error) => {}
        Err(error) => return Err(DataError::read(path)(error)),
    }
    if !pattern.contains(['*', '?', '[']) {
        return Err(DataError::Missing {
            path: path.to_owned(),
        });
    }
    let matches = glob::glob(pattern).map_err(|error| DataError::BadGlob {
        pattern: pattern.to_owned(),
        reason: error.msg.to_owned(),
    })?;
    let mut paths = Vec::new();
    for entry in matches {
        let path = entry.map_err(|error| {
            let path = error.path().to_owned();
            DataError::read(&path)(error.into())
        })?;
        if !path.is_dir() {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        return Err(DataError::NoMatch {
            pattern: pattern.to_owned(),
        });
    }
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_path(pattern: &Path, limit: u64) -> Result<String, String> {
        read(pattern.to_str().unwrap(), limit).map_err(|error| error.to_string())
    }

    /// The error message, with the name of the folder replaced by `DIR`.
    fn error(dir: &Path, pattern: &str, limit: u64) -> String {
        let error = read_path(&dir.join(pattern), limit).unwrap_err();
        error.replace(dir.to_str().unwrap(), "DIR")
    }

    #[test]
    fn files_are_joined_in_the_order_of_their_paths() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        for (name, text) in [
            ("b.txt", "two\n"),
            ("a.txt", "one"),
            ("c.txt", "three"),
            ("d.md", "no"),
        ] {
            fs::write(dir.join(name), text).unwrap();
        }
        fs::create_dir(dir.join("e.txt")).unwrap();
        let joined = read_path(&dir.join("*.txt"), 100);
        assert_eq!(joined.unwrap(), "one\ntwo\nthree");
        assert_eq!(read_path(&dir.join("a.txt"), 3).unwrap(), "one");
    }

    #[test]
    fn a_byte_order_mark_is_not_a_part_of_the_text() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [("a.txt", "\u{feff}one\n"), ("b.txt", "\u{feff}t\u{feff}wo")] {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let joined = read_path(&dir.path().join("*.txt"), 100);
        assert_eq!(joined.unwrap(), "one\nt\u{feff}wo");
        fs::write(dir.path().join("c.txt"), "\u{feff}").unwrap();
        assert_eq!(error(dir.path(), "c.txt", 9), "DIR/c.txt is empty");
    }

    #[test]
    fn a_file_whose_name_looks_like_a_glob_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("[draft].txt");
        fs::write(&path, "draft").unwrap();
        assert_eq!(read_path(&path, 100).unwrap(), "draft");
    }

    #[test]
    fn errors_name_the_file_and_the_problem() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        fs::write(dir.join("latin1.txt"), b"caf\xe9 au lait").unwrap();
        fs::write(dir.join("empty.txt"), "").unwrap();
        fs::write(dir.join("long.txt"), "0123456789").unwrap();
        assert_eq!(error(dir, "none.txt", 9), "there is no file DIR/none.txt");
        assert_eq!(error(dir, "*.csv", 9), "no file matches DIR/*.csv");
        assert_eq!(error(dir, "empty.txt", 9), "DIR/empty.txt is empty");
        assert_eq!(
            error(dir, "", 9),
            "DIR/ is a folder; give a file, or a glob such as DIR/*.txt"
        );
        assert_eq!(
            error(dir, "latin1.txt", 99),
            "DIR/latin1.txt is not valid UTF-8: the byte at offset 3 is not part of a character"
        );
        for pattern in ["long.txt", "l*g.txt"] {
            assert_eq!(
                error(dir, pattern, 9),
                format!("DIR/{pattern} has 10 bytes; data.max_bytes allows at most 9")
            );
        }
        assert!(error(dir, "a***b", 9).starts_with("DIR/a***b is not a valid glob: "));
    }

    #[cfg(unix)]
    #[test]
    fn a_device_is_refused() {
        let error = read_path(Path::new("/dev/zero"), 100).unwrap_err();
        assert_eq!(error, "/dev/zero is not a regular file");
    }
}
