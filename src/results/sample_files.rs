//! The files with the generated texts of a run.

use super::atomic_files::replace_file;
use super::{RecordError, RunDir, RunRecord, SampleText, samples_markdown, write_atomic};
use std::io;

impl RunDir {
    /// Writes `samples.json`, and `samples.md` with the same texts for people.
    pub fn write_samples(&self, samples: &[SampleText]) -> io::Result<()> {
        // A checkpoint depends on them.
        write_atomic(&self.samples(), &SampleText::json(samples)?)?;
        let markdown = samples_markdown::render(samples);
        replace_file(&self.samples_markdown(), markdown.as_bytes())
    }

    /// The texts of `samples.json`, or of the `samples.md` of a run that was trained before there was
    /// a `samples.json`. Empty if neither exists. `record` is that of the run, if it has ended.
    ///
    /// # Errors
    /// If the file cannot be read, is not the one that `record` lists, or holds no samples.
    pub fn read_samples(&self, record: Option<&RunRecord>) -> Result<Vec<SampleText>, RecordError> {
        let path = self.samples();
        if let Some(json) = self.read_checked(&path, record)? {
            return serde_json::from_slice(&json).map_err(RecordError::damaged(path));
        }
        let path = self.samples_markdown();
        let Some(markdown) = self.read_checked(&path, record)? else {
            return Ok(Vec::new());
        };
        let samples = std::str::from_utf8(&markdown)
            .ok()
            .and_then(samples_markdown::parse);
        samples.ok_or_else(|| {
            RecordError::damaged(path)("it is not in the format in which it was written")
        })
    }
}

impl SampleText {
    /// The contents of `samples.json` for some samples.
    pub fn json(samples: &[Self]) -> io::Result<Vec<u8>> {
        let mut json = serde_json::to_vec_pretty(samples)?;
        json.push(b'\n');
        Ok(json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn samples_read_back_exactly_from_either_file() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunDir::new(dir.path());
        assert_eq!(run.read_samples(None).unwrap(), []);
        let sample = |step, number, text: &str| SampleText {
            step,
            number,
            prompt: "\u{1b}[0m \u{2028}".to_owned(),
            text: text.to_owned(),
        };
        let samples = [
            sample(0, 1, ""),
            sample(1, 2, "\r\n"),
            sample(u64::MAX, 1, "`````\n"),
        ];
        run.write_samples(&samples).unwrap();
        assert_eq!(run.read_samples(None).unwrap(), samples);
        // As runs of earlier versions.
        fs::remove_file(run.samples()).unwrap();
        assert_eq!(run.read_samples(None).unwrap(), samples);
    }

    #[test]
    fn damaged_file_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunDir::new(dir.path());
        fs::write(run.samples_markdown(), "# Samples\n\n## torn").unwrap();
        let error = run.read_samples(None).unwrap_err();
        assert!(error.is_damage(), "{error}");
        fs::write(run.samples(), "[{").unwrap();
        assert!(run.read_samples(None).is_err());
    }
}
