use super::{Environment, FileDigest, Metric, Outcome, RecordError, RunState, RunStatus};
use crate::regular_file;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Component, Path};

/// What is known of a run that has ended, from its `status.json`.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRecord {
    pub status: RunStatus,
    /// [`super::PlannedRun::identity`] of the run. `None` for runs of earlier versions.
    pub(super) identity: Option<String>,
    /// The files of the run by their path in its folder. Empty for runs of earlier versions.
    pub(super) files: BTreeMap<String, FileDigest>,
    /// Whether the record is protected by a digest. Those of earlier versions are not.
    pub is_verified: bool,
}

/// The contents of `status.json`. It is written once, when a run ends, and it covers every other file that
/// the run leaves, so that later damage is found.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StatusFile {
    pub(super) state: RunState,
    pub(super) reason: String,
    pub(super) outcome: Option<Outcome>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) identity: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) environment: Option<Environment>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) earlier_environments: Vec<Environment>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) files: BTreeMap<String, FileDigest>,
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

    /// Whether the run had a file with the name of this one when it ended.
    pub fn lists(&self, path: &Path) -> bool {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| self.files.contains_key(name))
    }
}

/// The contents of a file. `None` if it does not exist.
pub(super) fn read_if_exists(path: &Path) -> Result<Option<Vec<u8>>, RecordError> {
    match regular_file::read(path) {
        Ok(contents) => Ok(Some(contents)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(RecordError::read(path)(error)),
    }
}

pub(super) fn check_file(path: &Path, expected: &FileDigest) -> Result<(), RecordError> {
    match FileDigest::of_file(path) {
        Ok(found) => expect_digest(path, expected, Some(&found)),
        Err(error) if error.kind() == ErrorKind::NotFound => expect_digest(path, expected, None),
        Err(error) => Err(RecordError::read(path)(error)),
    }
}

/// `found` is `None` for a file that is missing.
pub(super) fn expect_digest(
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
pub(super) fn is_inside(name: &str) -> bool {
    let mut components = Path::new(name).components();
    components.all(|component| matches!(component, Component::Normal(_)))
}

impl RunStatus {
    /// Whether the outcome is that of the last evaluation.
    ///
    /// # Errors
    /// What does not agree.
    pub(super) fn agrees_with(&self, metrics: &[Metric]) -> Result<(), String> {
        let Some(outcome) = &self.outcome else {
            return match self.state {
                RunState::Done => Err("the run is done, but has no outcome".to_owned()),
                _ => Ok(()),
            };
        };
        let last = metrics.iter().rev().find_map(Metric::evaluation);
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
