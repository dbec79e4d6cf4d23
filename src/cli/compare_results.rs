use super::args;
use super::{Error, Exit, print};
use crate::regular_file;
use crate::report::{
    ChangedData, GateResult, LostResults, LostSeed, ResultChanges, SummaryRow, VariantChange,
    parse_summary, result_changes,
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
    let Some(after) = after else {
        return Err(no_table(&arguments.after, "the revision does not have it"));
    };
    // A new experiment has no results before.
    let rows_before = before.as_deref().unwrap_or_default();
    let changes = result_changes(rows_before, &after, &arguments.gates);
    print(&match arguments.format {
        args::CompareFormat::Md => {
            let absent = before.is_none().then(|| {
                let place = escape::code(&arguments.before);
                format!("\nThe revision has no results at {place}.\n")
            });
            markdown(arguments, &changes) + &absent.unwrap_or_default()
        }
        args::CompareFormat::Json => {
            let json = serde_json::to_string_pretty(&changes);
            let mut json = json.map_err(|error| Error::Output(error.into()))?;
            json.push('\n');
            json
        }
    })?;
    Ok(match changes.result {
        None | Some(GateResult::Undecided) => Exit::Undecided,
        Some(GateResult::Worse) => Exit::Missed,
        Some(_) => Exit::Success,
    })
}

/// Reads the runs of a results folder, of a `summary.csv`, or of either in a git revision: `main:results/x`. `None` if
/// the revision does not have it.
fn read(place: &str) -> Result<Option<Vec<SummaryRow>>, Error> {
    let path = Path::new(place);
    if !regular_file::is_absent(path) {
        let table = table_of(path, is_folder(path)?);
        let csv = regular_file::read(&table)
            .map_err(|source| no_table(&table.display().to_string(), source))?;
        return parse(place, csv).map(Some);
    }
    let Some((revision, inside)) = place
        .split_once(':')
        .filter(|(revision, _)| !revision.is_empty())
    else {
        return Err(no_table(place, "there is no such file or folder"));
    };
    let is_table = Path::new(inside)
        .extension()
        .is_some_and(|extension| extension == "csv");
    let table = table_of(Path::new(inside), !is_table);
    let csv = show(place, revision, &table)?;
    csv.map(|csv| parse(place, csv)).transpose()
}

fn no_table(place: &str, reason: impl ToString) -> Error {
    Error::NoTable {
        place: place.to_owned(),
        reason: reason.to_string(),
    }
}

/// Whether a path leads to a folder.
fn is_folder(path: &Path) -> Result<bool, Error> {
    regular_file::is_folder(path).map_err(|error| no_table(&path.display().to_string(), error))
}

fn table_of(path: &Path, is_folder: bool) -> PathBuf {
    match is_folder {
        true => path.join(TABLE),
        false => path.to_owned(),
    }
}

fn parse(place: &str, csv: Vec<u8>) -> Result<Vec<SummaryRow>, Error> {
    let rows = parse_summary(csv)
        .map_err(|reason| no_table(place, format!("it is not a table of runs: {reason}")))?;
    let mut runs = HashSet::new();
    let mut compared = rows.iter().filter(|row| row.is_compared);
    match compared.find(|row| !runs.insert((&row.variant, row.seed))) {
        None => Ok(rows),
        Some(SummaryRow { variant, seed, .. }) => {
            let seed = seed.map_or_else(String::new, |seed| format!(" with seed {seed}"));
            Err(no_table(
                place,
                format!("it has two lines for {variant}{seed}"),
            ))
        }
    }
}

/// The contents of a file in a revision of the git repository of the current folder. `None` if the revision does not
/// have it.
fn show(place: &str, revision: &str, table: &Path) -> Result<Option<Vec<u8>>, Error> {
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        let output = git.args(arguments).stdin(Stdio::null()).output();
        output.map_err(|reason| no_table(place, format!("cannot run git: {reason}")))
    };
    // `./` makes the path relative to the current folder.
    let path = format!("./{}", table.display());
    let object = format!("{revision}:{path}");
    let output = git(&["show", "--end-of-options", &object])?;
    if output.status.success() {
        return Ok(Some(output.stdout));
    }
    let listed = git(&["ls-tree", "--name-only", revision, "--", &path])?;
    if listed.status.success() && listed.stdout.is_empty() {
        return Ok(None);
    }
    let reason = String::from_utf8_lossy(&output.stderr);
    Err(no_table(place, reason.trim()))
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
    for sentence in sentences(changes) {
        text += &format!("\n{}\n", wrapped(&sentence, columns));
    }
    text
}

/// What the table does not say.
fn sentences(changes: &ResultChanges) -> Vec<String> {
    let mut sentences: Vec<String> = changes.lost.iter().map(lost).collect();
    sentences.extend(changed_data(&changes.changed_data));
    let has_lost = |name: &String| changes.lost.iter().any(|lost| lost.variant == *name);
    let gone = changes.only_before.iter().filter(|name| !has_lost(name));
    let no_value = changes.no_common_value.iter().map(|without| {
        format!(
            "{} ({})",
            escape::code(&without.variant),
            metric_name(without.metric)
        )
    });
    for (names, what) in [
        (codes(&changes.only_after), "New, and so not compared"),
        (codes(gone), "Gone, and so not compared"),
        (
            codes(&changes.no_common_seed),
            "Without a common seed, and so not compared",
        ),
        (
            no_value.collect(),
            "Without a value before on a common seed, and so not compared",
        ),
    ] {
        if !names.is_empty() {
            sentences.push(format!("{what}: {}.", units::list(&names)));
        }
    }
    if changes.runs_not_compared > 0 {
        let runs = units::plural(changes.runs_not_compared, "run");
        sentences.push(format!(
            "Not compared: {runs} of a search or of a smaller size."
        ));
    }
    sentences
}

