use crate::results::RunDir;
use std::fs;
use std::path::{Path, PathBuf};

/// Most runs that an error lists.
const MAX_LISTED: usize = 10;

/// Why a run was not found.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    #[error("{} is not the folder of a run{}", folder.display(), others(runs))]
    NotARun { folder: PathBuf, runs: Vec<PathBuf> },
    #[error("no name of a run in {} starts with {run}{}", results.display(), others(runs))]
    NoRun {
        run: String,
        results: PathBuf,
        runs: Vec<PathBuf>,
    },
    #[error(
        "the names of several runs start with {run}:{}\ngive more of the name, or the folder",
        list(runs)
    )]
    Several { run: String, runs: Vec<PathBuf> },
}

/// Finds a run by its folder, by its name in any experiment in `results`, or by the beginning of its
/// name.
pub(super) fn find_run(results: &Path, run: &str) -> Result<RunDir, FindError> {
    let folder = Path::new(run);
    if folder.join("config.yaml").is_file() {
        return Ok(RunDir::new(folder));
    }
    if folder.is_dir() {
        return Err(FindError::NotARun {
            // It can be the folder of one experiment, or of all.
            runs: [runs_of(folder), runs_in(folder)].concat(),
            folder: folder.to_owned(),
        });
    }
    let all = runs_in(results);
    let name = |path: &PathBuf| {
        path.file_name()
            .map(|name| name.to_string_lossy().into_owned())
    };
    let named = |matches: &dyn Fn(&str) -> bool| -> Vec<PathBuf> {
        let runs = all
            .iter()
            .filter(|path| name(path).is_some_and(|name| matches(&name)));
        runs.cloned().collect()
    };
    let mut found = named(&|name| name == run);
    if found.is_empty() {
        found = named(&|name| name.starts_with(run));
    }
    match (found.pop(), found.is_empty()) {
        (Some(only), true) => Ok(RunDir::new(only)),
        (Some(last), false) => Err(FindError::Several {
            run: run.to_owned(),
            runs: [found, vec![last]].concat(),
        }),
        (None, _) => Err(FindError::NoRun {
            run: run.to_owned(),
            results: results.to_owned(),
            runs: all,
        }),
    }
}

/// The runs of every experiment in a folder.
fn runs_in(results: &Path) -> Vec<PathBuf> {
    let experiments = folders(results).into_iter();
    experiments
        .flat_map(|experiment| runs_of(&experiment))
        .collect()
}

/// The runs of one experiment.
fn runs_of(experiment: &Path) -> Vec<PathBuf> {
    let mut runs = folders(&experiment.join("runs"));
    runs.retain(|run| run.join("config.yaml").is_file());
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

fn others(runs: &[PathBuf]) -> String {
    match runs {
        [] => "; `runner sweep` creates runs".to_owned(),
        runs => format!("; the runs are{}", list(runs)),
    }
}

fn list(runs: &[PathBuf]) -> String {
    let mut lines: String = runs
        .iter()
        .take(MAX_LISTED)
        .map(|run| format!("\n  {}", run.display()))
        .collect();
    if runs.len() > MAX_LISTED {
        lines += &format!("\n  and {} more", runs.len() - MAX_LISTED);
    }
    lines
}
