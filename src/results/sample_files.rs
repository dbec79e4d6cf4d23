//! The files with the generated texts of a run.

use super::{RunDir, SampleText, samples_markdown, write_atomic, write_json_atomic};
use std::fs;
use std::io::{self, ErrorKind};

impl RunDir {
    /// Writes `samples.json`, and `samples.md` with the same texts for people.
    pub fn write_samples(&self, samples: &[SampleText]) -> io::Result<()> {
        write_json_atomic(&self.samples(), &samples)?;
        let markdown = samples_markdown::render(samples);
        write_atomic(&self.samples_markdown(), markdown.as_bytes())
    }

    /// The texts of `samples.json`, or of the `samples.md` of a run that was trained before there was
    /// a `samples.json`. Empty if neither exists.
    pub fn read_samples(&self) -> io::Result<Vec<SampleText>> {
        if let Some(json) = read_if_exists(fs::read(self.samples()))? {
            return Ok(serde_json::from_slice(&json)?);
        }
        let Some(markdown) = read_if_exists(fs::read_to_string(self.samples_markdown()))? else {
            return Ok(Vec::new());
        };
        samples_markdown::parse(&markdown).ok_or_else(|| {
            let message = "samples.md is not in the format in which it was written";
            io::Error::new(ErrorKind::InvalidData, message)
        })
    }
}

fn read_if_exists<T>(read: io::Result<T>) -> io::Result<Option<T>> {
    match read {
        Ok(contents) => Ok(Some(contents)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_read_back_exactly_from_either_file() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunDir::new(dir.path());
        assert_eq!(run.read_samples().unwrap(), []);
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
        assert_eq!(run.read_samples().unwrap(), samples);
        // As runs of earlier versions.
        fs::remove_file(run.samples()).unwrap();
        assert_eq!(run.read_samples().unwrap(), samples);
    }

    #[test]
    fn damaged_file_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunDir::new(dir.path());
        fs::write(run.samples_markdown(), "# Samples\n\n## torn").unwrap();
        let error = run.read_samples().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        fs::write(run.samples(), "[{").unwrap();
        assert!(run.read_samples().is_err());
    }
}
