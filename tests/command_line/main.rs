//! The command line from outside, as a user meets it.

mod cli;
mod kill;
mod support;
mod sweep;
