//! The record of every use of a test split. A test split that is used again and again is no longer independent of
//! the choices that its results lead to.
//!
//! Each line ends with a digest of itself, but not of the lines before it: two branches of a repository can add lines,
//! which are kept when the branches are merged. Lines of earlier versions have no digest.

use super::atomic_files::create_atomic;
use super::line_digest::{digest, push_line, split};
use crate::hash;
use crate::regular_file;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

/// One use of a test split, a line of `test_uses.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestUse {
    /// SHA-256 of the whole text. Test splits of a text overlap, whatever their size, so they are counted together.
    pub text: String,
    /// A hash of the runs that were scored.
    pub runs: String,
    pub experiment: String,
    pub variant: String,
    pub baseline: String,
    /// (seed, bits per byte) of the variant.
    pub values: Vec<(u64, f64)>,
    /// (seed, bits per byte) of the baseline.
    pub baseline_values: Vec<(u64, f64)>,
}

/// A use and its number among those of its text, from 1.
#[derive(Debug, Clone, PartialEq)]
pub struct CountedUse {
    pub number: usize,
    pub test_use: TestUse,
    /// Whether it was not recorded before.
    pub is_new: bool,
}

/// The uses in the file `test_uses.jsonl` of a folder. There is no file before the first use.
#[derive(Debug)]
pub struct TestUses(Vec<TestUse>);

impl TestUse {
    /// The hash of the scored runs, given their identities: those of the variant, and then those of the baseline.
    pub fn hash_of_runs(identities: &[&str]) -> String {
        hash::sha256(identities.join("\n").as_bytes())
    }
}

impl TestUses {
    pub const FILE: &str = "test_uses.jsonl";

    /// The folder of the file for the results folder of an experiment. It is the folder of all experiments, because
    /// they share texts.
    ///
    /// # Errors
    /// If the results folder cannot be found.
    pub fn folder(results: &Path) -> io::Result<PathBuf> {
        // A path such as `.` has no parent.
        let results = results.canonicalize()?;
        Ok(results.parent().unwrap_or(Path::new("/")).to_owned())
    }

    /// Reads the uses in a folder.
    ///
    /// # Errors
    /// If the file cannot be read, or has a line that is damaged or incomplete: then their number is not known.
    pub fn read(folder: &Path) -> io::Result<Self> {
        match regular_file::read(&folder.join(Self::FILE)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self(Vec::new())),
            contents => Self::parse(&contents?),
        }
    }

    fn parse(contents: &[u8]) -> io::Result<Self> {
        let parse = |(index, line): (usize, &[u8])| {
            parse_line(line).map_err(|why| {
                let message = format!("line {} {why}", index + 1);
                io::Error::new(ErrorKind::InvalidData, message)
            })
        };
        let lines = contents.split_inclusive(|&byte| byte == b'\n');
        lines
            .enumerate()
            .map(parse)
            .collect::<io::Result<_>>()
            .map(Self)
    }

    /// Their number.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The use of a test split for these runs, if there was one.
    pub fn find(&self, text: &str, runs: &str) -> Option<CountedUse> {
        let mut uses = self.uses_of(text).enumerate();
        let (index, found) = uses.find(|(_, earlier)| earlier.runs == runs)?;
        Some(CountedUse {
            number: index + 1,
            test_use: found.clone(),
            is_new: false,
        })
    }

    /// Records a use in a folder, and waits while another process does. If another process has recorded these runs
    /// since they were looked for, its use counts.
    ///
    /// # Errors
    /// As [`TestUses::read`], and if it cannot be written.
    pub fn record(folder: &Path, new: TestUse) -> io::Result<CountedUse> {
        let path = folder.join(Self::FILE);
        let line = line_of(&new)?;
        let counted = |number| CountedUse {
            number,
            test_use: new.clone(),
            is_new: true,
        };
        if regular_file::is_absent(&path) && create_atomic(&path, &line)? {
            return Ok(counted(1));
        }
        let mut file = regular_file::open_with(&path, File::options().read(true).append(true))?;
        file.lock()?;
        let mut contents = Vec::new();
        file.read_to_end(&mut contents)?;
        let uses = Self::parse(&contents)?;
        if let Some(earlier) = uses.find(&new.text, &new.runs) {
            return Ok(earlier);
        }
        // An editor may have removed the line feed at the end.
        let end: &[u8] = match contents.last() {
            None | Some(b'\n') => b"",
            Some(_) => b"\n",
        };
        let added = file.write_all(&[end, &line].concat());
        if let Err(error) = added.and_then(|()| file.sync_all()) {
            // Without the beginning of a line that does not fit on the disk.
            let _ = file.set_len(contents.len() as u64);
            return Err(error);
        }
        Ok(counted(uses.uses_of(&new.text).count() + 1))
    }

    /// The uses by an experiment, each with its number among those of its text.
    pub fn of_experiment<'a>(
        &'a self,
        experiment: &'a str,
    ) -> impl Iterator<Item = (usize, &'a TestUse)> {
        let own = self
            .0
            .iter()
            .filter(move |own| own.experiment == experiment);
        own.map(|own| {
            let before = self.uses_of(&own.text).take_while(|other| *other != own);
            (before.count() + 1, own)
        })
    }

    fn uses_of(&self, text: &str) -> impl Iterator<Item = &TestUse> {
        let uses = self.0.iter();
        uses.filter(move |earlier| earlier.text == text)
    }
}

/// The line of a use, with its digest.
fn line_of(test_use: &TestUse) -> io::Result<Vec<u8>> {
    let mut contents = serde_json::to_vec(test_use)?;
    contents.pop(); // the brace at its end
    let mut line = Vec::new();
    push_line(&mut line, &contents, &digest("", &contents));
    Ok(line)
}

