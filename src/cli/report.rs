use super::args;
use super::args::ReportFormat;
use super::result_tables::{self, Unfinished};
use super::{Error, Exit, print, shell_quoting};
use crate::report::{self, Report};
use crate::text::terminal;
use crate::text::units;
use std::path::{Path, PathBuf};

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
    if arguments.format == Some(ReportFormat::Pr) {
        let comment = report::render_comment(&arguments.results, plan).map_err(Error::Report)?;
        print(&comment)?;
        return Ok(Exit::Success);
    }
    let report = Report::render(&arguments.results, plan, template).map_err(Error::Report)?;
    let text = match arguments.format {
        Some(ReportFormat::Md) => &report.markdown,
        Some(ReportFormat::Html) => &report.html,
        Some(ReportFormat::Json) => &report.json,
        Some(ReportFormat::Pr) | None if arguments.check => return check(&report, arguments),
        Some(ReportFormat::Pr) | None => return write(&report),
    };
    print(text)?;
    Ok(Exit::Success)
}

/// Says which files are not up to date.
fn check(report: &Report, arguments: &args::Report) -> Result<Exit, Error> {
    let outdated = report.outdated_files().map_err(Error::Report)?;
    let folder = shell_quoting::word(&arguments.results.to_string_lossy());
    if outdated.is_empty() {
        print("The report is up to date.\n")?;
        return Ok(Exit::Success);
    }
    print(&format!(
        "Not up to date: {}\n`runner report {folder}` writes the report again.\n",
        names_inside(&arguments.results, &outdated)
    ))?;
    Ok(Exit::Failed)
}

/// The names of files of a folder, in one sentence.
pub(super) fn names_inside(folder: &Path, paths: &[PathBuf]) -> String {
    let names = paths.iter().map(|path| {
        let inside = path.strip_prefix(folder).unwrap_or(path);
        inside.display().to_string()
    });
    units::list(&names.collect::<Vec<_>>())
}

fn write(report: &Report) -> Result<Exit, Error> {
    report.write().map_err(Error::Report)?;
    let summary = &report.summary;
    print(&result_tables::render(summary, terminal::columns()))?;
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
