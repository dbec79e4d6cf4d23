//! The folder of an encoded corpus: complete or absent, and checked against what it says of itself.

use super::DataError;
use crate::hash;
use crate::results::{CorpusInfo, write_json_atomic};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

pub(super) const TRAIN: &str = "train.bin";
pub(super) const VAL: &str = "val.bin";
pub(super) const TOKENIZER: &str = "tokenizer.json";
const MANIFEST: &str = "corpus.json";

/// Raised when the same data and tokenizer begin to give other files.
pub(super) const FORMAT: u32 = 3;

/// `corpus.json`: what is known of the corpus, and what the other files must be.
#[derive(Serialize, Deserialize)]
struct Manifest {
    format: u32,
    info: CorpusInfo,
    files: BTreeMap<String, Expected>,
}

#[derive(Serialize, Deserialize)]
struct Expected {
    bytes: u64,
    sha256: String,
}

/// How closely the files are looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    /// Their sizes, at no cost whatever the size of the corpus.
    Sizes,
    /// Every byte.
    Bytes,
}

/// What a folder says of itself, if its files agree.
pub(super) fn check(dir: &Path, check: Check) -> Result<CorpusInfo, DataError> {
    let damaged = |reason: String| DataError::Damaged {
        path: dir.to_owned(),
        reason,
    };
    let json = fs::read(dir.join(MANIFEST)).map_err(|error| damaged(error.to_string()))?;
    let manifest: Manifest =
        serde_json::from_slice(&json).map_err(|error| damaged(format!("{MANIFEST}: {error}")))?;
    if manifest.format != FORMAT {
        return Err(damaged(format!(
            "it has format {}, and this is for format {FORMAT}",
            manifest.format
        )));
    }
    for name in [TRAIN, VAL, TOKENIZER] {
        let expected = manifest
            .files
            .get(name)
            .ok_or_else(|| damaged(format!("{MANIFEST} does not tell of {name}")))?;
        let path = dir.join(name);
        let found = fs::metadata(&path).map_err(|error| damaged(format!("{name}: {error}")))?;
        if found.len() != expected.bytes {
            return Err(damaged(format!(
                "{name} has {} bytes, expected {}",
                found.len(),
                expected.bytes
            )));
        }
        if check == Check::Bytes
            && hash::sha256_file(&path).map_err(DataError::read(&path))? != expected.sha256
        {
            return Err(damaged(format!("{name} is not what was written")));
        }
    }
    Ok(manifest.info)
}

/// Start of the name of a folder that is being built.
const PARTIAL: &str = ".partial-";

/// Removes what a preparation that was killed left behind. For whoever knows that none is at work in
/// the folder, which need not be there.
pub fn remove_leftovers(cache_root: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(cache_root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(PARTIAL) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// A folder being built beside its place. Dropped before [`Self::install`], it is removed.
pub(super) struct Building {
    dir: tempfile::TempDir,
    root: PathBuf,
}

impl Building {
    pub(super) fn begin(root: &Path) -> Result<Self, DataError> {
        fs::create_dir_all(root).map_err(DataError::write(root))?;
        let dir = tempfile::Builder::new()
            .prefix(PARTIAL)
            .tempdir_in(root)
            .map_err(DataError::write(root))?;
        Ok(Self {
            dir,
            root: root.to_owned(),
        })
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Completes the folder and puts it in its place. Where another process was faster its folder is
    /// as good; one that is damaged makes way.
    pub(super) fn install(self, info: &CorpusInfo) -> Result<(), DataError> {
        let target = self.root.join(&info.key);
        self.finish(info).map_err(DataError::write(&target))?;
        if fs::rename(self.dir.path(), &target).is_err() {
            if check(&target, Check::Bytes).is_ok() {
                return Ok(());
            }
            let aside = Self::begin(&self.root)?;
            fs::rename(&target, aside.path("damaged")).map_err(DataError::write(&target))?;
            fs::rename(self.dir.path(), &target).map_err(DataError::write(&target))?;
        }
        // Nothing is left under the temporary name; the handle would look for it in vain.
        let _ = self.dir.keep();
        sync(&self.root).map_err(DataError::write(&self.root))
    }

    fn finish(&self, info: &CorpusInfo) -> io::Result<()> {
        let mut files = BTreeMap::new();
        for name in [TRAIN, VAL, TOKENIZER] {
            let path = self.path(name);
            sync(&path)?;
            let expected = Expected {
                bytes: fs::metadata(&path)?.len(),
                sha256: hash::sha256_file(&path)?,
            };
            files.insert(name.to_owned(), expected);
        }
        let manifest = Manifest {
            format: FORMAT,
            info: info.clone(),
            files,
        };
        write_json_atomic(&self.path(MANIFEST), &manifest)?;
        // A temporary folder is private by default; a cache is as readable as any other.
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(self.dir.path(), fs::Permissions::from_mode(0o755))?;
        }
        Ok(())
    }
}

fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
