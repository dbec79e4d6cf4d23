use super::escape;
use ratatui::crossterm::terminal;
use std::io::{self, IsTerminal, Write};

/// In a narrower terminal, lines are left as they are.
const LEAST_COLUMNS: usize = 20;

/// Width of the terminal that shows standard output. `None` without one: programs get whole lines.
pub(crate) fn columns() -> Option<usize> {
    if !io::stdout().is_terminal() {
        return None;
    }
    let (columns, _) = terminal::size().ok()?;
    Some(usize::from(columns)).filter(|columns| *columns >= LEAST_COLUMNS)
}

/// Writes a line for people to standard error. Control characters are made visible, because names,
/// paths and foreign results can contain sequences that a terminal would carry out. A line that cannot
/// be written is dropped: a missing terminal must not stop a sweep.
pub(crate) fn print_note(line: &str) {
    let _ = writeln!(io::stderr(), "{}", escape::visible(line));
}
