//! The file that remembers that the process of a run was killed or crashed.

use super::{RunDir, from_sealed_json, remove_if_exists, write_sealed_json};
use crate::regular_file;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::PathBuf;

/// The contents of `death.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Death {
    /// Step of the checkpoint from which the run continues. 0 without a checkpoint.
    step: u64,
    reason: String,
}

impl RunDir {
    pub(super) fn death_file(&self) -> PathBuf {
        self.path().join("death.json")
    }

    /// Remembers that the process of the run died, and that the run continues from `step`.
    pub fn write_death(&self, step: u64, reason: &str) -> io::Result<()> {
        let reason = reason.to_owned();
        write_sealed_json(&self.death_file(), &Death { step, reason })
    }

    /// The step after which the process of the run died the last time. `None` if it did not, or if this is not
    /// known because the file is damaged.
    pub fn last_death(&self) -> Option<u64> {
        let json = regular_file::read(&self.death_file()).ok()?;
        let death = from_sealed_json::<Death>(&json).ok()?;
        Some(death.value.step)
    }

    /// Removes the record of the run, so that it continues from its checkpoint.
    pub fn remove_status(&self) -> io::Result<()> {
        remove_if_exists(&self.status_file())
    }

    pub fn forget_death(&self) -> io::Result<()> {
        remove_if_exists(&self.death_file())
    }
}