/// The use in a line.
///
/// # Errors
/// What is wrong with the line, and what can be done.
fn parse_line(line: &[u8]) -> Result<TestUse, String> {
    let whole = line.strip_suffix(b"\n").unwrap_or(line);
    let with_end = [whole, b"\n"].concat();
    let damaged = |why: &str| {
        format!("is damaged: {why}; restore the file from a backup or from the repository")
    };
    let json = match split(&with_end) {
        Some((contents, found)) if digest("", contents).as_bytes() == found => {
            [contents, b"}"].concat()
        }
        Some(_) => return Err(damaged("its contents do not agree with its digest")),
        None => whole.to_owned(),
    };
    serde_json::from_slice(&json).map_err(|error| match line.ends_with(b"\n") {
        true => damaged(&error.to_string()),
        false => "is incomplete; restore the file from a backup or from the repository, or remove this line if \
                  its result was never shown"
            .to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn use_of(text: &str, runs: &str) -> TestUse {
        TestUse {
            text: text.to_owned(),
            runs: runs.to_owned(),
            experiment: "x".to_owned(),
            variant: "b".to_owned(),
            baseline: "a".to_owned(),
            values: vec![(1, 1.5)],
            baseline_values: vec![(1, 1.6)],
        }
    }

    #[test]
    fn uses_are_counted_for_each_split() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        for (split, runs, number) in [("s", "1", 1), ("t", "1", 1), ("s", "2", 2)] {
            assert_eq!(TestUses::read(folder).unwrap().find(split, runs), None);
            let counted = TestUses::record(folder, use_of(split, runs)).unwrap();
            assert_eq!((counted.number, counted.is_new), (number, true));
        }
        let found = TestUses::read(folder).unwrap().find("s", "2").unwrap();
        assert_eq!((found.number, found.is_new), (2, false));
        assert_eq!(found.test_use, use_of("s", "2"));
        // Another process has recorded the same runs in the meantime.
        assert_eq!(TestUses::record(folder, use_of("s", "2")).unwrap(), found);
        let files = fs::read_dir(folder).unwrap();
        assert_eq!(files.count(), 1, "no temporary file is left");
    }

    #[test]
    fn uses_of_an_experiment_have_the_numbers_of_their_text() {
        let other = TestUse {
            experiment: "y".to_owned(),
            ..use_of("s", "3")
        };
        let uses = TestUses(vec![
            use_of("s", "1"),
            other,
            use_of("t", "1"),
            use_of("s", "2"),
        ]);
        let found: Vec<_> = uses.of_experiment("x").collect();
        let numbers: Vec<usize> = found.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, [1, 1, 3]);
        assert_eq!(found[2].1, &use_of("s", "2"));
    }

    #[test]
    fn looking_for_a_use_makes_no_file() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(TestUses::read(folder.path()).unwrap().find("s", "1"), None);
        assert!(!folder.path().join(TestUses::FILE).exists());
    }

    /// A file with these uses of the text `s`.
    fn file_of(folder: &Path, runs: &[&str]) -> (PathBuf, Vec<u8>) {
        for run in runs {
            TestUses::record(folder, use_of("s", run)).unwrap();
        }
        let path = folder.join(TestUses::FILE);
        let contents = fs::read(&path).unwrap();
        (path, contents)
    }

    fn errors(folder: &Path) -> [String; 2] {
        let read = TestUses::read(folder).unwrap_err();
        let recorded = TestUses::record(folder, use_of("s", "new")).unwrap_err();
        [read, recorded].map(|error| error.to_string())
    }

    #[test]
    fn every_change_of_a_byte_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let (path, whole) = file_of(folder.path(), &["1", "2"]);
        // Without the line feed at the end, the last line is complete.
        for at in 0..whole.len() - 1 {
            for bit in 0..8 {
                let mut damaged = whole.clone();
                damaged[at] ^= 1 << bit;
                fs::write(&path, damaged).unwrap();
                for error in errors(folder.path()) {
                    assert!(error.contains("restore the file"), "{at}, {bit}: {error}");
                }
            }
        }
    }

    #[test]
    fn an_incomplete_line_is_named_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (path, whole) = file_of(folder.path(), &["1", "2"]);
        let first = whole.iter().position(|&byte| byte == b'\n').unwrap() + 1;
        for end in [first + 1, first + 20, whole.len() - 2] {
            fs::write(&path, &whole[..end]).unwrap();
            for error in errors(folder.path()) {
                assert!(error.starts_with("line 2 is incomplete"), "{error}");
            }
            assert_eq!(fs::read(&path).unwrap(), whole[..end]);
        }
        // Only the line feed is absent.
        fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        assert_eq!(TestUses::read(folder.path()).unwrap().count(), 2);
        let third = TestUses::record(folder.path(), use_of("s", "3")).unwrap();
        assert_eq!(third.number, 3);
        assert!(fs::read(&path).unwrap().starts_with(&whole));
    }

    #[test]
    fn lines_of_earlier_versions_count() {
        let folder = tempfile::tempdir().unwrap();
        let earlier = serde_json::to_string(&use_of("s", "1")).unwrap();
        let path = folder.path().join(TestUses::FILE);
        fs::write(&path, format!("{earlier}\n")).unwrap();
        let second = TestUses::record(folder.path(), use_of("s", "2")).unwrap();
        assert_eq!(second.number, 2);
        let uses = TestUses::read(folder.path()).unwrap();
        assert_eq!(uses.find("s", "1").unwrap().test_use, use_of("s", "1"));
        assert_eq!(uses.count(), 2);
    }
}
