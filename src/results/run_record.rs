use super::atomic_files::sync_folder;
use super::sealed_json::{from_sealed_json, write_sealed_json};
use super::{Environment, FileDigest, Metric, Outcome, RecordError, RunDir, RunState, RunStatus};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Component, Path};

/// What is known of a run that has ended, from its `status.json`.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRecord {
    pub status: RunStatus,
    /// The files of the run by their path in its folder. Empty for runs of earlier versions.
    files: BTreeMap<String, FileDigest>,
    /// Whether the record is protected by a digest. Those of earlier versions are not.
    pub is_verified: bool,
}

/// The contents of `status.json`. It is written once, when a run ends, and it covers every other file that
/// the run leaves, so that later damage is found.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StatusFile {
    state: RunState,
    reason: String,
    outcome: Option<Outcome>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    environment: Option<Environment>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    files: BTreeMap<String, FileDigest>,
}

/// Which files of a run are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thoroughness {
    /// Those that a report can read, which are small: all but the weights and the tokenizer.
    Reported,
    /// All files that the record lists.
    Everything,
}

impl RunRecord {
    pub fn is_done(&self) -> bool {
        self.status.state == RunState::Done
    }
}

impl RunDir {
    /// The record of a run that has ended, without a look at its other files. `None` if it has not ended.
    ///
    /// # Errors
    /// If `status.json` cannot be read or is damaged.
    pub fn record(&self) -> Result<Option<RunRecord>, RecordError> {
        let path = self.status_file();
        let Some(json) = read_if_exists(&path)? else {
            return Ok(None);
        };
        let sealed = from_sealed_json::<StatusFile>(&json).map_err(RecordError::damaged(&path))?;
        let file = sealed.value;
        Ok(Some(RunRecord {
            status: RunStatus {
                state: file.state,
                reason: file.reason,
                outcome: file.outcome,
                environment: file.environment,
            },
            files: file.files,
            is_verified: sealed.is_verified,
        }))
    }

    /// Ends the run: syncs its files and writes `status.json` with their digests.
    pub fn write_record(&self, status: &RunStatus) -> io::Result<()> {
        let names = self.recorded_files()?;
        let digests = names.into_iter().map(|name| {
            let path = self.path().join(&name);
            File::open(&path)?.sync_all()?;
            Ok((name, FileDigest::of_file(&path)?))
        });
        let file = StatusFile {
            state: status.state,
            reason: status.reason.clone(),
            outcome: status.outcome.clone(),
            environment: status.environment.clone(),
            files: digests.collect::<io::Result<_>>()?,
        };
        sync_folder(self.path())?;
        write_sealed_json(&self.status_file(), &file)
    }

    /// The files that a record covers, by their paths in the folder. Checkpoints verify themselves.
    fn recorded_files(&self) -> io::Result<Vec<String>> {
        let fixed = [
            self.config(),
            self.tokenizer(),
            self.metrics_file(),
            self.samples(),
            self.samples_markdown(),
            self.weights(),
        ];
        let saved = self.saved_steps()?.into_iter();
        let saved = saved.map(|step| self.weights_at(step));
        let existing = fixed.into_iter().chain(saved).filter(|path| path.exists());
        Ok(existing.map(|path| self.name_of(&path)).collect())
    }

    fn name_of(&self, path: &Path) -> String {
        let inside = path.strip_prefix(self.path()).unwrap_or(path);
        inside.to_string_lossy().into_owned()
    }

    /// Compares files with the record. Runs of earlier versions have no digests; of them, only the agreement
    /// of the outcome with the metrics is checked.
    ///
    /// # Errors
    /// The first file that is damaged, missing or unreadable.
    pub fn check(&self, record: &RunRecord, thoroughness: Thoroughness) -> Result<(), RecordError> {
        let large = [self.weights(), self.tokenizer()].map(|path| self.name_of(&path));
        for (name, expected) in &record.files {
            let is_reported = !large.contains(name) && !name.contains('/');
            if !is_inside(name) {
                let why = format!("it lists {name:?}, which is not a file of the run");
                return Err(RecordError::damaged(self.status_file())(why));
            }
            if thoroughness == Thoroughness::Everything || is_reported {
                check_file(&self.path().join(name), expected)?;
            }
        }
        if record.is_verified {
            return Ok(());
        }
        let agrees = record.status.agrees_with(&self.metrics(None)?);
        agrees.map_err(RecordError::damaged(self.status_file()))
    }

