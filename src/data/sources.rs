//! From a source to its text.

use super::download::{cache_folder, download};
use super::{DataError, plays};
use crate::hash;
use crate::spec::{Data, Source};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// A file of a known content.
struct Published {
    url: &'static str,
    sha256: &'static str,
}

const TINY_SHAKESPEARE: Published = Published {
    url: "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
    sha256: "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
};

const NAMES: Published = Published {
    url: "https://raw.githubusercontent.com/karpathy/makemore/master/names.txt",
    sha256: "0a30b5557f192f32ab962680889aac5f6fda0f4cecf40a6d0b5694f58ea8cc4d",
};

/// Where the text of a source is found, with whatever tells its content apart from any other.
pub(super) enum Located {
    /// A text that is a function of its parameters.
    Plays { bytes: u64, seed: u64 },
    /// A file whose checksum the experiment states, which need not be here yet.
    Remote { url: String, sha256: String },
    /// A text that had to be read to be known.
    Local { text: String },
}

/// Finds a source. Reads local files, and downloads nothing.
pub(super) fn locate(data: &Data) -> Result<Located, DataError> {
    let published = |file: &Published| Located::Remote {
        url: file.url.to_owned(),
        sha256: file.sha256.to_owned(),
    };
    Ok(match &data.source {
        Source::Plays => {
            // Checked here so that a text that would be refused is not written first.
            within_limit("builtin:plays", data.plays_bytes, data.max_bytes)?;
            Located::Plays {
                bytes: data.plays_bytes,
                seed: data.plays_seed,
            }
        }
        Source::TinyShakespeare => published(&TINY_SHAKESPEARE),
        Source::Names => published(&NAMES),
        Source::Url { url, sha256 } => Located::Remote {
            url: url.clone(),
            sha256: sha256.to_ascii_lowercase(),
        },
        Source::Path(path) => Located::Local {
            text: read_files(path, data.max_bytes)?,
        },
    })
}

impl Located {
    /// The same for the same text, and another for another one.
    pub(super) fn fingerprint(&self) -> String {
        match self {
            Self::Plays { bytes, seed } => format!("plays {} {seed} {bytes}", plays::VERSION),
            Self::Remote { sha256, .. } => format!("sha256 {sha256}"),
            Self::Local { text } => format!("sha256 {}", hash::sha256(text.as_bytes())),
        }
    }

    /// The text, written or downloaded where it has to be.
    pub(super) fn text(self, max_bytes: u64) -> Result<String, DataError> {
        match self {
            Self::Plays { bytes, seed } => Ok(plays::generate(seed, bytes).text),
            Self::Remote { url, sha256 } => {
                let path = download(&url, &sha256, max_bytes, &cache_folder()?)?;
                read_text(&path, &url, max_bytes)
            }
            Self::Local { text } => Ok(text),
        }
    }
}

/// A file, or the files that a glob matches: joined in the order of their paths, with a line end
/// between two files where the first has none, so that no line is made of pieces of two files.
fn read_files(pattern: &str, max_bytes: u64) -> Result<String, DataError> {
    let mut joined = String::new();
    for path in matching(pattern)? {
        if !joined.is_empty() && !joined.ends_with('\n') {
            joined.push('\n');
        }
        let left = max_bytes.saturating_sub(joined.len() as u64);
        let text = read_text(&path, &path.display().to_string(), left).map_err(|error| {
            match (error, joined.len() as u64) {
                // Several files together: the sum is what is too large.
                (DataError::TooLarge { bytes, .. }, before) => DataError::TooLarge {
                    what: pattern.to_owned(),
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
            what: pattern.to_owned(),
        });
    }
    Ok(joined)
}

/// A path as it stands; where nothing is there, a glob.
fn matching(pattern: &str) -> Result<Vec<PathBuf>, DataError> {
    let path = Path::new(pattern);
    if path.exists() {
        return Ok(vec![path.to_owned()]);
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

/// A file of at most `limit` bytes of UTF-8. `what` names it in errors.
fn read_text(path: &Path, what: &str, limit: u64) -> Result<String, DataError> {
    let metadata = fs::metadata(path).map_err(DataError::read(path))?;
    let path = path.to_owned();
    if metadata.is_dir() {
        return Err(DataError::Folder { path });
    }
    if !metadata.is_file() {
        return Err(DataError::NotAFile { path });
    }
    within_limit(what, metadata.len(), limit)?;
    let mut bytes = Vec::with_capacity(metadata.len() as usize);
    // The size may have changed since: reading stops where the limit is passed.
    fs::File::open(&path)
        .and_then(|file| file.take(limit.saturating_add(1)).read_to_end(&mut bytes))
        .map_err(DataError::read(&path))?;
    within_limit(what, bytes.len() as u64, limit)?;
    String::from_utf8(bytes).map_err(|error| DataError::NotUtf8 {
        what: what.to_owned(),
        offset: error.utf8_error().valid_up_to(),
    })
}

pub(super) fn within_limit(what: &str, bytes: u64, limit: u64) -> Result<(), DataError> {
    if bytes > limit {
        return Err(DataError::TooLarge {
            what: what.to_owned(),
            bytes,
            limit,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pattern: &Path, limit: u64) -> Result<String, String> {
        read_files(pattern.to_str().unwrap(), limit).map_err(|error| error.to_string())
    }

    /// The error with the folder's name taken out.
    fn error(dir: &Path, pattern: &str, limit: u64) -> String {
        let error = read(&dir.join(pattern), limit).unwrap_err();
        error.replace(dir.to_str().unwrap(), "DIR")
    }

    #[test]
    fn files_are_joined_in_the_order_of_their_names() {
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
        assert_eq!(read(&dir.join("*.txt"), 100).unwrap(), "one\ntwo\nthree");
        assert_eq!(read(&dir.join("a.txt"), 3).unwrap(), "one");
    }

    #[test]
    fn a_file_whose_name_looks_like_a_glob_is_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("[draft].txt");
        fs::write(&path, "draft").unwrap();
        assert_eq!(read(&path, 100).unwrap(), "draft");
    }

    #[test]
    fn mistakes_are_named() {
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
            "DIR/latin1.txt is not UTF-8: byte 3 does not belong to a character"
        );
        assert_eq!(
            error(dir, "long.txt", 9),
            "DIR/long.txt has 10 bytes, more than the 9 that data.max_bytes allows"
        );
        assert_eq!(
            error(dir, "l*g.txt", 9),
            "DIR/l*g.txt has 10 bytes, more than the 9 that data.max_bytes allows"
        );
        assert!(error(dir, "a***b", 9).starts_with("DIR/a***b is not a glob: "));
    }

    #[cfg(unix)]
    #[test]
    fn a_device_is_not_read_for_ever() {
        let error = read(Path::new("/dev/zero"), 100).unwrap_err();
        assert_eq!(error, "/dev/zero is not a regular file");
    }
}
