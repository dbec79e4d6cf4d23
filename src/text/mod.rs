//! Text for people: number formats, escaping, line wrapping and display width.

pub(crate) mod escape;
pub(crate) mod terminal;
pub(crate) mod units;
pub(crate) mod width;
pub(crate) mod wrap;
