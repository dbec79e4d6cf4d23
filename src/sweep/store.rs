use super::Error;
use super::lock::Lock;
use crate::config;
use crate::data;
use crate::regular_file::{self, is_absent, is_present};
use crate::results::{
    Environment, PlannedRun, RecordError, RunDir, RunRecord, RunResult, RunState, SealError,
    SweepPlan, Thoroughness, create_folders, remove_any, remove_partial_files, write_sealed_json,
};
use crate::train::{self, ShorterRun};
use std::cell::OnceCell;
use std::collections::HashSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// A run's folder is renamed to this prefix and its name before it is deleted, so that an interrupted
/// deletion does not leave a part of a run behind.
const REMOVED_PREFIX: &str = ".removed-";

/// How often a folder is created again that another sweep removes.
const MAX_TRIES: u32 = 50;
const RETRY_DELAY: Duration = Duration::from_millis(10);

/// The results folder of one experiment: `plan.json`, `runs/`, `cache/` and the report.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    /// What `plan.json` holds, once it has been read: reading and checking a large plan takes a while.
    earlier_plan: OnceCell<Option<Result<SweepPlan, SealError>>>,
    /// Declared before the lock, so that it is dropped first: only the holder of the lock may remove files.
    cleanup: CleanupGuard,
    /// `None` in a store that was opened for reading.
    lock: Option<Arc<Lock>>,
}

/// Removes on drop what [`Store::open`] has created, unless it is disarmed. An experiment with an error
/// leaves nothing behind.
#[derive(Debug, Default)]
struct CleanupGuard {
    /// Outermost first.
    folders: Vec<PathBuf>,
    lock: Option<PathBuf>,
    cache: Option<PathBuf>,
}

impl CleanupGuard {
    /// Creates a folder and its missing parents.
    fn create_folder(&mut self, path: &Path) -> Result<(), Error> {
        let absent = path.ancestors().take_while(|path| is_absent(path));
        let absent: Vec<PathBuf> = absent
            .filter(|path| !path.as_os_str().is_empty())
            .map(Path::to_owned)
            .collect();
        self.folders.extend(absent.into_iter().rev());
        create_folders(path).map_err(Error::io("create", path))
    }

    fn disarm(&mut self) {
        self.folders.clear();
        self.lock = None;
        self.cache = None;
    }
}

