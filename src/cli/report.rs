use super::args;
use super::{Error, Exit, print, result_tables, shell_quoting};
use crate::report;
use crate::text::{terminal, units};

pub(super) fn run(arguments: &args::Report) -> Result<Exit, Error> {
    let plan = report::read_plan(&arguments.results).map_err(Error::Report)?;
    let template = arguments.template.as_deref();
    if let (None, Some(named)) = (template, &plan.experiment.report.template) {
        terminal::print_note(&format!(
            "note: the built-in template is used; the experiment names another, which \
             `--template {}` uses",
            shell_quoting::word(named)
        ));
    }
    let summary = report::write(&arguments.results, plan, template).map_err(Error::Report)?;
    print(&result_tables::render(&summary))?;
    // As after a sweep: the results of an experiment with failed runs are not complete.
    let failed = summary.counts.failed + summary.counts.diverged;
    let (exit, reason) = match failed {
        0 => result_tables::exit(&summary.checks, &summary.claims),
        _ => {
            let runs = units::plural(failed, "run");
            let reason = format!(
                "{runs} failed or diverged (exit code {})",
                Exit::Failed as u8
            );
            (Exit::Failed, Some(reason))
        }
    };
    if let Some(reason) = reason {
        terminal::print_note(&reason);
    }
    Ok(exit)
}
