use super::escape;
use std::io::{self, Write};

/// Writes a line for people to standard error. Control characters are made visible, because names,
/// paths and foreign results can contain sequences that a terminal would carry out. A line that cannot
/// be written is dropped: a missing terminal must not stop a sweep.
pub(crate) fn print_note(line: &str) {
    let _ = writeln!(io::stderr(), "{}", escape::visible(line));
}
