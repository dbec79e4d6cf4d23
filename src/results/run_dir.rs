use super::atomic_files::{
    create_folders, remove_any, remove_if_exists, replace_file, sync_folder,
};
use super::metric_lines::{self, MetricLines};
use super::run_record::{StatusFile, check_file, expect_digest, is_inside, read_if_exists};
use super::sealed_json::{from_sealed_json, write_sealed_json};
use super::{
    Evaluation, FileDigest, Metric, PlannedRun, RecordError, RunRecord, RunStatus, Thoroughness,
    write_atomic,
};
use crate::regular_file::{self, is_absent, is_folder, is_present};
use crate::spec::RunSpec;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::iter;
use std::path::{Path, PathBuf};

/// Folder of the weights of steps before the last.
const WEIGHTS_FOLDER: &str = "weights";

/// Start of the names of checkpoints, in the folder [`RunDir::checkpoint`].
const CHECKPOINT_PREFIX: &str = "state";

/// Start of the names of the weights of good evaluations, in the same folder.
const BEST_PREFIX: &str = "best-";

/// The folder of one run: `runs/<variant>-s<seed>-<hash8>/`.
///
/// A file in it is complete or absent. Only `metrics.jsonl` is appended line by line, and an incomplete
/// last line is dropped on reading. Files are synced before a checkpoint or a record that depends on them.
#[derive(Debug, Clone)]
pub struct RunDir(PathBuf);

impl RunDir {
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Creates the folder and writes `config.yaml` into it. What has the place of the folder or of one of its files,
    /// and cannot be what a run wrote, is removed.
    pub fn create(&self, spec: &RunSpec) -> io::Result<()> {
        self.make_room()?;
        create_folders(&self.0)?;
        let yaml = spec.to_yaml().map_err(io::Error::other)?;
        replace_file(&self.config(), yaml.as_bytes())
    }

