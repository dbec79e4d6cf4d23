use super::{Error, Exit, print};
use crate::config;

pub(super) fn run() -> Result<Exit, Error> {
    // `{:#}` indents, as it does for the file in experiments/.
    print(&format!("{:#}\n", config::json_schema()))?;
    Ok(Exit::Success)
}
