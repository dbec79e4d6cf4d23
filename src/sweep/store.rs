use super::Error;
use super::lock::Lock;
use crate::data;
use crate::results::{PlannedRun, RunDir, RunState, SweepPlan, write_json_atomic};
use std::fs;
use std::path::{Path, PathBuf};

/// Name under which a run's folder is set aside before it is deleted: a deletion that is
/// interrupted must not leave half a record behind.
const REMOVED: &str = ".removed-";

/// The results folder of one experiment: `plan.json`, `runs/`, `cache/` and the report.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    /// Dropped before the lock, since only its holder may remove anything.
    made: Made,
    /// Absent in a store that is only looked at.
    _lock: Option<Lock>,
}

/// What [`Store::open`] made where nothing was. It is removed again unless the sweep begins: a
/// mistake in an experiment leaves nothing behind.
#[derive(Debug, Default)]
struct Made {
    /// Outermost first.
    folders: Vec<PathBuf>,
    lock: Option<PathBuf>,
    cache: Option<PathBuf>,
}

impl Made {
    /// Creates a folder with all those around it that are not there.
    fn folder(&mut self, path: &Path) -> Result<(), Error> {
        let absent = path.ancestors().take_while(|path| !path.exists());
        let absent: Vec<PathBuf> = absent
            .filter(|path| !path.as_os_str().is_empty())
            .map(Path::to_owned)
            .collect();
        self.folders.extend(absent.into_iter().rev());
        fs::create_dir_all(path).map_err(Error::io("create", path))
    }

    fn keep(&mut self) {
        self.folders.clear();
        self.lock = None;
        self.cache = None;
    }
}

impl Drop for Made {
    /// What cannot be removed stays, as does a folder that somebody has put something into.
    fn drop(&mut self) {
        if let Some(cache) = &self.cache {
            let _ = fs::remove_dir_all(cache);
        }
        if let Some(lock) = &self.lock {
            let _ = fs::remove_file(lock);
        }
        for folder in self.folders.iter().rev() {
            let _ = fs::remove_dir(folder);
        }
    }
}

impl Store {
    /// Opens the folder for a sweep, which creates it and keeps other sweeps out. What it creates is
    /// removed with the store unless [`Self::write_plan`] is reached.
    pub fn open(root: PathBuf) -> Result<Self, Error> {
        let mut made = Made::default();
        made.folder(&root.join("runs"))?;
        let absent = |path: PathBuf| Some(path).filter(|path| !path.exists());
        let lock_file = absent(root.join(Lock::FILE));
        let lock = Lock::take(&root)?;
        // Only now: where another sweep has the lock, its file is not ours to remove.
        made.lock = lock_file;
        made.cache = absent(root.join("cache"));
        let store = Self {
            root,
            made,
            _lock: Some(lock),
        };
        store.finish_removals()?;
        let cache = store.cache();
        data::remove_leftovers(&cache).map_err(Error::io("clean up", &cache))?;
        Ok(store)
    }

    /// Looks at the folder, which need not be there, and changes nothing in it.
    pub fn look(root: PathBuf) -> Self {
        Self {
            root,
            made: Made::default(),
            _lock: None,
        }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Encoded corpora, kept by hash.
    pub fn cache(&self) -> PathBuf {
        self.root.join("cache")
    }

    pub fn run_dir(&self, run: &PlannedRun) -> RunDir {
        RunDir::new(self.root.join("runs").join(&run.name))
    }

    pub fn state(&self, run: &PlannedRun) -> Result<RunState, Error> {
        let dir = self.run_dir(run);
        let status = dir.status().map_err(|source| Error::Record {
            folder: dir.path().to_owned(),
            source,
        })?;
        Ok(RunState::new(status.as_ref(), dir.is_begun()))
    }

    /// Forgets a run, so that it starts from nothing.
    pub fn remove(&self, run: &PlannedRun) -> Result<(), Error> {
        let dir = self.run_dir(run);
        if !dir.path().exists() {
            return Ok(());
        }
        let aside = self
            .root
            .join("runs")
            .join(format!("{REMOVED}{}", run.name));
        fs::rename(dir.path(), &aside).map_err(Error::io("remove", dir.path()))?;
        fs::remove_dir_all(&aside).map_err(Error::io("remove", &aside))
    }

    /// Writes `plan.json`, with which the folder is there to stay. Where it holds the same runs and none of them is to be trained, it goes on
    /// saying where and by which version they were.
    pub fn write_plan(&mut self, plan: &mut SweepPlan, all_done: bool) -> Result<(), Error> {
        let path = self.root.join("plan.json");
        let before: Option<SweepPlan> = fs::read(&path)
            .ok()
            .and_then(|json| SweepPlan::from_json(&json).ok());
        if let Some(before) = before
            && all_done
            && before.config_hash == plan.config_hash
        {
            plan.machine = before.machine;
            plan.version = before.version;
        }
        write_json_atomic(&path, plan).map_err(Error::io("write", &path))?;
        self.made.keep();
        Ok(())
    }

    fn finish_removals(&self) -> Result<(), Error> {
        let runs = self.root.join("runs");
        for entry in fs::read_dir(&runs).map_err(Error::io("read", &runs))? {
            let path = entry.map_err(Error::io("read", &runs))?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            if name.is_some_and(|name| name.starts_with(REMOVED)) {
                fs::remove_dir_all(&path).map_err(Error::io("remove", &path))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_that_does_not_begin_leaves_what_was_there_and_no_more() {
        let around = tempfile::tempdir().unwrap();
        let root = around.path().join("results/tiny");
        drop(Store::open(root.clone()).unwrap());
        assert!(!around.path().join("results").exists());

        fs::create_dir_all(&root).unwrap();
        fs::write(root.join("report.md"), "committed").unwrap();
        let store = Store::open(root.clone()).unwrap();
        fs::create_dir(store.cache()).unwrap();
        fs::write(store.cache().join("corpus"), "").unwrap();
        drop(store);
        let left = fs::read_dir(&root).unwrap().map(|entry| entry.unwrap());
        let left: Vec<_> = left.map(|entry| entry.file_name()).collect();
        assert_eq!(left, ["report.md"]);
    }

    #[test]
    fn a_sweep_that_is_turned_away_leaves_the_lock_of_the_other() {
        let around = tempfile::tempdir().unwrap();
        let root = around.path().join("tiny");
        let _first = Store::open(root.clone()).unwrap();
        assert!(Store::open(root.clone()).is_err());
        assert!(root.join(Lock::FILE).exists());
    }

    #[test]
    fn the_next_sweep_removes_what_a_killed_one_left() {
        let around = tempfile::tempdir().unwrap();
        let cache = Store::look(around.path().to_owned()).cache();
        let (partial, whole) = (cache.join(".partial-x"), cache.join("0a1b"));
        fs::create_dir_all(partial.join("inner")).unwrap();
        fs::create_dir_all(&whole).unwrap();
        let _store = Store::open(around.path().to_owned()).unwrap();
        assert!(!partial.exists() && whole.exists());
    }
}