impl Drop for CleanupGuard {
    /// Errors are ignored. A folder that is not empty stays.
    fn drop(&mut self) {
        if let Some(cache) = &self.cache {
            let _ = data::remove_cache(cache);
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
    /// Creates and locks the folder for a sweep, and removes the temporary files of killed sweeps. What
    /// this creates is removed on drop, unless [`Self::write_plan`] was called.
    pub fn open(root: PathBuf) -> Result<Self, Error> {
        let mut cleanup = CleanupGuard::default();
        let absent = |path: PathBuf| Some(path).filter(|path| is_absent(path));
        let mut tries = MAX_TRIES;
        let (lock, lock_file) = loop {
            let created = cleanup.create_folder(&root.join("runs"));
            let lock_file = absent(root.join(Lock::FILE));
            match created.and_then(|()| Lock::take(&root).map_err(Error::lock(&root))) {
                // Another sweep, which found an error, has removed the folder that it had created: after this one
                // opened it, or between two calls by which the standard library creates it.
                Err(Error::Io { source, .. })
                    if matches!(
                        source.kind(),
                        ErrorKind::NotFound | ErrorKind::AlreadyExists
                    ) && tries > 0 =>
                {
                    tries -= 1;
                    thread::sleep(RETRY_DELAY);
                }
                lock => break (lock?, lock_file),
            }
        };
        // Set after locking: a lock file of another sweep must not be removed.
        cleanup.lock = lock_file;
        cleanup.cache = absent(root.join("cache"));
        let store = Self {
            root,
            earlier_plan: OnceCell::new(),
            cleanup,
            lock: Some(Arc::new(lock)),
        };
        store.remove_leftovers()?;
        let cache = store.cache();
        data::remove_leftovers(&cache).map_err(Error::io("clean up", &cache))?;
        Ok(store)
    }

    /// Opens the folder for reading, without a lock. It need not exist.
    pub fn open_readonly(root: PathBuf) -> Self {
        Self {
            root,
            earlier_plan: OnceCell::new(),
            cleanup: CleanupGuard::default(),
            lock: None,
        }
    }

    /// Whether the folder that was opened for a sweep is still at its path.
    pub fn is_in_place(&self) -> bool {
        self.lock.as_ref().is_none_or(|lock| lock.is_in_place())
    }

    /// [`Self::is_in_place`] for another thread.
    pub fn place_check(&self) -> impl Fn() -> bool + Send + 'static {
        let lock = self.lock.clone();
        move || lock.as_ref().is_none_or(|lock| lock.is_in_place())
    }

    /// Whether a sweep is running in this folder.
    pub fn is_locked(&self) -> bool {
        Lock::is_held(&self.root)
    }

    /// Whether a worker is training a run.
    pub fn is_being_trained(&self, run: &PlannedRun) -> bool {
        Lock::is_held(self.run_dir(run).path())
    }

    /// Whether a run has a record, without a look at it.
    pub fn has_status(&self, run: &PlannedRun) -> bool {
        self.run_dir(run).has_status()
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
        let record = self.record(run)?;
        let status = record.as_ref().map(|record| &record.status);
        Ok(RunState::new(status, self.run_dir(run).has_checkpoint()))
    }

    /// The record of a run that has ended. `None` if it has not, or if a file that a report reads is damaged:
    /// such a run is trained again.
    pub fn record(&self, run: &PlannedRun) -> Result<Option<RunRecord>, Error> {
        match self.checked_record(run) {
            Err(error) if error.is_damage() => Ok(None),
            result => result.map_err(Error::Record),
        }
    }

    fn checked_record(&self, run: &PlannedRun) -> Result<Option<RunRecord>, RecordError> {
        let dir = self.run_dir(run);
        dir.checked_record(run, Thoroughness::Reported)
    }

    /// The runs of a plan that have ended and have a damaged file: (index, what is damaged).
    pub fn damaged_runs(&self, plan: &SweepPlan) -> Vec<(usize, RecordError)> {
        let runs = plan.runs.iter().enumerate();
        let damaged = runs.filter_map(|(index, run)| {
            let error = self.checked_record(run).err()?;
            error.is_damage().then_some((index, error))
        });
        damaged.collect()
    }

    /// What is known of each run of a plan.
    pub fn results(&self, plan: &SweepPlan) -> Result<Vec<RunResult>, Error> {
        let result = |run| self.result(plan, run);
        plan.runs.iter().map(result).collect()
    }

    pub(super) fn result(&self, plan: &SweepPlan, run: &PlannedRun) -> Result<RunResult, Error> {
        let record = self.record(run)?;
        let status = record.as_ref().map(|record| &record.status);
        let mut problem = None;
        let result = RunResult::new(status, &plan.experiment.compare, || {
            let evaluations = self.run_dir(run).evaluations(record.as_ref());
            evaluations.unwrap_or_else(|error| {
                problem = Some(error);
                Vec::new()
            })
        });
        problem.map_or(Ok(result), |error| Err(Error::Record(error)))
    }

    /// Indices of the runs that are needed according to the results so far, in the order of the plan.
    pub fn needed_runs(&self, plan: &SweepPlan) -> Result<Vec<usize>, Error> {
        match plan.depends_on_results() {
            true => Ok(plan.needed_runs(&self.results(plan)?)),
            false => Ok((0..plan.runs.len()).collect()), // the files of the runs need not be read
        }
    }

    /// Indices of the runs that the sweep can have in the end, in the order of the plan.
    pub fn possible_runs(&self, plan: &SweepPlan) -> Result<Vec<usize>, Error> {
        match plan.depends_on_results() {
            true => Ok(plan.possible_runs(&self.results(plan)?)),
            false => Ok((0..plan.runs.len()).collect()),
        }
    }

    /// Names of the variants whose search has found the best settings.
    pub fn found_settings(&self, plan: &SweepPlan) -> Result<HashSet<String>, Error> {
        if plan.tuned_paths().is_empty() {
            return Ok(HashSet::new()); // the files of the runs need not be read
        }
        let compared = plan.compare(&self.results(plan)?).into_iter();
        let found = compared.filter(|c| c.search.as_ref().is_some_and(|s| s.best.is_some()));
        Ok(found.map(|compared| compared.variant).collect())
    }

    /// Deletes the folder of a run, so that the run starts from the beginning.
    pub fn remove(&self, run: &PlannedRun) -> Result<(), Error> {
        let dir = self.run_dir(run);
        if !is_present(dir.path()) {
            return Ok(());
        }
        let aside = self
            .root
            .join("runs")
            .join(format!("{REMOVED_PREFIX}{}", run.name));
        fs::rename(dir.path(), &aside).map_err(Error::io("remove", dir.path()))?;
        remove_any(&aside).map_err(Error::io("remove", &aside))
    }

    /// The longest finished run that is the beginning of a run, if possible one with a checkpoint.
    pub fn shorter_run(&self, run: &PlannedRun) -> Option<ShorterRun> {
        let start = format!("{}-s{}-", run.spec.variant, run.spec.seed);
        let here = train::environment();
        let folders = fs::read_dir(self.root.join("runs")).ok()?.flatten();
        let shorter = folders.filter_map(|folder| {
            let name = folder.file_name().into_string().ok()?;
            let dir = RunDir::new(folder.path());
            if !name.starts_with(&start) || name == run.name {
                return None;
            }
            let record = dir.record().ok()?.filter(|record| is_from(&here, record))?;
            let spec = dir.spec(Some(&record)).ok()?;
            let shorter = ShorterRun { name, spec, dir };
            shorter.is_beginning_of(&run.spec).then_some(shorter)
        });
        shorter.max_by_key(|shorter| (shorter.dir.has_checkpoint(), shorter.spec.train.steps))
    }

    /// Forgets how a run ended, so that it continues from its checkpoint.
    pub fn reopen(&self, run: &PlannedRun) -> Result<(), Error> {
        let dir = self.run_dir(run);
        let reopened = dir.remove_status().and_then(|()| dir.forget_death());
        reopened.map_err(Error::io("write in", dir.path()))
    }

    /// Takes over from `plan.json`, if there is one, how its runs were compared before.
    pub fn continue_plan(&self, plan: &mut SweepPlan) -> Result<(), Error> {
        let Some(before) = self.read_plan()? else {
            return Ok(());
        };
        // A run with damaged files is reported later.
        let has_ended = |run| {
            let state = self.state(run);
            state.is_ok_and(|state| !matches!(state, RunState::NotStarted | RunState::Stopped))
        };
        let has_results = plan.changes_design_of(before) && before.runs.iter().any(has_ended);
        plan.continue_from(before, has_results);
        Ok(())
    }

    /// Writes `plan.json` and keeps the folder from then on. If all runs are done and `plan.json` holds
    /// the same runs already, it keeps the machine and the version that trained them.
    pub fn write_plan(&mut self, plan: &mut SweepPlan, all_done: bool) -> Result<(), Error> {
        if let Some(before) = self.read_plan()?
            && all_done
            && before.config_hash == plan.config_hash
        {
            plan.machine = before.machine.clone();
            plan.version = before.version.clone();
        }
        let path = self.plan_path();
        write_sealed_json(&path, plan).map_err(Error::io("write", &path))?;
        self.earlier_plan.take();
        self.cleanup.disarm();
        Ok(())
    }

    fn plan_path(&self) -> PathBuf {
        self.root.join("plan.json")
    }

    /// The plan of the last sweep in this folder. `None` if there is none, or if it is damaged.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read_plan(&self) -> Result<Option<&SweepPlan>, Error> {
        let plan = self.try_read_plan()?;
        Ok(plan.and_then(|plan| plan.as_ref().ok()))
    }

