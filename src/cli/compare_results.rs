use super::args;
use super::{Error, Exit, print};
use crate::regular_file;
use crate::report::{
    GateResult, ResultChanges, SummaryRow, VariantChange, parse_summary, result_changes,
};
use crate::spec::CompareMetric;
use crate::text::terminal::columns;
use crate::text::wrap::wrapped;
use crate::text::{escape, units};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Name of the table of runs in a results folder.
const TABLE: &str = "summary.csv";

pub(super) fn run(arguments: &args::Compare) -> Result<Exit, Error> {
    let before = read(&arguments.before)?;
    let after = read(&arguments.after)?;
    let changes = result_changes(&before, &after, &arguments.gates);
    print(&match arguments.format {
        args::CompareFormat::Md => markdown(arguments, &changes),
        args::CompareFormat::Json => {
            let json = serde_json::to_string_pretty(&changes);
            let mut json = json.map_err(|error| Error::Output(error.into()))?;
            json.push('\n');
            json
        }
    })?;
    Ok(match changes.worst() {
        None | Some(GateResult::Undecided) => Exit::Undecided,
        Some(GateResult::Worse) => Exit::Missed,
        Some(_) => Exit::Success,
    })
}

/// Reads the runs of a results folder, of a `summary.csv`, or of either in a git revision: `main:results/x`.
fn read(place: &str) -> Result<Vec<SummaryRow>, Error> {
    let path = Path::new(place);
    if path.exists() {
        let table = table_of(path, path.is_dir());
        let csv = regular_file::read(&table).map_err(|source| Error::NoTable {
            place: table.display().to_string(),
            reason: source.to_string(),
        })?;
        return parse(place, csv);
    }
    let Some((revision, inside)) = place
        .split_once(':')
        .filter(|(revision, _)| !revision.is_empty())
    else {
        return Err(Error::NoTable {
            place: place.to_owned(),
            reason: "there is no such file or folder".to_owned(),
        });
    };
    let is_table = Path::new(inside)
        .extension()
        .is_some_and(|extension| extension == "csv");
    let table = table_of(Path::new(inside), !is_table);
    parse(place, show(place, revision, &table)?)
}

fn table_of(path: &Path, is_folder: bool) -> PathBuf {
    match is_folder {
        true => path.join(TABLE),
        false => path.to_owned(),
    }
}

fn parse(place: &str, csv: Vec<u8>) -> Result<Vec<SummaryRow>, Error> {
    parse_summary(csv).map_err(|reason| Error::NoTable {
        place: place.to_owned(),
        reason: format!("it is not a table of runs: {reason}"),
    })
}

/// The contents of a file in a revision of the git repository of the current folder.
fn show(place: &str, revision: &str, table: &Path) -> Result<Vec<u8>, Error> {
    let error = |reason: String| Error::NoTable {
        place: place.to_owned(),
        reason,
    };
    // `./` makes the path relative to the current folder.
    let object = format!("{revision}:./{}", table.display());
    let output = Command::new("git")
        .args(["show", "--end-of-options", &object])
        .stdin(Stdio::null())
        .output();
    let output = output.map_err(|reason| error(format!("cannot run git: {reason}")))?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        return Err(error(reason.trim().to_owned()));
    }
    Ok(output.stdout)
}

fn markdown(arguments: &args::Compare, changes: &ResultChanges) -> String {
    let title = [&arguments.before, &arguments.after].map(|place| escape::code(place));
    let columns = columns();
    let headline = wrapped(&format!("**{}**", headline(changes)), columns);
    let mut text = format!("{headline}\n\n{} → {}\n", title[0], title[1]);
    if !changes.changes.is_empty() {
        text += "\n| Variant | Metric | Seeds | Before | After | Change | Tolerance | Result |\n\
                 | :-- | :-- | --: | --: | --: | :-- | --: | :-- |\n";
        text.extend(changes.changes.iter().map(line));
    }
    for (names, what) in [
        (&changes.only_after, "New, and so not compared"),
        (&changes.only_before, "Gone, and so not compared"),
        (
            &changes.no_common_seed,
            "Without a common seed, and so not compared",
        ),
    ] {
        if !names.is_empty() {
            let names: Vec<String> = names.iter().map(|name| escape::code(name)).collect();
            let sentence = format!("{what}: {}.", units::list(&names));
            text += &format!("\n{}\n", wrapped(&sentence, columns));
        }
    }
    text
}

fn headline(changes: &ResultChanges) -> String {
    let count = |result| {
        let changed = changes.changes.iter();
        let names: HashSet<&str> = changed
            .filter(|change| change.result == result)
            .map(|change| change.variant.as_str())
            .collect();
        units::plural(names.len(), "variant")
    };
    match changes.worst() {
        None => "There is nothing to compare.".to_owned(),
        Some(GateResult::Unchanged) => "No value has changed.".to_owned(),
        Some(GateResult::Passed) => "No variant is worse by more than the tolerance.".to_owned(),
        Some(GateResult::NotTested) => {
            "Values have changed. Nothing is tested without a gate.".to_owned()
        }
        Some(GateResult::Undecided) => format!(
            "Undecided: {} may be worse by more than the tolerance.",
            count(GateResult::Undecided)
        ),
        Some(GateResult::Worse) => format!(
            "Worse: {} by more than the tolerance.",
            count(GateResult::Worse)
        ),
    }
}

fn line(change: &VariantChange) -> String {
    let decimals = decimals(change);
    let number = |value: f64| format!("{value:.decimals$}");
    let signed = |value: f64| format!("{value:+.decimals$}");
    let interval = change.low.zip(change.high);
    let interval = interval.map_or(String::new(), |(low, high)| {
        format!(" [{}, {}]", signed(low), signed(high))
    });
    let result = match change.result {
        GateResult::Unchanged => "unchanged",
        GateResult::Passed => "passed",
        GateResult::NotTested => "not tested",
        GateResult::Undecided => "undecided",
        GateResult::Worse => "**worse**",
    };
    format!(
        "| {} | {} | {} | {} | {} | {}{interval} | {} | {result} |\n",
        escape::cell_code(&change.variant),
        metric_name(change.metric),
        change.seeds,
        number(change.before),
        number(change.after),
        signed(change.difference),
        change.tolerance.map_or(units::NO_VALUE.to_owned(), number),
    )
}

/// Decimals that show a difference, or its interval, with two digits. If nothing has changed, values have five digits.
fn decimals(change: &VariantChange) -> usize {
    let width = change.low.zip(change.high).map(|(low, high)| high - low);
    let scale = width.unwrap_or(change.difference.abs());
    let (value, digits) = match scale > 0.0 {
        true => (scale, 1.0),
        false => (change.before.abs(), 4.0),
    };
    (digits - value.max(1e-9).log10().floor()).clamp(0.0, 9.0) as usize
}

fn metric_name(metric: CompareMetric) -> &'static str {
    match metric {
        CompareMetric::BitsPerByte => "bits per byte",
        CompareMetric::ValLoss => "validation loss",
        CompareMetric::TrainLoss => "training loss",
        CompareMetric::StepsToLoss => "steps to the loss",
        CompareMetric::TokensPerSecond => "tokens per second",
        CompareMetric::Seconds => "seconds",
        CompareMetric::PeakMemoryMb => "peak memory, MiB",
    }
}