fn codes<'a>(names: impl IntoIterator<Item = &'a String>) -> Vec<String> {
    names.into_iter().map(|name| escape::code(name)).collect()
}

/// `Lost: bits per byte of gpt with seeds 2 and 3 (diverged) and seed 4 (absent).`
fn lost(lost: &LostResults) -> String {
    let of_state = |a: &LostSeed, b: &LostSeed| a.state == b.state;
    let group = |seeds: &[LostSeed]| {
        let noun = if seeds.len() == 1 { "seed" } else { "seeds" };
        let numbers: Vec<String> = seeds.iter().map(|lost| lost.seed.to_string()).collect();
        format!(
            "{noun} {} ({})",
            units::list(&numbers),
            seeds[0].state.name()
        )
    };
    let groups: Vec<String> = lost.seeds.chunk_by(of_state).map(group).collect();
    format!(
        "Lost: {} of {} with {}.",
        metric_name(lost.metric),
        escape::code(&lost.variant),
        units::list(&groups)
    )
}

/// One sentence for each kind of change, with the variants that have it.
fn changed_data(changed: &[ChangedData]) -> impl Iterator<Item = String> {
    let kinds = [
        (
            (true, true),
            "The text and the tokenizer",
            "A change of the losses may come from the text alone, and losses per token cannot be compared.",
        ),
        (
            (true, false),
            "The text",
            "A change of the losses may come from the text alone.",
        ),
        (
            (false, true),
            "The tokenizer",
            "Losses per token cannot be compared.",
        ),
    ];
    kinds.into_iter().filter_map(|(kind, what, consequence)| {
        let of_kind = changed.iter().filter(|c| (c.text, c.tokenizer) == kind);
        let names = codes(of_kind.map(|changed| &changed.variant));
        let variants = units::list(&names);
        (!names.is_empty()).then(|| format!("{what} of {variants} changed. {consequence}"))
    })
}

fn headline(changes: &ResultChanges) -> String {
    let changed = |result| {
        let changed = changes.changes.iter();
        let changed = changed.filter(|change| change.result == result);
        let names: HashSet<&str> = changed.map(|change| change.variant.as_str()).collect();
        (!names.is_empty()).then(|| units::plural(names.len(), "variant"))
    };
    let lost = |result| {
        let mut names: Vec<&String> = Vec::new();
        for lost in changes.lost.iter().filter(|lost| lost.result == result) {
            if !names.contains(&&lost.variant) {
                names.push(&lost.variant);
            }
        }
        let names = codes(names);
        (!names.is_empty()).then(|| format!("results of {} are lost", units::list(&names)))
    };
    // What the result follows from.
    let because = |result, what: &str| {
        let changed = changed(result).map(|variants| format!("{variants} {what}"));
        let reasons: Vec<String> = changed.into_iter().chain(lost(result)).collect();
        reasons.join(", and ")
    };
    match changes.result {
        None => match lost(GateResult::NotTested) {
            None => "There is nothing to compare.".to_owned(),
            Some(lost) => format!("There is nothing to compare: {lost}."),
        },
        Some(GateResult::Unchanged) if changes.runs_not_compared > 0 => {
            "No value of the compared runs has changed.".to_owned()
        }
        Some(GateResult::Unchanged) => "No value has changed.".to_owned(),
        Some(GateResult::Passed) => "No variant is worse by more than the tolerance.".to_owned(),
        Some(GateResult::NotTested) => {
            let changed = changed(GateResult::NotTested).map(|_| "values have changed".to_owned());
            let what: Vec<String> = changed
                .into_iter()
                .chain(lost(GateResult::NotTested))
                .collect();
            format!("Nothing is tested without a gate: {}.", what.join(", and "))
        }
        Some(GateResult::Undecided) => format!(
            "Undecided: {}.",
            because(
                GateResult::Undecided,
                "may be worse by more than the tolerance"
            )
        ),
        Some(GateResult::Worse) => format!(
            "Worse: {}.",
            because(GateResult::Worse, "by more than the tolerance")
        ),
    }
}

fn line(change: &VariantChange) -> String {
    let decimals = decimals(change);
    let number = |value: f64| units::fixed(value, decimals);
    // A wide interval hides no digits of the values.
    let of_value = |value: f64| units::fixed(value, decimals.max(digits(change.before, 4.0)));
    let of_tolerance = |tolerance: f64| {
        let two_digits = if tolerance > 0.0 {
            digits(tolerance, 1.0)
        } else {
            0
        };
        units::fixed(tolerance, decimals.max(two_digits))
    };
    let signed = |value: f64| units::signed(value, number);
    let interval = change.low.zip(change.high);
    let interval = match interval {
        Some((low, high)) => format!(" [{}, {}]", signed(low), signed(high)),
        None if change.exact && change.result != GateResult::Unchanged => " (exact)".to_owned(),
        None => String::new(),
    };
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
        of_value(change.before),
        of_value(change.after),
        signed(change.difference),
        change
            .tolerance
            .map_or(units::NO_VALUE.to_owned(), of_tolerance),
    )
}

/// Decimals that show the interval of the difference with two digits. Without an interval, they show five digits of the
/// values and two of the difference.
fn decimals(change: &VariantChange) -> usize {
    let of_values = digits(change.before, 4.0);
    match change.low.zip(change.high) {
        Some((low, high)) if high > low => digits(high - low, 1.0),
        _ if change.difference != 0.0 => of_values.max(digits(change.difference, 1.0)),
        _ => of_values,
    }
}

/// Decimals that show so many digits of a value after its first one.
fn digits(value: f64, more: f64) -> usize {
    (more - value.abs().max(1e-9).log10().floor()).clamp(0.0, 9.0) as usize
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
