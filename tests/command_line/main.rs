//! The command line from outside, as a user meets it.

mod cli;
mod generate;
mod kill;
mod support;
mod sweep;
