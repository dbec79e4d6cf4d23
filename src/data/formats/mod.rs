//! Text formats: one reader for each, which turns the bytes of a file into text.
//!
//! The extension of a file selects the reader. A file with any other extension is plain text. To
//! add a format, write its reader in a file of its own and list it in [`FORMATS`].

mod format;
mod plain_text;

use self::format::{InputFile, TextFormat};
use self::plain_text::PlainText;
use super::{DataError, size_limit};
use crate::regular_file;
use std::fs;
use std::path::Path;

/// All formats. The first one also reads the files whose extension is not listed.
const FORMATS: [&dyn TextFormat; 1] = [&PlainText];

/// The format of a file, by the extension of its name.
fn format_of(name: &str) -> &'static dyn TextFormat {
    let extension = Path::new(name).extension().unwrap_or_default();
    let listed = FORMATS.into_iter().find(|format| {
        let mut extensions = format.extensions().iter();
        extensions.any(|listed| extension.eq_ignore_ascii_case(listed))
    });
    listed.unwrap_or(FORMATS[0])
}

/// Identifies the text of a file by the file's checksum. Plain text is identified by the checksum
/// alone, because the text is the bytes of the file. For other formats the name is added: the same
/// bytes give another text in another format.
pub(super) fn fingerprint(name: &str, sha256: &str) -> String {
    let format = format_of(name).name();
    if format == FORMATS[0].name() {
        format!("sha256 {sha256}")
    } else {
        format!("sha256 {sha256} as {format}")
    }
}

/// The text in the bytes of a file. `name` selects the format and names the file in errors. `limit`
/// is the largest size of the text in bytes.
pub(super) fn decode(bytes: Vec<u8>, name: &str, limit: u64) -> Result<String, DataError> {
    let file = InputFile { name, limit };
    let text = format_of(name).read(bytes, &file)?;
    file.check_size(text.len())?;
    Ok(text)
}

/// The text of a file, as [`decode`] returns it.
pub(super) fn read_file(path: &Path, limit: u64) -> Result<String, DataError> {
    let metadata = fs::metadata(path).map_err(DataError::read(path))?;
    if metadata.is_dir() {
        return Err(DataError::Folder {
            path: path.to_owned(),
        });
    }
    if !metadata.is_file() {
        return Err(DataError::NotAFile {
            path: path.to_owned(),
        });
    }
    let name = path.display().to_string();
    size_limit::check(&name, metadata.len(), limit)?;
    // The file may have grown since its size was read, so reading stops after the limit.
    let bytes = regular_file::read_at_most(path, limit.saturating_add(1));
    let bytes = bytes.map_err(DataError::read(path))?;
    size_limit::check(&name, bytes.len() as u64, limit)?;
    decode(bytes, &name, limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_extension_belongs_to_one_format() {
        for format in FORMATS {
            for extension in format.extensions() {
                let name = format!("a.b/text.{}", extension.to_uppercase());
                assert_eq!(format_of(&name).name(), format.name(), "{extension}");
            }
        }
    }

    #[test]
    fn a_file_with_an_unknown_extension_is_plain_text() {
        for name in ["README", "notes.md", ".hidden", "https://host/a/input.txt"] {
            assert_eq!(format_of(name).name(), PlainText.name(), "{name}");
        }
        assert_eq!(fingerprint("notes.md", "ab12"), "sha256 ab12");
    }
}
