use crate::hash;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::Path;

/// Size and SHA-256 of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileDigest {
    pub bytes: u64,
    /// In hex.
    pub sha256: String,
}

impl FileDigest {
    pub fn of_bytes(contents: &[u8]) -> Self {
        Self {
            bytes: contents.len() as u64,
            sha256: hash::sha256(contents),
        }
    }

    pub fn of_file(path: &Path) -> io::Result<Self> {
        Ok(Self {
            bytes: fs::metadata(path)?.len(),
            sha256: hash::sha256_file(path)?,
        })
    }
}
