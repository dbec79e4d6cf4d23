use super::args;
use super::experiment_target::{self, Cache};
use super::report::names_inside;
use super::{Error, Exit, print};
use crate::config;
use crate::data;
use crate::regular_file::{self, is_present};
use crate::report::{self, ReportError, SummaryRow};
use crate::results::{Outcome, PlannedRun, RunDir, Sealed, SweepPlan, TestUses};
use crate::sweep::{
    RunCheck, Store, build_plan, choose_runs, first_difference, train_again, why_not_comparable,
};
use crate::text::terminal::print_note;
use crate::text::units;
use crate::train::{self, Device};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Most damaged runs that are listed one by one.
const MAX_LISTED: usize = 20;

pub(super) fn run(arguments: &args::Verify) -> Result<Exit, Error> {
    let folder = &arguments.results;
    let store = Store::open_readonly(folder.clone());
    let mut is_good = true;
    let (plan, _cache) = match report::read_plan(folder) {
        Ok(plan) => {
            is_good &= check_records(&store, &plan)?;
            is_good &= check_test_uses(folder)?;
            (plan.value, None)
        }
        Err(ReportError::NoPlan(_)) if arguments.rerun == 0 => {
            return Err(Error::NothingToVerify(folder.clone()));
        }
        Err(ReportError::NoPlan(_)) => {
            print(&format!(
                "plan.json: absent, as in a folder that was committed; only {} can be compared, and the pages and \
                 plots of the report are not checked\n",
                folder.join("summary.csv").display()
            ))?;
            let (plan, cache) = planned(folder, arguments)?;
            (plan, Some(cache))
        }
        Err(error) => return Err(Error::Report(error)),
    };
    let mut has_compared = true;
    if arguments.rerun > 0 {
        match rerun(&store, &plan, arguments)? {
            Some(are_identical) => is_good &= are_identical,
            None => has_compared = false,
        }
    }
    Ok(match (is_good, has_compared) {
        (false, _) => Exit::Failed,
        (true, false) => Exit::Undecided,
        (true, true) => Exit::Success,
    })
}

/// Reads the record of the uses of test splits, which is beside the results folder. Every confirmation counts them.
fn check_test_uses(results: &Path) -> Result<bool, Error> {
    let folder = TestUses::folder(results);
    let (path, uses) = match folder {
        Ok(folder) => (folder.join(TestUses::FILE), TestUses::read(&folder)),
        Err(error) => (results.to_owned(), Err(error)),
    };
    let path = path.display();
    let (text, is_good) = match uses {
        Ok(uses) => match uses.count() {
            0 => return Ok(true),
            1 => (format!("{path}: 1 use of a test split\n"), true),
            count => (format!("{path}: {count} uses of test splits\n"), true),
        },
        Err(error) => (format!("{path}: {error}\n"), false),
    };
    print(&text)?;
    Ok(is_good)
}

/// Compares the files of all runs with their records, and the report with the runs.
fn check_records(store: &Store, sealed: &Sealed<SweepPlan>) -> Result<bool, Error> {
    let plan = &sealed.value;
    let (mut verified, mut unverified, mut open, mut without_weights) = (0, 0, 0, 0);
    let (mut damaged, mut checkpoints) = (Vec::new(), Vec::new());
    // Damaged files can hide which runs are needed.
    let needed = store.needed_runs(plan).ok();
    let is_needed = |index: usize| {
        let mut needed = needed.iter();
        needed.all(|needed| needed.binary_search(&index).is_ok())
    };
    for (index, run) in plan.runs.iter().enumerate() {
        match store.verify(run) {
            RunCheck::Verified { lacks_weights } => {
                verified += 1;
                without_weights += usize::from(lacks_weights);
                checkpoints.extend(damaged_checkpoint(store, run));
            }
            RunCheck::NotVerified => {
                unverified += 1;
                checkpoints.extend(damaged_checkpoint(store, run));
            }
            RunCheck::NotEnded => open += usize::from(is_needed(index)),
            RunCheck::Damaged(error) => damaged.push(format!("  {}: {error}\n", run.name)),
        }
    }
    let counts = [
        (verified, "verified"),
        (unverified, "without digests, from an earlier version"),
        (damaged.len(), "damaged"),
        (open, "not ended"),
    ];
    let counts = counts.iter().filter(|(count, _)| *count > 0);
    let counts: Vec<String> = counts
        .map(|(count, name)| format!("{count} {name}"))
        .collect();
    let runs = units::plural(verified + unverified + damaged.len() + open, "run");
    let mut text = format!("{runs}: {}\n", counts.join(", "));
    text += &first_lines(&damaged);
    if !damaged.is_empty() {
        text += "to train a damaged run again, add `--restart --only NAME` to the command of the sweep\n";
    }
    if !checkpoints.is_empty() {
        let of = units::plural(checkpoints.len(), "finished run");
        text += &format!("damaged checkpoints of {of}, whose results are intact:\n");
        text += &first_lines(&checkpoints);
        text += "only a run with more steps continues from them; without the folder `checkpoint` it starts from the \
                 beginning\n";
    }
    let is_damaged = !damaged.is_empty() || !checkpoints.is_empty();
    if without_weights > 0 {
        let runs = units::plural(without_weights, "run");
        text += &format!("weights: those of {runs} were deleted; the rest was checked\n");
    }
    if !sealed.is_verified {
        text += "plan.json: without a digest, from an earlier version\n";
    }
    let (report, agrees) = compare_report(store.root(), sealed)?;
    text += &report;
    let damaged_corpora = damaged_corpora(store, plan);
    text += &damaged_corpora;
    print(&text)?;
    Ok(!is_damaged && agrees && damaged_corpora.is_empty())
}

