use super::args;
use super::args::ReportFormat;
use super::result_tables::{self, Unfinished};
use super::{Error, Exit, print, shell_quoting};
use crate::report::{self, Report};
use crate::text::terminal;
use crate::text::units;

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
    let report = Report::render(&arguments.results, plan, template).map_err(Error::Report)?;
    match arguments.format {
        Some(format) => {
            print(match format {
                ReportFormat::Md => &report.markdown,
                ReportFormat::Html => &report.html,
                ReportFormat::Pr => &report.comment,
                ReportFormat::Json => &report.json,
            })?;
            Ok(Exit::Success)
        }
        None if arguments.check => check(&report, arguments),
        None => write(&report),
    }
}

/// Says which files are not up to date.
fn check(report: &Report, arguments: &args::Report) -> Result<Exit, Error> {
    let outdated = report.outdated_files().map_err(Error::Report)?;
    let folder = shell_quoting::word(&arguments.results.to_string_lossy());
    if outdated.is_empty() {
        print("The report is up to date.\n")?;
        return Ok(Exit::Success);
    }
    let names = outdated.iter().map(|path| {
        let inside = path.strip_prefix(&arguments.results).unwrap_or(path);
        inside.display().to_string()
    });
    let names: Vec<String> = names.collect();
    print(&format!(
        "Not up to date: {}\n`runner report {folder}` writes the report again.\n",
        units::list(&names)
    ))?;
    Ok(Exit::Failed)
}

fn write(report: &Report) -> Result<Exit, Error> {
    report.write().map_err(Error::Report)?;
    let summary = &report.summary;
    print(&result_tables::render(summary))?;
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
