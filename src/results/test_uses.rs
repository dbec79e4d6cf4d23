//! The record of every use of a test split. A test split that is used again and again is no longer independent of
//! the choices that its results lead to.

use super::atomic_files::sync_folder;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
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

/// The file `test_uses.jsonl`, locked for this process.
#[derive(Debug)]
pub struct TestUses {
    file: File,
    uses: Vec<TestUse>,
}

impl TestUses {
    pub const FILE: &str = "test_uses.jsonl";

    /// Opens or creates the file in a folder, and waits while another process uses it.
    ///
    /// # Errors
    /// If it cannot be read, or has a line that is no use of a test split: then their number is not known.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let path = folder.join(Self::FILE);
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)?;
        file.lock()?;
        let mut contents = String::new();
        file.read_to_string(&mut contents)?;
        // A line that a killed process has not finished was not used for anything.
        let whole = contents.rfind('\n').map_or("", |end| &contents[..end]);
        if whole.len() + 1 < contents.len() {
            file.set_len(whole.len() as u64 + u64::from(!whole.is_empty()))?;
        }
        let parse = |(number, line): (usize, &str)| {
            serde_json::from_str(line).map_err(|error| {
                let message = format!("line {} is damaged: {error}", number + 1);
                io::Error::new(io::ErrorKind::InvalidData, message)
            })
        };
        let uses = whole
            .lines()
            .enumerate()
            .map(parse)
            .collect::<io::Result<_>>()?;
        Ok(Self { file, uses })
    }

    /// The use of a test split for these runs and its number, from 1, if there was one.
    pub fn find(&self, text: &str, runs: &str) -> Option<(usize, &TestUse)> {
        let uses = self.uses_of(text).enumerate();
        let mut found = uses.filter(|(_, earlier)| earlier.runs == runs);
        found.next().map(|(index, earlier)| (index + 1, earlier))
    }

    /// Records a use, and returns its number, from 1.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn record(&mut self, folder: &Path, new: TestUse) -> io::Result<usize> {
        let mut line = serde_json::to_vec(&new)?;
        line.push(b'\n');
        self.file.write_all(&line)?;
        self.file.sync_all()?;
        sync_folder(folder)?;
        let number = self.uses_of(&new.text).count() + 1;
        self.uses.push(new);
        Ok(number)
    }

    fn uses_of(&self, text: &str) -> impl Iterator<Item = &TestUse> {
        let uses = self.uses.iter();
        uses.filter(move |earlier| earlier.text == text)
    }
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
            let mut uses = TestUses::open(folder).unwrap();
            assert_eq!(uses.find(split, runs), None);
            assert_eq!(uses.record(folder, use_of(split, runs)).unwrap(), number);
        }
        let uses = TestUses::open(folder).unwrap();
        let (number, found) = uses.find("s", "2").unwrap();
        assert_eq!((number, found), (2, &use_of("s", "2")));
    }

    #[test]
    fn a_torn_line_is_dropped_and_a_damaged_one_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let path = folder.join(TestUses::FILE);
        TestUses::open(folder)
            .unwrap()
            .record(folder, use_of("s", "1"))
            .unwrap();
        let whole = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{whole}{}", &whole[..20])).unwrap();
        let mut uses = TestUses::open(folder).unwrap();
        assert_eq!(uses.record(folder, use_of("s", "2")).unwrap(), 2);
        drop(uses);
        assert_eq!(TestUses::open(folder).unwrap().find("s", "2").unwrap().0, 2);
        fs::write(&path, whole.replace(':', ";")).unwrap();
        let error = TestUses::open(folder).unwrap_err().to_string();
        assert!(error.contains("line 1 is damaged"), "{error}");
        fs::write(&path, &whole[..20]).unwrap();
        assert_eq!(TestUses::open(folder).unwrap().find("s", "1"), None);
        assert_eq!(fs::read(&path).unwrap(), b"");
    }
}