/// A line about a damaged checkpoint of a run that has ended.
fn damaged_checkpoint(store: &Store, run: &PlannedRun) -> Option<String> {
    let error = train::check_checkpoints(&store.run_dir(run)).err()?;
    Some(format!("  {}: {error}\n", run.name))
}

/// The first of some lines, and how many there are besides them.
fn first_lines(lines: &[String]) -> String {
    let mut text: String = lines.iter().take(MAX_LISTED).map(String::as_str).collect();
    if lines.len() > MAX_LISTED {
        text += &format!("  and {} more\n", lines.len() - MAX_LISTED);
    }
    text
}

/// Compares the report with what the runs give: lines about it, and whether it agrees.
fn compare_report(folder: &Path, plan: &Sealed<SweepPlan>) -> Result<(String, bool), Error> {
    let outdated = report::Report::render(folder, plan.clone(), None)
        .and_then(|report| report.outdated_files())
        .map_err(Error::Report)?;
    let names = |paths: &[PathBuf]| names_inside(folder, paths);
    let (mut changed, absent): (Vec<PathBuf>, Vec<PathBuf>) =
        outdated.into_iter().partition(|path| is_present(path));
    let mut text = String::new();
    let page = folder.join("report.md");
    if plan.value.experiment.report.template.is_some() && changed.contains(&page) {
        changed.retain(|path| *path != page);
        text += "report.md: not checked, because the experiment has a template for it\n";
    }
    if !absent.is_empty() {
        text += &format!("absent: {}\n", names(&absent));
    }
    text += &match changed.is_empty() {
        true => "report: agrees with the runs\n".to_owned(),
        false => format!(
            "report: {} {} not what this version of runner writes for these runs; `runner report` writes {} again\n",
            names(&changed),
            if changed.len() == 1 { "is" } else { "are" },
            if changed.len() == 1 { "it" } else { "them" },
        ),
    };
    Ok((text, changed.is_empty()))
}

/// A line for each damaged corpus in the cache, which may be absent.
fn damaged_corpora(store: &Store, plan: &SweepPlan) -> String {
    let cache = store.cache();
    let cached = plan
        .corpora
        .iter()
        .filter(|corpus| is_present(&cache.join(&corpus.key)));
    let damaged = cached.filter_map(|corpus| data::verify(&cache, &corpus.key).err());
    let line = |error| format!("cache: {error}; `runner sweep` makes it again\n");
    damaged.map(line).collect()
}

/// The plan of the experiment that a folder without plan.json belongs to.
fn planned(folder: &Path, arguments: &args::Verify) -> Result<(SweepPlan, Cache), Error> {
    let file = arguments.experiment.clone();
    let file = file.unwrap_or_else(|| default_experiment(folder));
    if regular_file::is_absent(&file) {
        return Err(Error::NoExperiment {
            folder: folder.to_owned(),
            file,
        });
    }
    let document = config::load(&file, &arguments.overrides)?;
    let expansion = document.expand()?;
    let cache = Cache::temporary()?;
    let command = String::new();
    let plan = build_plan(&document, expansion, cache.path(), command, Device::Cpu)?;
    Ok((plan, cache))
}

/// `experiments/x.yaml` for `results/x`.
fn default_experiment(folder: &Path) -> PathBuf {
    let name = folder.file_name().unwrap_or_default();
    Path::new(experiment_target::EXPERIMENTS)
        .join(name)
        .with_extension("yaml")
}

