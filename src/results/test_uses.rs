//! The record of every use of a test split. A test split that is used again and again is no longer independent of
//! the choices that its results lead to.

use super::atomic_files::create_atomic;
use crate::regular_file;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;

/// One use of a test split, a line of `test_uses.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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

impl TestUses {
    pub const FILE: &str = "test_uses.jsonl";

    /// Reads the uses in a folder.
    ///
    /// # Errors
    /// If the file cannot be read, or has a line that is no use of a test split: then their number is not known.
    pub fn read(folder: &Path) -> io::Result<Self> {
        let mut file = match regular_file::open(&folder.join(Self::FILE)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self(Vec::new())),
            file => file?,
        };
        let mut contents = String::new();
        file.read_to_string(&mut contents)?;
        Self::parse(whole_lines(&contents))
    }

    fn parse(lines: &str) -> io::Result<Self> {
        let parse = |(number, line): (usize, &str)| {
            serde_json::from_str(line).map_err(|error| {
                let message = format!("line {} is damaged: {error}", number + 1);
                io::Error::new(ErrorKind::InvalidData, message)
            })
        };
        let uses = lines.lines().enumerate().map(parse);
        uses.collect::<io::Result<_>>().map(Self)
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
        let mut line = serde_json::to_vec(&new)?;
        line.push(b'\n');
        let counted = |number| CountedUse {
            number,
            test_use: new.clone(),
            is_new: true,
        };
        if !path.exists() && create_atomic(&path, &line)? {
            return Ok(counted(1));
        }
        let mut file = regular_file::open_with(&path, File::options().read(true).append(true))?;
        file.lock()?;
        let mut contents = String::new();
        file.read_to_string(&mut contents)?;
        let whole = whole_lines(&contents);
        let uses = Self::parse(whole)?;
        if let Some(earlier) = uses.find(&new.text, &new.runs) {
            return Ok(earlier);
        }
        if whole.len() < contents.len() {
            file.set_len(whole.len() as u64)?;
        }
        file.write_all(&line)?;
        file.sync_all()?;
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

/// The lines with an end. A line that a killed process has not finished was not used for anything.
fn whole_lines(contents: &str) -> &str {
    contents.rfind('\n').map_or("", |end| &contents[..=end])
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

    #[test]
    fn a_torn_line_is_dropped_and_a_damaged_one_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let path = folder.join(TestUses::FILE);
        TestUses::record(folder, use_of("s", "1")).unwrap();
        let whole = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{whole}{}", &whole[..20])).unwrap();
        assert_eq!(
            TestUses::record(folder, use_of("s", "2")).unwrap().number,
            2
        );
        let uses = TestUses::read(folder).unwrap();
        assert_eq!(uses.find("s", "2").unwrap().number, 2);
        fs::write(&path, whole.replace(':', ";")).unwrap();
        for error in [
            TestUses::read(folder).unwrap_err(),
            TestUses::record(folder, use_of("s", "2")).unwrap_err(),
        ] {
            assert!(error.to_string().contains("line 1 is damaged"), "{error}");
        }
        fs::write(&path, &whole[..20]).unwrap();
        assert_eq!(TestUses::read(folder).unwrap().find("s", "1"), None);
        assert_eq!(
            TestUses::record(folder, use_of("s", "1")).unwrap().number,
            1
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), whole);
    }
}
