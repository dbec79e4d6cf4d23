//! The command line from outside, as a user meets it.

mod cli;
mod committed_results;
mod compare;
mod corpora;
mod foreign_results;
mod generate;
mod instruction_sets;
mod kill;
mod python_library;
mod support;
mod sweep;
mod templates;
mod threads;
