//! The digest at the end of a line of JSON, by which damage to the line is found.

use crate::hash;

/// What comes between the contents of a line and its digest.
const DIGEST_START: &[u8] = b",\"digest\":\"";
const LINE_END: &[u8] = b"\"}\n";
/// Length of a digest: the first digits of a SHA-256, in hex.
const DIGEST_LEN: usize = 16;

/// Adds a line to a text. `contents` is an object without the brace at its end.
pub(super) fn push_line(text: &mut Vec<u8>, contents: &[u8], digest: &str) {
    for part in [contents, DIGEST_START, digest.as_bytes(), LINE_END] {
        text.extend_from_slice(part);
    }
}

/// The contents of a line, without the brace at their end, and its digest. `None` if it has no digest.
pub(super) fn split(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let line = line.strip_suffix(LINE_END)?;
    let (contents, digest) = line.split_at_checked(line.len().checked_sub(DIGEST_LEN)?)?;
    Some((contents.strip_suffix(DIGEST_START)?, digest))
}

/// The digest of the contents of a line. `before` is the digest of the line before it, if the order of the lines
/// matters.
pub(super) fn digest(before: &str, contents: &[u8]) -> String {
    let mut digest = hash::sha256(&[before.as_bytes(), contents].concat());
    digest.truncate(DIGEST_LEN);
    digest
}