/// Trains some runs again and says whether they are identical with the recorded ones. `None` if there is nothing to
/// compare.
fn rerun(store: &Store, plan: &SweepPlan, arguments: &args::Verify) -> Result<Option<bool>, Error> {
    let recorded: Vec<Recorded> = recorded_runs(store, plan)?;
    let (comparable, others): (Vec<&Recorded>, Vec<&Recorded>) = recorded
        .iter()
        .partition(|run| why_not_comparable(run.planned, &run.device).is_none());
    if let Some(other) = others.first() {
        let why = why_not_comparable(other.planned, &other.device).unwrap_or_default();
        let name = &other.planned.name;
        let count = units::plural(others.len(), "run");
        print(&format!(
            "{count} cannot be compared, such as {name}: {why}\n"
        ))?;
    }
    if comparable.is_empty() {
        print("nothing to compare: no finished run can be trained again\n")?;
        return Ok(None);
    }
    let seed = arguments.seed.unwrap_or_else(seed_of_clock);
    let indices = (0..comparable.len()).collect();
    let chosen = choose_runs(indices, arguments.rerun, seed);
    print(&format!(
        "{} of {} trained again, chosen with --seed {seed}\n",
        chosen.len(),
        units::plural(comparable.len(), "finished run")
    ))?;
    let mut is_good = true;
    for index in chosen {
        let run = comparable[index];
        let name = &run.planned.name;
        print_note(&format!("{name}: training"));
        let folder = tempfile::tempdir().map_err(Error::Temporary)?;
        let difference = difference(plan, run, folder.path());
        is_good &= difference == Ok(None);
        print(&match difference {
            Ok(None) => format!("{name}: identical\n"),
            Ok(Some(difference)) => format!("{name}: NOT identical: {difference}\n"),
            Err(reason) => format!("{name}: could not be compared: {reason}\n"),
        })?;
    }
    Ok(Some(is_good))
}

/// A finished run and what is known of it.
struct Recorded<'a> {
    planned: &'a PlannedRun,
    device: String,
    known: Known,
}

enum Known {
    /// The files of the run.
    Files(RunDir),
    /// Its line in `summary.csv`.
    Row(Box<SummaryRow>),
}

fn recorded_runs<'a>(store: &Store, plan: &'a SweepPlan) -> Result<Vec<Recorded<'a>>, Error> {
    let has_records = is_present(&store.root().join("plan.json"));
    let rows = match has_records {
        true => Vec::new(),
        false => report::read_summary(store.root()).map_err(Error::Report)?,
    };
    let mut recorded = Vec::new();
    for planned in &plan.runs {
        if has_records {
            let record = store.record(planned)?;
            let outcome = record.filter(|record| record.is_done());
            recorded.extend(
                outcome
                    .and_then(|record| record.status.outcome)
                    .map(|outcome| Recorded {
                        planned,
                        device: outcome.device,
                        known: Known::Files(store.run_dir(planned)),
                    }),
            );
        } else if let Some(row) = rows.iter().find(|row| row.run == planned.name)
            && row.status == "done"
        {
            recorded.push(Recorded {
                planned,
                device: row.device.clone(),
                known: Known::Row(Box::new(row.clone())),
            });
        }
    }
    Ok(recorded)
}

/// How a run that is trained again in `folder` differs from the recorded one. `None` if it does not.
///
/// # Errors
/// Why they could not be compared.
fn difference(plan: &SweepPlan, run: &Recorded, folder: &Path) -> Result<Option<String>, String> {
    let again = train_again(plan, run.planned, folder)?;
    match &run.known {
        Known::Files(recorded) => {
            first_difference(recorded, &again.dir).map_err(|error| error.to_string())
        }
        Known::Row(row) => Ok(difference_of_row(row, &again.outcome)),
    }
}

fn difference_of_row(row: &SummaryRow, outcome: &Outcome) -> Option<String> {
    let numbers = [
        ("steps", row.steps, Some(outcome.steps as f64)),
        ("train_loss", row.train_loss, outcome.train_loss),
        ("val_loss", row.val_loss, outcome.val_loss),
        ("bits_per_byte", row.bits_per_byte, outcome.bits_per_byte),
    ];
    let text = |number: Option<f64>| number.map_or("none".to_owned(), |number| number.to_string());
    let different = numbers.iter().find(|(_, before, now)| before != now);
    different
        .map(|(name, before, now)| format!("{name} is {} instead of {}", text(*now), text(*before)))
}

/// A different seed at each call.
fn seed_of_clock() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| u64::from(since.subsec_nanos()))
}