    /// Compares a file with the record, if it lists the file.
    ///
    /// # Errors
    /// If it is damaged, missing or unreadable.
    pub fn check_file(&self, path: &Path, record: &RunRecord) -> Result<(), RecordError> {
        let expected = record.files.get(&self.name_of(path));
        expected.map_or(Ok(()), |expected| check_file(path, expected))
    }

    /// Reads a file and compares it with the record, if there is one. `None` if the file does not exist and
    /// the record does not list it.
    pub(super) fn read_checked(
        &self,
        path: &Path,
        record: Option<&RunRecord>,
    ) -> Result<Option<Vec<u8>>, RecordError> {
        let contents = read_if_exists(path)?;
        let Some(record) = record.filter(|record| !record.files.is_empty()) else {
            return Ok(contents);
        };
        match (record.files.get(&self.name_of(path)), &contents) {
            (Some(expected), found) => {
                let found = found.as_deref().map(FileDigest::of_bytes);
                expect_digest(path, expected, found.as_ref())?;
            }
            (None, Some(_)) => {
                return Err(RecordError::damaged(path)("status.json does not list it"));
            }
            (None, None) => {}
        }
        Ok(contents)
    }
}

/// The contents of a file. `None` if it does not exist.
pub(super) fn read_if_exists(path: &Path) -> Result<Option<Vec<u8>>, RecordError> {
    match fs::read(path) {
        Ok(contents) => Ok(Some(contents)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(RecordError::read(path)(error)),
    }
}

fn check_file(path: &Path, expected: &FileDigest) -> Result<(), RecordError> {
    match FileDigest::of_file(path) {
        Ok(found) => expect_digest(path, expected, Some(&found)),
        Err(error) if error.kind() == ErrorKind::NotFound => expect_digest(path, expected, None),
        Err(error) => Err(RecordError::read(path)(error)),
    }
}

/// `found` is `None` for a file that is missing.
fn expect_digest(
    path: &Path,
    expected: &FileDigest,
    found: Option<&FileDigest>,
) -> Result<(), RecordError> {
    let why = match found {
        Some(found) if found == expected => return Ok(()),
        Some(found) if found.bytes != expected.bytes => format!(
            "it has {} bytes, and the run wrote {}",
            found.bytes, expected.bytes
        ),
        Some(_) => "its contents are not those that the run wrote".to_owned(),
        None => "it is missing".to_owned(),
    };
    Err(RecordError::damaged(path)(why))
}

/// Whether a path names a file inside of the folder that it is relative to.
fn is_inside(name: &str) -> bool {
    let mut components = Path::new(name).components();
    components.all(|component| matches!(component, Component::Normal(_)))
}

impl RunStatus {
    /// Whether the outcome is that of the last evaluation.
    ///
    /// # Errors
    /// What does not agree.
    fn agrees_with(&self, metrics: &[Metric]) -> Result<(), String> {
        let Some(outcome) = &self.outcome else {
            return match self.state {
                RunState::Done => Err("the run is done, but has no outcome".to_owned()),
                _ => Ok(()),
            };
        };
        let evaluations = metrics.iter().filter_map(|metric| match metric {
            Metric::Eval(evaluation) => Some(evaluation),
            Metric::Step(_) => None,
        });
        let last = evaluations.last();
        let measured = last.map(|last| (last.val_loss, last.bits_per_byte));
        if outcome.val_loss.zip(outcome.bits_per_byte) != measured {
            return Err(
                "the validation loss is not that of the last evaluation in metrics.jsonl"
                    .to_owned(),
            );
        }
        match last {
            Some(last) if self.state == RunState::Done && last.step != outcome.steps => {
                Err(format!(
                    "the run is done with {} steps, but the last evaluation in metrics.jsonl is of step {}",
                    outcome.steps, last.step
                ))
            }
            None if self.state == RunState::Done => {
                Err("metrics.jsonl has no evaluation".to_owned())
            }
            _ => Ok(()),
        }
    }
}
