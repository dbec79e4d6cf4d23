//! The limit on the size of a text, `data.max_bytes`.

use super::DataError;

/// Refuses a text with more than `limit` bytes. `name` is its name in the error message.
pub(super) fn check(name: &str, bytes: u64, limit: u64) -> Result<(), DataError> {
    if bytes > limit {
        return Err(DataError::TooLarge {
            name: name.to_owned(),
            bytes,
            limit,
        });
    }
    Ok(())
}
