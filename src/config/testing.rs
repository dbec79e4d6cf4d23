//! Documents for tests.

use super::{Document, from_text};

/// The document of a text, with overrides.
pub(super) fn document(text: &str, overrides: &[&str]) -> Document {
    let overrides: Vec<_> = overrides.iter().map(|text| (*text).to_owned()).collect();
    from_text("test.yaml", text, &overrides).unwrap_or_else(|e| panic!("{e}"))
}