    /// Why the plan of the last sweep in this folder cannot be used, if there is one and it is damaged.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn plan_damage(&self) -> Result<Option<String>, Error> {
        let plan = self.try_read_plan()?;
        let damage = plan.and_then(|plan| plan.as_ref().err());
        let path = self.plan_path();
        Ok(damage.map(|error| format!("{} is damaged: {error}", path.display())))
    }

    fn try_read_plan(&self) -> Result<Option<&Result<SweepPlan, SealError>>, Error> {
        if let Some(plan) = self.earlier_plan.get() {
            return Ok(plan.as_ref());
        }
        let path = self.plan_path();
        let plan = match regular_file::read(&path) {
            Ok(json) => Some(config::read_plan(&json).map(|plan| plan.value)),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(Error::io("read", &path)(error)),
        };
        Ok(self.earlier_plan.get_or_init(|| plan).as_ref())
    }

    /// Removes what killed sweeps have left: folders of runs that were being deleted, and files that
    /// were being written.
    fn remove_leftovers(&self) -> Result<(), Error> {
        let runs = self.root.join("runs");
        let entries = match fs::read_dir(&runs) {
            // Another sweep that found an error removes the empty folder that it has created.
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            entries => Some(entries.map_err(Error::io("read", &runs))?),
        };
        for entry in entries.into_iter().flatten() {
            let path = entry.map_err(Error::io("read", &runs))?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            if name.is_some_and(|name| name.starts_with(REMOVED_PREFIX)) {
                remove_any(&path).map_err(Error::io("remove", &path))?;
            }
        }
        // The results folder itself may be given by a symbolic link.
        let root = self.root.canonicalize();
        let root = root.map_err(Error::io("clean up", &self.root))?;
        for (folder, depth) in [
            (&root, 0),
            (&root.join("plots"), 0),
            (&root.join("runs"), 2),
        ] {
            remove_partial_files(folder, depth).map_err(Error::io("clean up", folder))?;
        }
        Ok(())
    }
}

