use super::args;
use super::{Error, Exit, print, result_tables};
use crate::report;

pub(super) fn run(arguments: &args::Report) -> Result<Exit, Error> {
    let summary = report::write(&arguments.results).map_err(Error::Report)?;
    print(&result_tables::render(&summary))?;
    Ok(result_tables::exit(&summary.expected))
}
