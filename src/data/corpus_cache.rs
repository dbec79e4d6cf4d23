//! The folder of an encoded corpus. It is complete or absent, and its manifest says what its files
//! must contain.

use super::token_file::Width;
use super::{DataError, Tokenizer, Tokens};
use crate::hash;
use crate::regular_file;
use crate::results::{
    CorpusInfo, FileDigest, PartialFolder, from_sealed_json, partial_folder, write_sealed_json,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

pub(super) const TRAIN: &str = "train.bin";
pub(super) const VAL: &str = "val.bin";
pub(super) const TOKENIZER: &str = "tokenizer.json";
const MANIFEST: &str = "corpus.json";

/// Version of the files. It is raised when the same data and tokenizer give other files.
pub(super) const FORMAT: u32 = 4;

/// The content of `corpus.json`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    format: u32,
    info: CorpusInfo,
    files: BTreeMap<String, FileDigest>,
}

impl Manifest {
    fn new(info: CorpusInfo, files: BTreeMap<String, FileDigest>) -> Self {
        Self {
            format: FORMAT,
            info,
            files,
        }
    }

    /// Compares the number of tokens in a file with the size of the file.
    fn check_tokens(&self, name: &str, tokens: u64) -> Result<(), String> {
        let bytes = self.files.get(name).map_or(0, |file| file.bytes);
        let width = Width::of(self.info.vocab_size).bytes() as u64;
        if tokens.checked_mul(width) != Some(bytes) {
            return Err(format!(
                "{MANIFEST} states {tokens} tokens for {name}, which has {bytes} bytes"
            ));
        }
        Ok(())
    }
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
    // A missing file is damage, and so is something else in its place. Another error of reading says nothing about
    // the file.
    let unreadable = |name: &str, error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => damaged(format!("{name}: {error}")),
        _ if regular_file::is_wrong_kind(&error) => damaged(format!("{name}: {error}")),
        _ => DataError::read(&dir.join(name))(error),
    };
    let json =
        regular_file::read(&dir.join(MANIFEST)).map_err(|error| unreadable(MANIFEST, error))?;
    let sealed = from_sealed_json::<Manifest>(&json)
        .map_err(|error| damaged(format!("{MANIFEST}: {error}")))?;
    let manifest = sealed.value;
    if manifest.format == FORMAT && !sealed.is_verified {
        return Err(damaged(format!("{MANIFEST} has no digest")));
    }
    if manifest.format != FORMAT {
        return Err(damaged(format!(
            "it has format {}; this version of runner reads format {FORMAT}",
            manifest.format
        )));
    }
    if dir.file_name() != Some(OsStr::new(&manifest.info.key)) {
        return Err(damaged(format!(
            "it is the corpus {}, under another name",
            manifest.info.key
        )));
    }
    for name in [TRAIN, VAL, TOKENIZER] {
        let expected = manifest
            .files
            .get(name)
            .ok_or_else(|| damaged(format!("{MANIFEST} has no entry for {name}")))?;
        let path = dir.join(name);
        let found = regular_file::open(&path).and_then(|file| file.metadata());
        let found = found.map_err(|error| unreadable(name, error))?;
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
    manifest
        .check_tokens(TRAIN, manifest.info.train_tokens)
        .and_then(|()| manifest.check_tokens(VAL, manifest.info.val_tokens))
        .map_err(damaged)?;
    Ok(manifest.info)
}

/// Compares the description of a corpus with its tokenizer and its validation tokens. Bits per byte
/// depend on these numbers.
pub(super) fn check_description(
    info: &CorpusInfo,
    tokenizer: &Tokenizer,
    val: &Tokens,
) -> Result<(), String> {
    let (stated, found) = (info.vocab_size, tokenizer.vocab_size());
    if stated != found {
        return Err(format!(
            "{MANIFEST} states a vocabulary of {stated} tokens, and {TOKENIZER} has {found}"
        ));
    }
    if !info.lossless {
        return Ok(()); // the tokens do not tell the size of the text
    }
    let bytes = tokenizer.text_len(val.iter().map(|token| token as u32));
    if bytes != info.val_bytes {
        return Err(format!(
            "{MANIFEST} states {} bytes for {VAL}, whose tokens stand for {bytes}",
            info.val_bytes
        ));
    }
    Ok(())
}

/// Removes a damaged corpus. It may be absent.
pub(super) fn discard(root: &Path, key: &str) -> Result<(), DataError> {
    let target = root.join(key);
    // Renaming comes first, so that no other process finds a part of the folder.
    PartialFolder::new(root)
        .and_then(
            |aside| match fs::rename(&target, aside.path().join("damaged")) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                renamed => renamed,
            },
        )
        .map_err(DataError::write(&target))
}

