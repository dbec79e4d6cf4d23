use crate::regular_file::is_absence;
use crate::results::RunDir;
use crate::sweep::Store;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Most runs that an error lists.
const MAX_LISTED: usize = 10;
/// Letters of a name for each one that may be wrong.
const LETTERS_PER_ERROR: usize = 5;

/// Why a run was not found.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    #[error("{} is not the folder of a run{}", folder.display(), others(runs))]
    NotARun { folder: PathBuf, runs: Vec<PathBuf> },
    #[error(
        "there is no run {run}{}{}{}",
        place(run, results),
        similar(run, runs),
        others(runs)
    )]
    NoRun {
        run: String,
        results: PathBuf,
        /// The runs nearby.
        runs: Vec<PathBuf>,
    },
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error(
        "the names of several runs start with {run}:{}\ngive more of the name, or the folder",
        list(runs)
    )]
    Several { run: String, runs: Vec<PathBuf> },
}

/// Finds a run by its folder, by its name in any experiment in `results`, by its variant and seed, or by the
/// beginning of its name. Behind the path of a results folder, such as `results/x/base-s1`, it is searched there. If
/// several have this name, variant and seed, or beginning, those of the last plan of their experiment come first.
pub(super) fn find_run(results: &Path, run: &str) -> Result<RunDir, FindError> {
    let folder = Path::new(run);
    match is_run(folder) {
        Ok(true) => return Ok(RunDir::new(folder)),
        Ok(false) => {}
        Err(source) => {
            let path = RunDir::new(folder).config();
            return Err(FindError::Read { path, source });
        }
    }
    if folder.is_dir() {
        return Err(FindError::NotARun {
            runs: runs_near(folder),
            folder: folder.to_owned(),
        });
    }
    // The runs to search, and the name that is searched.
    let (all, name_in_folder) = match runs_beside(folder) {
        Some(found) => found,
        None => (runs_in(results), run.to_owned()),
    };
    let wanted = name_in_folder.as_str();
    let named = |matches: &dyn Fn(&str) -> bool| -> Vec<PathBuf> {
        let runs = all.iter().filter(|path| matches(&name(path)));
        runs.cloned().collect()
    };
    let mut found = named(&|name| name == wanted);
    if found.is_empty() {
        found = named(&|name| without_hash(name) == wanted);
    }
    if found.is_empty() {
        found = named(&|name| name.starts_with(wanted));
    }
    found = of_last_plan(found);
    match (found.pop(), found.is_empty()) {
        (Some(only), true) => Ok(RunDir::new(only)),
        (Some(last), false) => Err(FindError::Several {
            run: run.to_owned(),
            runs: [found, vec![last]].concat(),
        }),
        (None, _) => match unreadable(results).filter(|_| !is_path(run)) {
            Some((path, source)) => Err(FindError::Read { path, source }),
            None => Err(FindError::NoRun {
                run: run.to_owned(),
                results: results.to_owned(),
                runs: match is_path(run) {
                    true => runs_around(folder).unwrap_or(all),
                    false => all,
                },
            }),
        },
    }
}

/// The runs in the folder of a path such as `results/x/base-s1` or `results/x/runs/base-s1`, with the name at its end.
/// `None` if it is no path, or if there are no runs in its folder.
fn runs_beside(path: &Path) -> Option<(Vec<PathBuf>, String)> {
    let folder = path.parent().filter(|folder| *folder != Path::new(""))?;
    let name = path.file_name()?.to_str()?.to_owned();
    let mut runs = runs_near(folder);
    if folder.ends_with("runs") {
        runs.extend(folder.parent().into_iter().flat_map(runs_of));
    }
    (!runs.is_empty()).then_some((runs, name))
}

