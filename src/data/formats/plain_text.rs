//! Plain text in UTF-8.

use super::format::{InputFile, TextFormat};
use crate::data::DataError;

/// Marks a file as Unicode at its start. It is not a part of the text.
const BYTE_ORDER_MARK: char = '\u{feff}';

pub(super) struct PlainText;

impl TextFormat for PlainText {
    fn name(&self) -> &'static str {
        "UTF-8"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &["txt"]
    }

    fn read(&self, bytes: Vec<u8>, file: &InputFile) -> Result<String, DataError> {
        let text = String::from_utf8(bytes).map_err(|error| {
            let offset = error.utf8_error().valid_up_to();
            let reason = format!("the byte at offset {offset} is not part of a character");
            file.invalid(self, reason)
        })?;
        Ok(match text.strip_prefix(BYTE_ORDER_MARK) {
            Some(rest) => rest.to_owned(),
            None => text,
        })
    }
}