/// Whether a finished run was trained on a CPU, by a program like the one of `here`.
fn is_from(here: &Environment, record: &RunRecord) -> bool {
    let (environment, outcome) = (&record.status.environment, &record.status.outcome);
    record.is_done()
        && environment
            .as_ref()
            .is_some_and(|made| made.has_program_of(here))
        && outcome
            .as_ref()
            .is_some_and(|outcome| outcome.device == "cpu")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::testing::plan_of;

    #[test]
    fn store_without_a_plan_leaves_the_folder_as_it_was() {
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

    /// A plan with one finished run of an earlier version.
    fn store_with_a_finished_run(root: &Path) -> (Store, SweepPlan, RunDir) {
        let store = Store::open_readonly(root.to_owned());
        let plan =
            plan_of("{name: x, sweep: {seeds: 2, variants: {a: {}, b: {model: {n_layer: 2}}}}}");
        let dir = store.run_dir(&plan.runs[0]);
        dir.create(&plan.runs[0].spec).unwrap();
        let status = r#"{"state": "done", "reason": "", "outcome": {"steps": 1, "tokens": 1,
            "params": 1, "params_non_embedding": 1, "flops_per_token": 1.0, "train_loss": 1.0,
            "val_loss": 1.5, "bits_per_byte": 1.0, "tokens_per_second": 1.0, "seconds": 1.0,
            "peak_memory_mb": 1.0, "device": "cpu"}}"#;
        fs::write(dir.path().join("status.json"), status).unwrap();
        let evaluation =
            r#"{"event":"eval","step":1,"val_loss":1.5,"bits_per_byte":1.0,"seconds":1.0}"#;
        fs::write(dir.metrics_file(), format!("{evaluation}\n")).unwrap();
        (store, plan, dir)
    }

    #[test]
    fn finished_run_with_a_damaged_file_is_trained_again() {
        let around = tempfile::tempdir().unwrap();
        let (store, plan, dir) = store_with_a_finished_run(around.path());
        let earlier = store.record(&plan.runs[0]).unwrap().unwrap();
        assert!(!earlier.is_verified);
        dir.write_samples(&[]).unwrap();
        dir.write_record(&earlier.status, "another").unwrap();
        let damaged = store.damaged_runs(&plan);
        assert!(
            damaged[0]
                .1
                .to_string()
                .contains("the record of another run")
        );
        dir.write_record(&earlier.status, &plan.runs[0].identity)
            .unwrap();
        let record = store.record(&plan.runs[0]).unwrap().unwrap();
        assert!(record.is_verified && record.status == earlier.status);
        assert!(store.damaged_runs(&plan).is_empty());

        for file in [
            "status.json",
            "metrics.jsonl",
            "config.yaml",
            "samples.json",
        ] {
            let path = dir.path().join(file);
            let whole = fs::read(&path).unwrap();
            let mut flipped = whole.clone();
            flipped[whole.len() / 2] ^= 1;
            for damage in [&flipped[..], &whole[..whole.len() - 1], b""] {
                fs::write(&path, damage).unwrap();
                let damaged = store.damaged_runs(&plan);
                assert_eq!(damaged.len(), 1, "{file}");
                let message = damaged[0].1.to_string();
                assert!(message.contains(file), "{message}");
                assert_eq!(store.state(&plan.runs[0]).unwrap(), RunState::NotStarted);
                assert_eq!(store.results(&plan).unwrap()[0], RunResult::Open);
            }
            fs::write(&path, &whole).unwrap();
        }
        for file in ["metrics.jsonl", "samples.json"] {
            let path = dir.path().join(file);
            let whole = fs::read(&path).unwrap();
            fs::remove_file(&path).unwrap();
            assert_eq!(store.damaged_runs(&plan).len(), 1, "{file}");
            fs::write(&path, &whole).unwrap();
        }
        assert!(store.damaged_runs(&plan).is_empty());
    }

    #[test]
    fn record_of_an_earlier_version_must_agree_with_its_metrics() {
        let around = tempfile::tempdir().unwrap();
        let (store, plan, dir) = store_with_a_finished_run(around.path());
        assert!(store.damaged_runs(&plan).is_empty());
        let whole = fs::read_to_string(dir.metrics_file()).unwrap();
        for metrics in [
            "",
            "damaged\n",
            &whole.replace("1.5", "1.4"),
            &whole.replace("step\":1", "step\":9"),
        ] {
            fs::write(dir.metrics_file(), metrics).unwrap();
            assert_eq!(store.damaged_runs(&plan).len(), 1, "{metrics}");
        }
        fs::remove_file(dir.metrics_file()).unwrap();
        assert_eq!(store.damaged_runs(&plan).len(), 1);
    }

    #[test]
    fn sweeps_that_remove_the_folder_do_not_disturb_each_other() {
        let around = tempfile::tempdir().unwrap();
        let root = around.path().join("results/tiny");
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        // Without a plan, dropping the store removes the folder.
                        match Store::open(root.clone()) {
                            Ok(store) => drop(store),
                            Err(Error::Held { .. }) => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                });
            }
        });
    }

    #[test]
    fn second_sweep_leaves_the_lock_file_of_the_first() {
        let around = tempfile::tempdir().unwrap();
        let root = around.path().join("tiny");
        let _first = Store::open(root.clone()).unwrap();
        assert!(Store::open(root.clone()).is_err());
        assert!(root.join(Lock::FILE).exists());
    }

    #[test]
    fn next_sweep_removes_temporary_files_of_a_killed_one() {
        let around = tempfile::tempdir().unwrap();
        let cache = Store::open_readonly(around.path().to_owned()).cache();
        let (partial, whole) = (cache.join(".partial-x"), cache.join("0a1b"));
        fs::create_dir_all(partial.join("inner")).unwrap();
        fs::create_dir_all(&whole).unwrap();
        let run = around.path().join("runs/gpt-s1-0a1b2c3d");
        let weights = run.join("weights");
        fs::create_dir_all(&weights).unwrap();
        let torn = [around.path(), &run, &weights].map(|folder| folder.join(".partial-x"));
        let kept = run.join("status.json");
        for file in torn.iter().chain([&kept]) {
            fs::write(file, "{").unwrap();
        }
        let _store = Store::open(around.path().to_owned()).unwrap();
        assert!(!partial.exists() && whole.exists());
        assert!(torn.iter().all(|file| !file.exists()) && kept.exists());
    }
}
