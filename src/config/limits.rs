//! Limits that no experiment written by hand reaches. They bound what a wrong or hostile file can
//! cost in time and memory.

/// Largest experiment file accepted, in bytes.
pub(super) const MAX_FILE_BYTES: u64 = 1 << 20;

/// Deepest nesting of a document. It bounds every recursion over a tree.
pub(super) const MAX_DEPTH: usize = 64;

/// Most values of a document after its aliases are expanded. It bounds what an alias bomb expands
/// to.
pub(super) const MAX_VALUES: usize = 100_000;

/// Most runs of a sweep.
pub(super) const MAX_RUNS: u128 = 10_000;

/// Most errors that are collected: finding a suggestion for each of many thousands takes long.
pub(super) const MAX_ERRORS: usize = 1000;

/// Most errors that are written out.
pub(super) const MAX_SHOWN_ERRORS: usize = 20;

/// Most keys in the path of an override: deeper than any field, and each costs stack later.
pub(super) const MAX_OVERRIDE_KEYS: usize = 16;

/// Longest name of a variant, which is also the name of a folder.
pub(super) const MAX_NAME: usize = 64;

/// Widest hidden layer of an MLP, whether it is written as a width or as a multiple of `n_embd`.
pub(super) const MAX_HIDDEN: usize = 1_000_000;
