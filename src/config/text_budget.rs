//! The limit of the text that all runs of a sweep have together.

use super::diagnostic::Diagnostic;
use super::error_kind::ErrorKind;
use super::limits::MAX_SWEEP_BYTES;
use super::spans::Span;
use super::tree::Node;

/// Bytes of strings that the runs of a sweep may still have. The keys of a run are few and short.
pub(super) struct TextBudget {
    left: usize,
}

impl TextBudget {
    pub(super) fn new() -> Self {
        Self {
            left: MAX_SWEEP_BYTES,
        }
    }

    /// Takes the text of `copies` copies of a tree.
    ///
    /// # Errors
    /// If not enough is left, at `span`.
    pub(super) fn take(
        &mut self,
        tree: &Node,
        copies: usize,
        span: Span,
    ) -> Result<(), Diagnostic> {
        let bytes = tree.size().string_bytes.saturating_mul(copies);
        let left = self.left.checked_sub(bytes);
        self.left = left.ok_or_else(|| Diagnostic::new(span, ErrorKind::TooMuchText))?;
        Ok(())
    }
}
