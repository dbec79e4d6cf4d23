//! Text for people: numbers and units, escaping, wrapping.

pub(crate) mod escape;
pub(crate) mod terminal;
pub(crate) mod units;