/// Whether a folder is that of a run.
///
/// # Errors
/// If it cannot be read.
fn is_run(folder: &Path) -> io::Result<bool> {
    match fs::metadata(RunDir::new(folder).config()) {
        Ok(config) => Ok(config.is_file()),
        Err(error) if is_absence(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The first folder of results in which runs may be that cannot be read, with the error.
fn unreadable(results: &Path) -> Option<(PathBuf, io::Error)> {
    let error_of = |folder: PathBuf| {
        let error = fs::read_dir(&folder).err()?;
        (!is_absence(&error)).then_some((folder, error))
    };
    let of_run = |run: PathBuf| {
        let error = is_run(&run).err()?;
        Some((RunDir::new(&run).config(), error))
    };
    error_of(results.to_owned()).or_else(|| {
        folders(results).into_iter().find_map(|experiment| {
            let runs = experiment.join("runs");
            error_of(runs.clone()).or_else(|| folders(&runs).into_iter().find_map(of_run))
        })
    })
}

/// Of several runs, those that are in the last plan of their experiment and have the largest size, if there are any. The
/// others are left from earlier configurations, or have a smaller size.
fn of_last_plan(runs: Vec<PathBuf>) -> Vec<PathBuf> {
    if runs.len() < 2 {
        return runs;
    }
    let mut plans: HashMap<PathBuf, HashSet<String>> = HashMap::new();
    let mut planned = runs.clone();
    planned.retain(|run| {
        let Some(experiment) = run.ancestors().nth(2) else {
            return false;
        };
        let plan = plans.entry(experiment.to_owned()).or_insert_with(|| {
            let store = Store::open_readonly(experiment.to_owned());
            let plan = store.read_plan().ok().flatten();
            let runs = plan.into_iter().flat_map(|plan| &plan.runs);
            let compared = runs.filter(|run| run.smaller_size.is_none());
            compared.map(|run| run.name.clone()).collect()
        });
        plan.contains(&name(run))
    });
    match planned.is_empty() {
        true => runs,
        false => planned,
    }
}

/// Whether a run is given by its folder. A name has no separator.
fn is_path(run: &str) -> bool {
    run.contains('/')
}

/// The runs of the nearest folder above a path that has runs.
fn runs_around(path: &Path) -> Option<Vec<PathBuf>> {
    let above = path.ancestors().skip(1);
    above.map(runs_near).find(|runs| !runs.is_empty())
}

/// The runs of a folder, which can be that of one experiment or of all.
fn runs_near(folder: &Path) -> Vec<PathBuf> {
    [runs_of(folder), runs_in(folder)].concat()
}

/// The name of the run in a folder.
pub(super) fn name(run: &Path) -> String {
    let name = run.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// The name of a run without the hash at its end.
fn without_hash(name: &str) -> &str {
    let is_hash = |end: &str| end.len() == 8 && end.bytes().all(|byte| byte.is_ascii_hexdigit());
    match name.rsplit_once('-') {
        Some((start, end)) if is_hash(end) => start,
        _ => name,
    }
}

/// The runs of every experiment in a folder.
fn runs_in(results: &Path) -> Vec<PathBuf> {
    let experiments = folders(results).into_iter();
    experiments
        .flat_map(|experiment| runs_of(&experiment))
        .collect()
}

/// The folders of the runs in the results folder of an experiment.
pub(super) fn runs_of(experiment: &Path) -> Vec<PathBuf> {
    let mut runs = folders(&experiment.join("runs"));
    runs.retain(|run| is_run(run).unwrap_or(false));
    runs
}

/// The subfolders of a folder, sorted. Empty if it cannot be read.
fn folders(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    folders.retain(|path| path.is_dir());
    folders.sort();
    folders
}

/// Where a name was searched. A path says it itself.
fn place(run: &str, results: &Path) -> String {
    match is_path(run) {
        true => String::new(),
        false => format!(" in {}", results.display()),
    }
}

/// A line that proposes the run with the most similar name, if there is one.
fn similar(run: &str, runs: &[PathBuf]) -> String {
    let wanted = name(Path::new(run));
    let names = runs.iter().map(|run| name(run));
    let meant = most_similar(&wanted, names).map(|index| runs[index].display());
    meant.map_or(String::new(), |meant| format!("\ndid you mean {meant}?"))
}

/// The index of the name that differs least from the wanted one, not counting hashes. At most one letter in
/// five may differ. The run of another seed is not meant.
fn most_similar(wanted: &str, names: impl Iterator<Item = String>) -> Option<usize> {
    let wanted = without_hash(wanted);
    let limit = wanted.chars().count() / LETTERS_PER_ERROR;
    let distances = names.enumerate().filter_map(|(index, name)| {
        let name = without_hash(&name);
        let is_same_seed = seed(wanted).is_none_or(|wanted| seed(name) == Some(wanted));
        is_same_seed.then(|| (strsim::damerau_levenshtein(wanted, name), index))
    });
    let (distance, index) = distances.min()?;
    (distance <= limit).then_some(index)
}

/// The seed at the end of the name of a run without hash.
fn seed(name: &str) -> Option<u64> {
    name.rsplit_once("-s")?.1.parse().ok()
}

fn others(runs: &[PathBuf]) -> String {
    match runs {
        [] => "\nno runs were found; `runner sweep` creates them".to_owned(),
        runs => format!("\nthe runs are{}", list(runs)),
    }
}

fn list(runs: &[PathBuf]) -> String {
    let runs: Vec<String> = runs.iter().map(|run| run.display().to_string()).collect();
    lines(&runs)
}

/// The first of some runs, each in a line of its own.
pub(super) fn lines(runs: &[String]) -> String {
    let shown = runs.iter().take(MAX_LISTED);
    let mut lines: String = shown.map(|run| format!("\n  {run}")).collect();
    if runs.len() > MAX_LISTED {
        lines += &format!("\n  and {} more", runs.len() - MAX_LISTED);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::testing::plan_of;
    use std::ffi::OsStr;

    /// A results folder with an experiment that has these runs. The first `planned` of them are in its plan.
    fn results(runs: &[&str], planned: usize) -> tempfile::TempDir {
        let results = tempfile::tempdir().unwrap();
        let experiment = results.path().join("x");
        for run in runs {
            let folder = experiment.join("runs").join(run);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("config.yaml"), "").unwrap();
        }
        let mut plan = plan_of("{name: x, sweep: {seeds: 20}}");
        for (planned, name) in plan.runs.iter_mut().zip(&runs[..planned]) {
            planned.name = (*name).to_owned();
        }
        plan.runs.truncate(planned);
        let json = serde_json::to_vec(&plan).unwrap();
        fs::write(experiment.join("plan.json"), json).unwrap();
        results
    }

    fn found(results: &tempfile::TempDir, run: &str) -> Option<String> {
        let run = find_run(results.path(), run).ok()?;
        let name = run.path().file_name().and_then(OsStr::to_str);
        name.map(str::to_owned)
    }

    #[test]
    fn exact_variant_and_seed_come_before_the_beginning_of_a_name() {
        let results = results(&["base-s1-0a1b2c3d", "base-s10-1a1b2c3d"], 2);
        let found = |run| found(&results, run);
        assert_eq!(found("base-s1").unwrap(), "base-s1-0a1b2c3d");
        assert_eq!(found("base-s10").unwrap(), "base-s10-1a1b2c3d");
        assert_eq!(found("base-s10-1a").unwrap(), "base-s10-1a1b2c3d");
        assert_eq!(found("base"), None);
    }

    #[test]
    fn a_run_is_found_behind_the_path_of_its_results_folder() {
        let results = results(&["base-s1-0a1b2c3d", "base-s2-1a1b2c3d"], 2);
        let elsewhere = tempfile::tempdir().unwrap();
        for folder in ["x", "x/runs", "."] {
            let path = results.path().join(folder).join("base-s2");
            let run = find_run(elsewhere.path(), path.to_str().unwrap()).unwrap();
            let expected = results.path().join("x/runs/base-s2-1a1b2c3d");
            assert_eq!(
                run.path().canonicalize().unwrap(),
                expected.canonicalize().unwrap()
            );
        }
        let absent = results.path().join("x/base-s3");
        assert!(find_run(results.path(), absent.to_str().unwrap()).is_err());
        let ambiguous = results.path().join("x/base");
        let error = find_run(results.path(), ambiguous.to_str().unwrap()).unwrap_err();
        assert!(matches!(error, FindError::Several { .. }), "{error}");
    }

    #[test]
    fn runs_of_the_last_plan_come_first() {
        let runs = [
            "base-s1-1a1b2c3d",
            "other-s1-2a1b2c3d",
            "base-s1-0a1b2c3d",
            "old-s1-0a1b2c3d",
        ];
        let results = results(&runs, 2);
        let found = |run| found(&results, run);
        assert_eq!(found("base-s1").unwrap(), "base-s1-1a1b2c3d");
        assert_eq!(found("base").unwrap(), "base-s1-1a1b2c3d");
        assert_eq!(found("base-s1-0a1b2c3d").unwrap(), "base-s1-0a1b2c3d");
        assert_eq!(found("old").unwrap(), "old-s1-0a1b2c3d");
        assert_eq!(found("o").unwrap(), "other-s1-2a1b2c3d");
    }

    #[test]
    fn run_with_a_similar_name_and_the_same_seed_is_proposed() {
        let names = [
            "bigram-s1-0a1b2c3d",
            "gpt-s1-1a1b2c3d",
            "gpt-s2-2a1b2c3d",
            "gpt-rmsnorm-s1-3a1b2c3d",
        ];
        let proposed = |wanted: &str| {
            let names = names.iter().map(|name| (*name).to_owned());
            most_similar(wanted, names)
        };
        for (wanted, name) in [
            ("gpt-s2-00000000", Some("gpt-s2")),
            ("gtp-s2", Some("gpt-s2")),
            ("bigarm-s1-0a1b2c3d", Some("bigram-s1")),
            ("gpt_s1", Some("gpt-s1")),
            ("gpt-rms-norm-s1", Some("gpt-rmsnorm-s1")),
            // The part behind the last `-` is not the name.
            ("rmsnorm-s1", None),
            // Another seed.
            ("gpt-s3", None),
            ("gtp-s12", None),
            // Another variant.
            ("tgb-s1", None),
            ("llama", None),
        ] {
            let proposed = proposed(wanted).map(|index| without_hash(names[index]));
            assert_eq!(proposed, name, "{wanted}");
        }
    }
}
