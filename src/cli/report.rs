use super::args;
use super::result_tables::{self, Unfinished};
use super::{Error, Exit, print, shell_quoting};
use crate::report;
use crate::text::terminal;

pub(super) fn run(arguments: &args::Report) -> Result<Exit, Error> {
    let plan = report::read_plan(&arguments.results).map_err(Error::Report)?;
    let template = arguments.template.as_deref();
    if let (None, Some(named)) = (template, &plan.value.experiment.report.template) {
        terminal::print_note(&format!(
            "note: the built-in template is used; the experiment names another, which \
             `--template {}` uses",
            shell_quoting::word(named)
        ));
    }
    let summary = report::write(&arguments.results, plan, template).map_err(Error::Report)?;
    print(&result_tables::render(&summary))?;
    // Runs that have not ended are no failure of the report.
    let unfinished = Unfinished {
        failed: summary.counts.failed + summary.counts.diverged,
        stopped: 0,
    };
    let (exit, reason) = result_tables::exit(unfinished, &summary.checks, &summary.claims);
    if let Some(reason) = reason {
        terminal::print_note(&reason);
    }
    Ok(exit)
}
