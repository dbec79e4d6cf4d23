use super::{Error, Exit, print, results};
use crate::cli;
use crate::report;

pub(super) fn run(arguments: &cli::Report) -> Result<Exit, Error> {
    let summary = report::write(&arguments.results).map_err(Error::Report)?;
    print(&results::render(&summary))?;
    Ok(results::exit(&summary.expected))
}