/// Removes the incomplete folders of processes that were killed. Those that another process is writing
/// stay. The folder `cache_root` may be absent.
pub fn remove_leftovers(cache_root: &Path) -> io::Result<()> {
    partial_folder::remove_abandoned(cache_root)
}

/// Removes all corpora but those that another process is writing.
pub fn remove_cache(cache_root: &Path) -> io::Result<()> {
    partial_folder::remove_all(cache_root)
}

/// Writes the folder of a corpus under a temporary name. If it is dropped before [`Self::commit`],
/// the folder is removed.
pub(super) struct CorpusWriter {
    dir: PartialFolder,
    root: PathBuf,
    files: BTreeMap<String, FileDigest>,
}

impl CorpusWriter {
    pub(super) fn new(root: &Path) -> Result<Self, DataError> {
        fs::create_dir_all(root).map_err(DataError::write(root))?;
        Ok(Self {
            dir: PartialFolder::new(root).map_err(DataError::write(root))?,
            root: root.to_owned(),
            files: BTreeMap::new(),
        })
    }

    /// The temporary path of a file.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The folder to name in an error of a file, whose temporary path tells a user nothing.
    pub(super) fn root(&self) -> PathBuf {
        self.root.clone()
    }

    /// Writes a file with the bytes that `write` gives to its argument. The checksum is computed
    /// while writing.
    pub(super) fn write_file<T>(
        &mut self,
        name: &str,
        write: impl FnOnce(&mut dyn Write) -> Result<T, DataError>,
    ) -> Result<T, DataError> {
        let failed = || DataError::write(&self.root);
        let file = File::create(self.path(name)).map_err(failed())?;
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
        let record = FileDigest {
            bytes: written.bytes,
            sha256: hash::hex(&written.hash.clone().finalize()),
        };
        file.sync_all().map_err(failed())?;
        self.files.insert(name.to_owned(), record);
        Ok(result)
    }

    /// Writes the manifest and renames the folder to its final name. If another process has
    /// committed the same corpus before, its folder is kept. A damaged folder is replaced.
    pub(super) fn commit(self, info: &CorpusInfo) -> Result<(), DataError> {
        let Self {
            mut dir,
            root,
            files,
        } = self;
        let target = root.join(&info.key);
        write_sealed_json(
            &dir.path().join(MANIFEST),
            &Manifest::new(info.clone(), files),
        )
        .map_err(DataError::write(&target))?;
        if dir.rename(&target).is_err() {
            if check(&target, Check::Checksums).is_ok() {
                return Ok(());
            }
            discard(&root, &info.key)?;
            dir.rename(&target).map_err(DataError::write(&target))?;
        }
        let synced = File::open(&root).and_then(|root| root.sync_all());
        synced.map_err(DataError::write(&root))
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{open, prepare};
    use crate::spec;

    /// Numbers that do not fit to the files are found, even with a checksum that fits to the numbers.
    #[test]
    fn the_counts_are_compared_with_the_files() {
        let root = tempfile::tempdir().unwrap();
        let data = spec::Data {
            plays_bytes: 20_000,
            ..spec::Data::default()
        };
        let bytes = spec::Tokenizer {
            kind: spec::TokenizerKind::Byte,
            ..spec::Tokenizer::default()
        };
        let info = prepare(&data, &bytes, root.path()).unwrap();
        let path = root.path().join(&info.key).join(MANIFEST);
        type Change = fn(&mut CorpusInfo);
        let changes: [(Change, &str); 4] = [
            (
                |info| info.train_tokens += 1,
                " tokens for train.bin, which has ",
            ),
            (
                |info| info.val_tokens += 1,
                " tokens for val.bin, which has ",
            ),
            (
                |info| info.vocab_size += 1,
                " tokens, and tokenizer.json has ",
            ),
            (
                |info| info.val_bytes += 1000,
                " bytes for val.bin, whose tokens stand for ",
            ),
        ];
        for (change, expected) in changes {
            let json = fs::read(&path).unwrap();
            let mut manifest: Manifest = from_sealed_json(&json).unwrap().value;
            change(&mut manifest.info);
            write_sealed_json(&path, &manifest).unwrap();
            let error = open(root.path(), &info.key).map(|corpus| corpus.info);
            let error = error.unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            let again = prepare(&data, &bytes, root.path()).unwrap();
            assert_eq!(again, info);
        }
    }
}
