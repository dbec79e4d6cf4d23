//! Token files, mapped into memory. A token is a little-endian number of two bytes, or of four bytes
//! if the vocabulary has more than 65,536 tokens.

use super::DataError;
use crate::regular_file;
use memmap2::Mmap;
use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// Number of bytes per token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    Two,
    Four,
}

impl Width {
    /// The width for a vocabulary.
    pub(super) fn of(vocab_size: usize) -> Self {
        if vocab_size <= 1 << 16 {
            Self::Two
        } else {
            Self::Four
        }
    }

    pub(super) fn bytes(self) -> usize {
        match self {
            Self::Two => 2,
            Self::Four => 4,
        }
    }

    /// Writes tokens. They must be smaller than the size of the vocabulary.
    pub(super) fn write(self, tokens: &[u32], out: &mut impl Write) -> io::Result<()> {
        let bytes: Vec<u8> = match self {
            Self::Two => tokens
                .iter()
                .flat_map(|token| (*token as u16).to_le_bytes())
                .collect(),
            Self::Four => tokens
                .iter()
                .flat_map(|token| token.to_le_bytes())
                .collect(),
        };
        out.write_all(&bytes)
    }
}

/// The tokens of one split. Clones share the same memory.
#[derive(Debug, Clone)]
pub struct Tokens {
    map: Arc<Mmap>,
    width: Width,
}

impl Tokens {
    pub(super) fn open(path: &Path, width: Width) -> Result<Self, DataError> {
        let file = regular_file::open(path).map_err(DataError::read(path))?;
        Self::from_file(&file, width).map_err(DataError::read(path))
    }

    /// The tokens in an open file. The file must not be written to any more.
    pub(super) fn from_file(file: &File, width: Width) -> io::Result<Self> {
        // SAFETY: the mapped bytes must not change while the map exists. This program does not change
        // them: it maps a file only after the last write to it, replaces a damaged corpus by renaming
        // its folder, and deletes files only by name, which leaves a mapped file intact. Another
        // program that writes to a file in the cache folder while it is mapped would break this
        // assumption. No file system call can exclude this, so the cache folder must be left to this
        // program.
        let map = unsafe { Mmap::map(file) }?;
        Ok(Self {
            map: Arc::new(map),
            width,
        })
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.map.len() / self.width.bytes()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The token at a position.
    ///
    /// # Panics
    /// If the position is not smaller than [`Self::len`].
    pub fn get(&self, i: usize) -> usize {
        let at = i * self.width.bytes();
        self.read(&self.map[at..at + self.width.bytes()])
    }

    /// All tokens in order.
    pub fn iter(&self) -> impl Iterator<Item = usize> + Clone {
        (0..self.len()).map(|i| self.get(i))
    }

    /// Appends the tokens of a range to `out`.
    ///
    /// # Panics
    /// If the range ends after the last token.
    pub fn copy_to(&self, range: Range<usize>, out: &mut Vec<usize>) {
        let width = self.width.bytes();
        let bytes = &self.map[range.start * width..range.end * width];
        out.extend(bytes.chunks_exact(width).map(|bytes| self.read(bytes)));
    }

    /// The token in the bytes of one token.
    fn read(&self, bytes: &[u8]) -> usize {
        match self.width {
            Width::Two => usize::from(u16::from_le_bytes([bytes[0], bytes[1]])),
            Width::Four => u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize,
        }
    }
}

#[cfg(test)]
impl Tokens {
    /// Tokens in a temporary file, which is deleted while its map remains.
    pub(super) fn of(tokens: &[u32], width: Width) -> Self {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        width.write(tokens, &mut file).unwrap();
        file.flush().unwrap();
        Self::open(file.path(), width).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_read_as_written_with_both_widths() {
        assert_eq!(Width::of(65_536), Width::Two);
        assert_eq!(Width::of(65_537), Width::Four);
        for (width, last) in [(Width::Two, 65_535), (Width::Four, 1_000_000)] {
            let tokens = Tokens::of(&[7, 300, last], width);
            assert_eq!(tokens.len(), 3);
            assert_eq!((tokens.get(1), tokens.get(2)), (300, last as usize));
            let mut out = vec![1];
            tokens.copy_to(0..2, &mut out);
            tokens.copy_to(3..3, &mut out);
            assert_eq!(out, [1, 7, 300]);
        }
        assert!(Tokens::of(&[], Width::Two).is_empty());
    }
}