    /// Removes files in the places of folders, and folders in the places of files. Other kinds of files are replaced
    /// when the run writes its own.
    fn make_room(&self) -> io::Result<()> {
        let folders = [self.0.join(WEIGHTS_FOLDER), self.checkpoint()];
        for folder in iter::once(&self.0).chain(&folders) {
            if is_present(folder) && !folder.is_dir() {
                remove_any(folder)?;
            }
        }
        let saved = folders
            .iter()
            .flat_map(fs::read_dir)
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|end| end == "safetensors"));
        let others = [self.status_file(), self.death_file()];
        for file in self.fixed_files().into_iter().chain(others).chain(saved) {
            if !file.is_symlink() && file.is_dir() {
                remove_any(&file)?;
            }
        }
        Ok(())
    }

    /// The configuration in `config.yaml`. It is as written, which does not mean that it is valid. `record` is
    /// that of the run, if it has ended.
    ///
    /// # Errors
    /// If the file cannot be read, is not the one that `record` lists, or is no configuration.
    pub fn spec(&self, record: Option<&RunRecord>) -> Result<RunSpec, RecordError> {
        let path = self.config();
        let Some(yaml) = self.read_checked(&path, record)? else {
            return Err(RecordError::damaged(path)("it is missing"));
        };
        serde_yaml::from_slice(&yaml).map_err(RecordError::damaged(path))
    }

    pub fn config(&self) -> PathBuf {
        self.0.join("config.yaml")
    }

    pub(super) fn status_file(&self) -> PathBuf {
        self.0.join("status.json")
    }

    /// Whether the run has a record, which may be damaged.
    pub fn has_status(&self) -> bool {
        !is_absent(&self.status_file())
    }

    pub fn samples(&self) -> PathBuf {
        self.0.join("samples.json")
    }

    /// The texts of [`Self::samples`] for people.
    pub fn samples_markdown(&self) -> PathBuf {
        self.0.join("samples.md")
    }

    pub fn tokenizer(&self) -> PathBuf {
        self.0.join("tokenizer.json")
    }

    pub fn weights(&self) -> PathBuf {
        self.0.join("model.safetensors")
    }

    /// The weights that `train.save_every` keeps of a step.
    pub fn weights_at(&self, step: u64) -> PathBuf {
        self.0
            .join(WEIGHTS_FOLDER)
            .join(format!("step-{step:07}.safetensors"))
    }

    /// The steps whose weights were saved, in increasing order.
    pub fn saved_steps(&self) -> io::Result<Vec<u64>> {
        let mut steps = Vec::new();
        for name in names_in(&self.0.join(WEIGHTS_FOLDER))? {
            let step = name.to_str().and_then(|name| name.strip_prefix("step-"));
            let step = step.and_then(|name| name.strip_suffix(".safetensors"));
            steps.extend(step.and_then(|step| step.parse::<u64>().ok()));
        }
        steps.sort_unstable();
        Ok(steps)
    }

    /// Removes the weights of steps after `step`. A run that continues from there may not take them again.
    pub fn remove_weights_after(&self, step: u64) -> io::Result<()> {
        let mut later = self
            .saved_steps()?
            .into_iter()
            .filter(|&saved| saved > step);
        later.try_for_each(|saved| remove_if_exists(&self.weights_at(saved)))
    }

    pub fn checkpoint(&self) -> PathBuf {
        self.0.join("checkpoint")
    }

    /// The weights of an evaluation that was the best one so far, if the run keeps them.
    pub fn best_weights(&self, step: u64) -> PathBuf {
        self.checkpoint()
            .join(format!("{BEST_PREFIX}{step:07}.safetensors"))
    }

    /// All files of [`Self::best_weights`]. Empty if there is no checkpoint folder.
    pub fn all_best_weights(&self) -> io::Result<Vec<PathBuf>> {
        let folder = self.checkpoint();
        let mut names = names_in(&folder)?;
        names.retain(|name| name.as_encoded_bytes().starts_with(BEST_PREFIX.as_bytes()));
        Ok(names.iter().map(|name| folder.join(name)).collect())
    }

    /// Whether a run that has not ended can be continued.
    pub fn has_checkpoint(&self) -> bool {
        // A folder that cannot be read is an error when the run starts.
        let names = names_in(&self.checkpoint()).unwrap_or_default();
        let is_checkpoint = |name: &OsString| {
            name.as_encoded_bytes()
                .starts_with(CHECKPOINT_PREFIX.as_bytes())
        };
        names.iter().any(is_checkpoint)
    }

    pub fn metrics_file(&self) -> PathBuf {
        self.0.join("metrics.jsonl")
    }

    /// All complete lines of `metrics.jsonl`. Empty if there is no such file. `record` is that of the run, if
    /// it has ended.
    ///
    /// # Errors
    /// If the file cannot be read, is not the one that `record` lists, or has a damaged line.
    pub fn metrics(&self, record: Option<&RunRecord>) -> Result<Vec<Metric>, RecordError> {
        let path = self.metrics_file();
        let text = self.read_checked(&path, record)?.unwrap_or_default();
        let metrics = metric_lines::read(&text);
        metrics
            .collect::<Result<_, _>>()
            .map_err(RecordError::damaged(path))
    }

    /// The lines of `metrics.jsonl` before the first one that is damaged.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn readable_metrics(&self) -> Result<Vec<Metric>, RecordError> {
        let text = self.read_checked(&self.metrics_file(), None)?;
        let text = text.unwrap_or_default();
        Ok(metric_lines::read(&text).map_while(Result::ok).collect())
    }

    /// The evaluations of `metrics.jsonl`. See [`Self::metrics`].
    pub fn evaluations(&self, record: Option<&RunRecord>) -> Result<Vec<Evaluation>, RecordError> {
        let metrics = self.metrics(record)?;
        let evaluations = metrics.iter().filter_map(Metric::evaluation);
        Ok(evaluations.cloned().collect())
    }

    /// Makes the metrics and samples durable, because a checkpoint depends on them.
    pub fn sync_records(&self) -> io::Result<()> {
        let files = [self.metrics_file(), self.samples()];
        for file in files.iter().filter(|file| !is_absent(file)) {
            regular_file::open(file)?.sync_all()?;
        }
        sync_folder(&self.0)
    }

    /// Replaces `metrics.jsonl` by these lines, and opens it for appending.
    pub fn create_metrics(&self, metrics: &[Metric]) -> io::Result<MetricsWriter> {
        let path = self.metrics_file();
        let mut lines = MetricLines::default();
        let text = lines.next(metrics)?;
        match metrics {
            [] => replace_file(&path, &text)?,
            // A checkpoint depends on them.
            _ => write_atomic(&path, &text)?,
        }
        let file = OpenOptions::new().append(true).open(path)?;
        Ok(MetricsWriter { file, lines })
    }

    /// The record of a run that has ended, without a look at its other files. `None` if it has not ended.
    ///
    /// # Errors
    /// If `status.json` cannot be read or is damaged.
    pub fn record(&self) -> Result<Option<RunRecord>, RecordError> {
        self.check_folder()?;
        let path = self.status_file();
        let Some(json) = read_if_exists(&path)? else {
            return Ok(None);
        };
        let sealed = from_sealed_json::<StatusFile>(&json).map_err(RecordError::damaged(&path))?;
        let file = sealed.value;
        Ok(Some(RunRecord {
            status: RunStatus {
                state: file.state,
                reason: file.reason,
                outcome: file.outcome,
                environment: file.environment,
                earlier_environments: file.earlier_environments,
            },
            identity: file.identity,
            files: file.files,
            is_verified: sealed.is_verified,
        }))
    }

    /// Checks that nothing else is in the place of the folder. It may be absent.
    ///
    /// # Errors
    /// What is in its place, or in that of the folder of all runs.
    fn check_folder(&self) -> Result<(), RecordError> {
        if is_folder(&self.0).map_err(RecordError::read(&self.0))? {
            return Ok(());
        }
        match fs::symlink_metadata(&self.0) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(source) => Err(RecordError::Read {
                path: self.0.clone(),
                source: regular_file::not_a_folder(&self.0).unwrap_or(source),
            }),
            Ok(_) => Err(RecordError::damaged(&self.0)("it is not a folder")),
        }
    }

    /// The record of a planned run. `None` if it has not ended.
    ///
    /// # Errors
    /// If it is the record of another run, or if a file of the run is damaged or cannot be read.
    pub fn checked_record(
        &self,
        run: &PlannedRun,
        thoroughness: Thoroughness,
    ) -> Result<Option<RunRecord>, RecordError> {
        let Some(record) = self.record()? else {
            return Ok(None);
        };
        self.check(&record, thoroughness)?;
        let is_of_another = match &record.identity {
            Some(identity) => *identity != run.identity,
            // A record of an earlier version. The configuration beside it decides, if it can be read.
            None => {
                let spec = self.spec(Some(&record));
                spec.is_ok_and(|spec| spec.identity("") != run.spec.identity(""))
            }
        };
        if is_of_another {
            return Err(RecordError::damaged(self.status_file())(
                "it is the record of another run",
            ));
        }
        Ok(Some(record))
    }

    /// Ends the run with this [`PlannedRun::identity`]: syncs its files and writes `status.json` with their digests.
    pub fn write_record(&self, status: &RunStatus, identity: &str) -> io::Result<()> {
        let names = self.recorded_files()?;
        let digests = names.into_iter().map(|name| {
            let path = self.path().join(&name);
            regular_file::open(&path)?.sync_all()?;
            Ok((name, FileDigest::of_file(&path)?))
        });
        let file = StatusFile {
            state: status.state,
            reason: status.reason.clone(),
            outcome: status.outcome.clone(),
            identity: Some(identity.to_owned()),
            environment: status.environment.clone(),
            earlier_environments: status.earlier_environments.clone(),
            files: digests.collect::<io::Result<_>>()?,
        };
        sync_folder(self.path())?;
        write_sealed_json(&self.status_file(), &file)
    }

    /// The files that a record covers, by their paths in the folder. Checkpoints verify themselves.
    fn recorded_files(&self) -> io::Result<Vec<String>> {
        let saved = self.saved_steps()?.into_iter();
        let saved = saved.map(|step| self.weights_at(step));
        let existing = self
            .fixed_files()
            .into_iter()
            .chain(saved)
            .filter(|path| !is_absent(path));
        Ok(existing.map(|path| self.name_of(&path)).collect())
    }

    fn fixed_files(&self) -> [PathBuf; 6] {
        [
            self.config(),
            self.tokenizer(),
            self.metrics_file(),
            self.samples(),
            self.samples_markdown(),
            self.weights(),
        ]
    }

    fn name_of(&self, path: &Path) -> String {
        let inside = path.strip_prefix(self.path()).unwrap_or(path);
        inside.to_string_lossy().into_owned()
    }

    /// Compares files with the record. Runs of earlier versions have no digests; of them, only the agreement
    /// of the outcome with the metrics is checked.
    ///
    /// # Errors
    /// The first file that is damaged, missing or unreadable.
    pub fn check(&self, record: &RunRecord, thoroughness: Thoroughness) -> Result<(), RecordError> {
        let large = [self.weights(), self.tokenizer()].map(|path| self.name_of(&path));
        for (name, expected) in &record.files {
            let is_reported = !large.contains(name) && !name.contains('/');
            if !is_inside(name) {
                let why = format!("it lists {name:?}, which is not a file of the run");
                return Err(RecordError::damaged(self.status_file())(why));
            }
            let path = self.path().join(name);
            // Weights may be deleted to save space.
            let is_deleted = name.ends_with(".safetensors") && !is_present(&path);
            if is_reported || (thoroughness == Thoroughness::Everything && !is_deleted) {
                check_file(&path, expected)?;
            }
        }
        if record.is_verified {
            return Ok(());
        }
        let agrees = record.status.agrees_with(&self.metrics(None)?);
        agrees.map_err(RecordError::damaged(self.status_file()))
    }

    /// Compares a file with the record, if it lists the file.
    ///
    /// # Errors
    /// If it is damaged, missing or unreadable.
    pub fn check_file(&self, path: &Path, record: &RunRecord) -> Result<(), RecordError> {
        let expected = record.files.get(&self.name_of(path));
        expected.map_or(Ok(()), |expected| check_file(path, expected))
    }

    /// Reads a file and compares it with the record, if there is one. `None` if the file does not exist and
    /// the record does not list it.
    pub(super) fn read_checked(
        &self,
        path: &Path,
        record: Option<&RunRecord>,
    ) -> Result<Option<Vec<u8>>, RecordError> {
        let contents = read_if_exists(path)?;
        let Some(record) = record.filter(|record| !record.files.is_empty()) else {
            return Ok(contents);
        };
        match (record.files.get(&self.name_of(path)), &contents) {
            (Some(expected), found) => {
                let found = found.as_deref().map(FileDigest::of_bytes);
                expect_digest(path, expected, found.as_ref())?;
            }
            (None, Some(_)) => {
                return Err(RecordError::damaged(path)("status.json does not list it"));
            }
            (None, None) => {}
        }
        Ok(contents)
    }
}

/// Appends lines to `metrics.jsonl`.
#[derive(Debug)]
pub struct MetricsWriter {
    file: File,
    lines: MetricLines,
}

impl MetricsWriter {
    pub fn write(&mut self, metrics: &[Metric]) -> io::Result<()> {
        self.file.write_all(&self.lines.next(metrics)?)
    }
}

/// The names of what is in a folder. Empty if there is no such folder.
fn names_in(folder: &Path) -> io::Result<Vec<OsString>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| Ok(entry?.file_name())).collect(),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
