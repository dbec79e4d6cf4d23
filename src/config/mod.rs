//! Experiment files: from YAML to runs.
//!
//! 1. `read_file`, `extended_files`, `parse`, `syntax_errors`, `lookalike`: the file, with those that it extends,
//!    becomes a tree whose keys and values know their spans.
//! 2. `overrides`, `canonical_names`, `merge`: overrides of the command line are merged into the tree,
//!    and former names are replaced.
//! 3. `schema`, `validate`, `value_types`: the tree is checked against the JSON Schema of [`crate::spec`].
//! 4. `expansion`, `variants`, `text_budget`, `seed_checks`, `grid`, `conditional_keys`, `durations`,
//!    `cross_checks`, `compare_checks`, `expected_values`, `claim_checks`, `match_checks`: variants are
//!    expanded and checked, and become runs.
//!
//! `resolved` writes the result as one document.
//!
//! `stored_run` and `stored_plan` check the configurations of a run and of a plan, which were written after these steps,
//! in the same way.
//!
//! Each step reports all errors that it finds. The runs of [`Document::expand`] are valid except for
//! what depends on the data, such as a text that is too short. Such errors are reported later, with
//! [`Document::error_at`].

mod canonical_names;
mod claim_checks;
mod compare_checks;
mod conditional_keys;
mod cross_checks;
mod diagnostic;
mod distinct_sizes;
mod document;
mod durations;
mod error_help;
mod error_kind;
mod expansion;
mod expected_values;
mod extended_files;
mod grid;
mod halving;
mod limits;
mod lookalike;
mod match_checks;
mod merge;
mod override_causes;
mod overrides;
mod parse;
mod random_values;
mod read_file;
mod reference;
mod resolved;
mod scalar;
mod schema;
mod seed_checks;
mod sizes;
mod spans;
mod stored_plan;
mod stored_run;
mod suggest;
mod syntax_errors;
#[cfg(test)]
mod testing;
mod text_budget;
mod tpe_checks;
mod tree;
mod validate;
mod value_types;
mod variant_names;
mod variant_specs;
mod variants;

pub use conditional_keys::{applies, values_at};
pub use cross_checks::is_valid_model;
pub use diagnostic::Diagnostics;
pub use document::{Document, from_text, load};
pub use expansion::Expansion;
pub use limits::MAX_TEMPLATE_BYTES;
pub use reference::reference_markdown;
pub use schema::json_schema;
pub use stored_plan::read_plan;
pub use stored_run::{check_run, load_run};
pub(crate) use suggest::nearest;
pub(crate) use validate::out_of_range;
pub use variants::RunPlace;
