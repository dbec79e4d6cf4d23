//! The command line from outside, as a user meets it.

mod cli;
mod generate;
mod instruction_sets;
mod kill;
mod support;
mod sweep;
