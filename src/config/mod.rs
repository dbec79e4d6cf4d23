//! From YAML to runs: read, override, validate, expand.
//!
//! 1. `source`, `parse`: the file, within limits, becomes a tree whose keys and values know their
//!    places.
//! 2. `overrides`, `merge`: `path=value` of the command line is written over it.
//! 3. `schema`, `validate`: the tree is held against the JSON Schema that [`crate::spec`] derives.
//! 4. `sweep`, `grid`, `kinds`, `check`: variants are merged, typed and checked, and become runs.
//!
//! Each pass reports all that it finds. What comes out of [`Document::expand`] cannot be wrong in
//! itself; what only the data can tell, such as a text that is too short, comes back through
//! [`Document::error_at`].

mod conditional_keys;
mod cross_checks;
mod diagnostic;
mod document;
mod durations;
mod error_kind;
mod expected_values;
mod grid;
mod merge;
mod overrides;
mod parse;
mod reference;
mod scalar;
mod schema;
mod spans;
mod suggest;
mod tree;
mod validate;
mod variant_names;
mod variants;

pub use diagnostic::Diagnostics;
pub use document::{Document, Expansion, from_text, load};
pub use reference::reference_markdown;
pub use schema::json_schema;
pub(crate) use suggest::nearest;
pub(crate) use validate::out_of_range;
