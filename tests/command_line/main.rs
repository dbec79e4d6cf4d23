//! The command line from outside, as a user meets it.

mod cli;
mod committed_results;
mod compare;
mod confirm;
mod corpora;
mod diff;
mod experiment_files;
mod export;
mod foreign_results;
mod generate;
mod instruction_sets;
mod kill;
mod limits;
mod missing_permission;
mod moved_folder;
mod programs;
mod python_library;
mod reports;
mod support;
mod sweep;
mod templates;
mod threads;
mod unusable_checkpoints;
mod verify;
mod workflows;
mod wrong_files;
