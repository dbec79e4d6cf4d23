use super::args::Target;
use super::find_run::{name, runs_of};
use super::{Error, shell_quoting, template_check};
use crate::config::{self, Document};
use crate::regular_file::is_absent;
use crate::results::{PlannedRun, SweepPlan};
use crate::sweep as sweeps;
use crate::sweep::{DeviceChoice, Store};
use crate::text::terminal::print_note;
use crate::text::units;
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Folder whose files an error about a missing experiment file lists.
pub(super) const EXPERIMENTS: &str = "experiments";

/// The experiment to try first.
const QUICKSTART: &str = "quickstart.yaml";

/// The experiment file of the command line, with overrides applied.
pub(super) fn load(command: &'static str, target: &Target) -> Result<Document, Error> {
    let files = || experiment_files(Path::new(EXPERIMENTS));
    let file = target.file.as_ref().ok_or_else(|| Error::NoFile {
        command,
        files: files(),
    })?;
    if is_absent(file) {
        return Err(Error::MissingFile {
            command,
            file: file.clone(),
            files: files(),
        });
    }
    let document = config::load(file, &target.overrides)?;
    for note in document.notes() {
        print_note(&note);
    }
    Ok(document)
}

/// The results folder of the document's experiment. Its path is sent to other processes as text.
pub(super) fn folder(document: &Document, target: &Target) -> Result<PathBuf, Error> {
    let folder = target.results.join(&document.experiment().name);
    match folder.to_str() {
        Some(_) => Ok(folder),
        None => Err(Error::FolderName(folder)),
    }
}

/// Checks what a plan needs besides the plan itself, and prints warnings.
pub(super) fn check(document: &Document, plan: &SweepPlan) -> Result<(), Error> {
    template_check::check(document, plan)?;
    let runs = plan.runs.iter().map(|run| (&run.spec, run.part()));
    if let Some(warnings) = document.warnings(runs) {
        warnings.eprint();
    }
    Ok(())
}

/// Says which runs are in the folder of the experiment without being in its plan. They are left from other
/// configurations, and are needed again if the experiment is changed back.
pub(super) fn note_other_runs(store: &Store, plan: &SweepPlan) {
    let planned: HashSet<&str> = plan.runs.iter().map(|run| run.name.as_str()).collect();
    let mut others = runs_of(store.root());
    others.retain(|run| !planned.contains(name(run).as_str()));
    if let Some(first) = others.first() {
        print_note(&format!(
            "note: {} has {} of other configurations, such as {}; they are kept, and the report is not \
             about them",
            store.root().join("runs").display(),
            units::plural(others.len(), "run"),
            name(first)
        ));
    }
}

/// Indices of the runs that `--only` selects. Without it, all runs.
pub(super) fn select(plan: &SweepPlan, target: &Target) -> Result<Vec<usize>, Error> {
    let Some(glob) = &target.only else {
        return Ok((0..plan.runs.len()).collect());
    };
    let matches = |run: &PlannedRun| glob.matches(&run.spec.variant) || glob.matches(&run.name);
    let selected: Vec<usize> = (0..plan.runs.len())
        .filter(|&run| matches(&plan.runs[run]))
        .collect();
    if selected.is_empty() {
        let mut variants: Vec<String> = plan
            .runs
            .iter()
            .map(|run| run.spec.variant.clone())
            .collect();
        variants.dedup();
        return Err(Error::Sweep(sweeps::Error::NothingMatches {
            glob: glob.as_str().to_owned(),
            variants,
        }));
    }
    Ok(selected)
}

/// The command that gives the same results, as it is typed in a shell. Options are left out if they only
/// select runs, or change the place of the results or the speed.
pub(super) fn command(target: &Target, device: DeviceChoice) -> String {
    let file = target.file.iter();
    let file = file.map(|file| shell_quoting::word(&file.display().to_string()));
    let overrides = target.overrides.iter();
    let mut words: Vec<String> = ["runner".to_owned(), "sweep".to_owned()]
        .into_iter()
        .chain(file)
        .chain(overrides.map(|text| shell_quoting::path_value(text)))
        .collect();
    match device {
        DeviceChoice::Auto => {}
        DeviceChoice::Cpu => words.push("--device cpu".to_owned()),
        DeviceChoice::Cuda(_) => words.push("--device cuda".to_owned()),
    }
    words.join(" ")
}

/// The first few experiment files in a folder, or a typical name if there are none.
fn experiment_files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<String> = entries
        .map(|entry| entry.path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .map(|path| path.display().to_string())
        .collect();
    // The smallest experiment comes first.
    files.sort_by_cached_key(|file| (!file.ends_with(QUICKSTART), file.clone()));
    files.truncate(5);
    if files.is_empty() {
        files.push(format!("{EXPERIMENTS}/{QUICKSTART}"));
    }
    files
}

/// Where `runner plan` encodes corpora: in the results folder if it has a cache, else in a temporary
/// folder, because `runner plan` leaves nothing behind.
pub(super) enum Cache {
    Kept(PathBuf),
    Temporary(tempfile::TempDir),
}

impl Cache {
    pub(super) fn of_plan(store: &Store) -> Result<Self, Error> {
        let kept = store.cache();
        if kept.is_dir() {
            return Ok(Self::Kept(kept));
        }
        Self::temporary()
    }

    pub(super) fn temporary() -> Result<Self, Error> {
        tempfile::tempdir()
            .map(Self::Temporary)
            .map_err(Error::Temporary)
    }

    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Temporary(folder) => folder.path(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proposes_existing_experiments() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(
            experiment_files(folder.path()),
            ["experiments/quickstart.yaml"]
        );
        for name in ["b.yaml", "a.yaml", "quickstart.yaml", "schema.json"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let found = experiment_files(folder.path());
        let names: Vec<&str> = found
            .iter()
            .filter_map(|file| file.rsplit('/').next())
            .collect();
        assert_eq!(names, ["quickstart.yaml", "a.yaml", "b.yaml"]);
    }
}
