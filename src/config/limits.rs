//! Limits that no experiment written by hand reaches. They bound what a wrong or hostile file can
//! cost in time and memory.

/// Largest experiment file accepted, in bytes.
pub(super) const MAX_FILE_BYTES: u64 = 1 << 20;

/// Most files of an experiment: its own, and those that it extends.
pub(super) const MAX_FILES: usize = 32;

/// Deepest nesting of a document. It bounds every recursion over a tree.
pub(super) const MAX_DEPTH: usize = 64;

/// Most values of a document after its aliases are expanded. It bounds what an alias bomb expands
/// to.
pub(super) const MAX_VALUES: usize = 100_000;

/// Most bytes of keys and strings that the aliases of a document copy. It bounds what aliases of a
/// long string expand to.
pub(super) const MAX_COPIED_BYTES: usize = 8 << 20;

/// Largest template of a report, in bytes.
pub const MAX_TEMPLATE_BYTES: u64 = 1 << 20;

/// Most bytes of strings that all runs of a sweep have together. A sweep copies the settings of the
/// document for each of its runs.
pub(super) const MAX_SWEEP_BYTES: usize = 32 << 20;

/// Most runs of a sweep.
pub(super) const MAX_RUNS: u128 = 10_000;

/// Most variants that are expanded again to find the overrides that make two variants identical.
pub(super) const MAX_EXPANDED_FOR_CAUSES: usize = 5000;

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
