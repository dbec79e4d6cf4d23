//! SHA-256 digests in hexadecimal.

use crate::regular_file;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;

pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Digest of what a function writes, which is not kept.
pub(crate) fn sha256_of_written(
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<String> {
    let mut hashed = Hashed(Sha256::new());
    write(&mut hashed)?;
    Ok(hex(&hashed.0.finalize()))
}

/// Hashes what is written to it.
struct Hashed(Sha256);

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Digest of a regular file, which is read in parts.
pub(crate) fn sha256_file(path: &Path) -> io::Result<String> {
    let mut file = regular_file::open(path)?;
    sha256_of_written(|out| io::copy(&mut file, out).map(drop))
}

pub(crate) fn hex(digest: &[u8]) -> String {
    digest.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("writing to a string cannot fail");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of FIPS 180-2, appendix B.1.
    #[test]
    fn digests_agree_with_the_standard() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(b"abc"), expected);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("abc");
        std::fs::write(&path, "abc").unwrap();
        assert_eq!(sha256_file(&path).unwrap(), expected);
        let written = sha256_of_written(|out| out.write_all(b"a").and_then(|()| write!(out, "bc")));
        assert_eq!(written.unwrap(), expected);
    }
}
