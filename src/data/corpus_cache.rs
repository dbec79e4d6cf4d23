//! The folder of an encoded corpus. It is complete or absent, and its manifest says what its files
//! must contain.

use super::DataError;
use crate::hash;
use crate::results::{CorpusInfo, write_json_atomic};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

pub(super) const TRAIN: &str = "train.bin";
pub(super) const VAL: &str = "val.bin";
pub(super) const TOKENIZER: &str = "tokenizer.json";
const MANIFEST: &str = "corpus.json";

/// Version of the files. It is raised when the same data and tokenizer give other files.
pub(super) const FORMAT: u32 = 3;

/// The content of `corpus.json`.
#[derive(Serialize, Deserialize)]
struct Manifest {
    format: u32,
    info: CorpusInfo,
    files: BTreeMap<String, FileRecord>,
}

/// Size and checksum of a file.
#[derive(Serialize, Deserialize)]
struct FileRecord {
    bytes: u64,
    sha256: String,
}

/// How thoroughly [`check`] compares the files with the manifest.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    /// Compares sizes only, which is fast for a corpus of any size.
    Sizes,
    /// Reads all files and compares their checksums.
    Checksums,
}

/// The description of the corpus in a folder, if its files match the manifest.
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
            "it has format {}; this version of runner reads format {FORMAT}",
            manifest.format
        )));
    }
    for name in [TRAIN, VAL, TOKENIZER] {
        let expected = manifest
            .files
            .get(name)
            .ok_or_else(|| damaged(format!("{MANIFEST} has no entry for {name}")))?;
        let path = dir.join(name);
        let found = fs::metadata(&path).map_err(|error| damaged(format!("{name}: {error}")))?;
        if found.len() != expected.bytes {
            return Err(damaged(format!(
                "{name} has {} bytes, expected {}",
                found.len(),
                expected.bytes
            )));
        }
        if check == Check::Checksums
            && hash::sha256_file(&path).map_err(DataError::read(&path))? != expected.sha256
        {
            return Err(damaged(format!("{name} has a wrong checksum")));
        }
    }
    Ok(manifest.info)
}

/// Prefix of the names of incomplete folders.
const PARTIAL: &str = ".partial-";

/// Removes the incomplete folders of processes that were killed. The caller must know that no other
/// process prepares a corpus in `cache_root`. The folder may be absent.
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

/// Writes the folder of a corpus under a temporary name. If it is dropped before [`Self::commit`],
/// the folder is removed.
pub(super) struct CorpusWriter {
    dir: tempfile::TempDir,
    root: PathBuf,
    files: BTreeMap<String, FileRecord>,
}

impl CorpusWriter {
    pub(super) fn new(root: &Path) -> Result<Self, DataError> {
        fs::create_dir_all(root).map_err(DataError::write(root))?;
        Ok(Self {
            dir: partial_folder(root)?,
            root: root.to_owned(),
            files: BTreeMap::new(),
        })
    }

    /// The temporary path of a file.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file with the bytes that `write` gives to its argument. The checksum is computed
    /// while writing and returned in hex.
    pub(super) fn write_file<T>(
        &mut self,
        name: &str,
        write: impl FnOnce(&mut dyn Write) -> Result<T, DataError>,
    ) -> Result<(T, String), DataError> {
        let path = self.path(name);
        let failed = || DataError::write(&path);
        let file = File::create(&path).map_err(failed())?;
        // The buffer comes first, so that the checksum is computed over large blocks.
        let mut out = BufWriter::with_capacity(
            1 << 16,
            HashingWriter {
                file: &file,
                hash: Sha256::new(),
                bytes: 0,
            },
        );
        let result = write(&mut out)?;
        out.flush().map_err(failed())?;
        let written = out.get_ref();
        let sha256 = hash::hex(&written.hash.clone().finalize());
        let record = FileRecord {
            bytes: written.bytes,
            sha256: sha256.clone(),
        };
        file.sync_all().map_err(failed())?;
        self.files.insert(name.to_owned(), record);
        Ok((result, sha256))
    }

    /// Writes the manifest and renames the folder to its final name. If another process has
    /// committed the same corpus before, its folder is kept. A damaged folder is replaced.
    pub(super) fn commit(self, info: &CorpusInfo) -> Result<(), DataError> {
        let Self { dir, root, files } = self;
        let target = root.join(&info.key);
        let manifest = Manifest {
            format: FORMAT,
            info: info.clone(),
            files,
        };
        write_json_atomic(&dir.path().join(MANIFEST), &manifest)
            .and_then(|()| make_readable(dir.path()))
            .map_err(DataError::write(&target))?;
        if fs::rename(dir.path(), &target).is_err() {
            if check(&target, Check::Checksums).is_ok() {
                return Ok(());
            }
            let aside = partial_folder(&root)?;
            let damaged = aside.path().join("damaged");
            fs::rename(&target, damaged).map_err(DataError::write(&target))?;
            fs::rename(dir.path(), &target).map_err(DataError::write(&target))?;
        }
        // The folder has its final name, so there is no temporary folder left to remove.
        let _ = dir.keep();
        let synced = File::open(&root).and_then(|root| root.sync_all());
        synced.map_err(DataError::write(&root))
    }
}

fn partial_folder(root: &Path) -> Result<tempfile::TempDir, DataError> {
    let folder = tempfile::Builder::new().prefix(PARTIAL).tempdir_in(root);
    folder.map_err(DataError::write(root))
}

/// Gives a temporary folder, which only its owner can read, the usual permissions.
fn make_readable(dir: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(dir, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

/// Passes bytes on to a file, and computes their number and their checksum.
struct HashingWriter<'a> {
    file: &'a File,
    hash: Sha256,
    bytes: u64,
}

impl Write for HashingWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
