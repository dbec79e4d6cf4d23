//! Calls into the library `tokenizers`, which panics on some files and texts.

use crate::caught_panic;

/// Calls `call`. If it panics, nothing is printed, and the message is returned. The tokenizer is then refused.
pub(super) fn caught<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    caught_panic::caught(call)
        .map_err(|message| format!("the library tokenizers stopped with \"{message}\""))
}
