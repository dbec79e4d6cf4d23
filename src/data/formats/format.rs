//! The interface of a text format.

use crate::data::{DataError, size_limit};

/// A file format that contains text.
pub(super) trait TextFormat: Sync {
    /// The name of the format in error messages, as in "x.txt is not valid UTF-8".
    fn name(&self) -> &'static str;

    /// The extensions of its files, in lower case and without a dot.
    fn extensions(&self) -> &'static [&'static str];

    /// The text in the bytes of a file.
    ///
    /// # Errors
    /// [`InputFile::invalid`] if the bytes are not a valid file of this format.
    /// [`InputFile::check_size`] if the text is longer than allowed. The caller checks this for the
    /// result. A reader of a compressed format must check it while it decompresses.
    fn read(&self, bytes: Vec<u8>, file: &InputFile) -> Result<String, DataError>;
}

/// What a reader needs to know about a file besides its bytes.
pub(super) struct InputFile<'a> {
    /// Path or address.
    pub(super) name: &'a str,
    /// Largest size of the text in bytes.
    pub(super) limit: u64,
}

impl InputFile<'_> {
    /// The error for a file that is not valid. `reason` follows "NAME is not valid FORMAT: ".
    pub(super) fn invalid(&self, format: &dyn TextFormat, reason: String) -> DataError {
        DataError::InvalidFormat {
            name: self.name.to_owned(),
            format: format.name(),
            reason,
        }
    }

    /// Refuses a text of more bytes than [`Self::limit`].
    pub(super) fn check_size(&self, bytes: usize) -> Result<(), DataError> {
        size_limit::check(self.name, bytes as u64, self.limit)
    }
}
