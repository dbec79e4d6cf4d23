//! Checkpoints: safetensors files from which a run resumes. The newest and the one before it are kept, so that
//! damage to one of them costs only the steps in between.

use super::best_weights;
use super::train_error::TrainError;
use super::trainer::Trainer;
use crate::hash;
use crate::kernels::{Backend, Matrix};
use crate::model::{Matrices, MatricesError, read_text, write_matrices};
use crate::regular_file::{self, is_wrong_kind};
use crate::results::{
    Environment, Evaluation, Metric, RecordError, RunDir, SampleText, create_folder, sync_folder,
};
use crate::spec::{RunSpec, TrainingLength};
use dfdx::prelude::HasShape;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::str::FromStr;

/// Names of the files, newest first. A file is written under the first name, and then takes the place of the
/// second one, whose file takes the place of the third. A run that is killed in between has the first.
const FILES: [&str; 3] = [
    "state-next.safetensors",
    "state.safetensors",
    "state-previous.safetensors",
];
/// Versions of the layout of the file, the current one first. The one before had no digests.
const FORMATS: [&str; 2] = ["runner-checkpoint-3", "runner-checkpoint-2"];

/// Key of the environments in the metadata.
const ENVIRONMENTS: &str = "environments";

/// Totals of a run over all its interruptions.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct RunTotals {
    /// Time in optimizer steps.
    pub(super) training_seconds: f64,
    /// Time in training, evaluation and sampling.
    pub(super) seconds: f64,
    pub(super) peak_memory_mb: f64,
}

/// What a run has recorded so far.
#[derive(Debug, Default)]
pub(super) struct Records {
    pub(super) metrics: Vec<Metric>,
    pub(super) samples: Vec<SampleText>,
    /// Where the run was trained, without repetitions.
    pub(super) environments: Vec<Environment>,
}

impl Records {
    /// The first of the evaluations with the lowest validation loss.
    pub(super) fn best_evaluation(&self) -> Option<&Evaluation> {
        let evaluations = self.metrics.iter().filter_map(Metric::evaluation);
        evaluations.min_by(|a, b| a.val_loss.total_cmp(&b.val_loss))
    }

    /// How much was recorded, and the SHA-256 of what is written of it, as metadata of a checkpoint.
    fn metadata(&self) -> io::Result<[(&'static str, String); 5]> {
        let metrics = hash::sha256_of_written(|out| Metric::write_lines(&self.metrics, out))?;
        let samples = hash::sha256(&SampleText::json(&self.samples)?);
        Ok([
            ("metrics", self.metrics.len().to_string()),
            ("metrics_sha256", metrics),
            ("samples", self.samples.len().to_string()),
            ("samples_sha256", samples),
            (ENVIRONMENTS, serde_json::to_string(&self.environments)?),
        ])
    }

    /// Reads what was recorded when the checkpoint was written. What was recorded later is written again.
    fn read(dir: &RunDir, matrices: &Matrices) -> Result<Self, Refusal> {
        if !matrices.has_digests() {
            return Self::read_until(dir, number(matrices, "step")?);
        }
        let mut records = Self {
            metrics: dir.readable_metrics()?,
            samples: dir.read_samples(None)?,
            environments: environments(matrices),
        };
        records.metrics.truncate(number(matrices, "metrics")?);
        records.samples.truncate(number(matrices, "samples")?);
        let found = records.metadata();
        let found = found.map_err(|error| Refusal::Damaged(error.to_string()))?;
        let mut recorded = found.iter().filter(|(key, _)| *key != ENVIRONMENTS);
        match recorded.find(|(key, value)| matrices.text(key) != value) {
            None => Ok(records),
            Some((key, _)) => Err(Refusal::Damaged(format!(
                "the {} that were recorded before it are damaged",
                key.trim_end_matches("_sha256")
            ))),
        }
    }

    /// Reads the records of the steps until `step`, for a checkpoint of an earlier version.
    fn read_until(dir: &RunDir, step: u64) -> Result<Self, Refusal> {
        let mut metrics = dir.metrics(None)?;
        metrics.retain(|metric| metric.step() <= step);
        let mut samples = dir.read_samples(None)?;
        samples.retain(|sample| sample.step <= step);
        Ok(Self {
            metrics,
            samples,
            environments: Vec::new(),
        })
    }
}

/// The environments in the metadata of a checkpoint. Those of earlier versions have none.
fn environments(matrices: &Matrices) -> Vec<Environment> {
    serde_json::from_str(matrices.text(ENVIRONMENTS)).unwrap_or_default()
}

/// A number in the metadata of a checkpoint.
fn number<T: FromStr>(matrices: &Matrices, key: &str) -> Result<T, Refusal> {
    let number = matrices.text(key).parse();
    number.map_err(|_| Refusal::Damaged(format!("its metadata has no number '{key}'")))
}

/// Writes everything that the next step depends on. The random streams are functions of the seed
/// and the step, so they have no state besides the step. The records must be in their files.
pub(super) fn save_checkpoint<B: Backend>(
    trainer: &mut Trainer<B>,
    totals: RunTotals,
    records: &Records,
    identity: &str,
    dir: &RunDir,
) -> Result<(), TrainError> {
    let folder = dir.checkpoint();
    let failed = || TrainError::file(&folder);
    create_folder(&folder).map_err(failed())?;
    dir.sync_records().map_err(TrainError::file(dir.path()))?;
    let recorded = records.metadata().map_err(failed())?;
    let metadata = [
        ("format", FORMATS[0].to_owned()),
        ("identity", identity.to_owned()),
        ("step", trainer.step.to_string()),
        ("training_seconds", totals.training_seconds.to_string()),
        ("seconds", totals.seconds.to_string()),
        ("peak_memory_mb", totals.peak_memory_mb.to_string()),
    ];
    let metadata = metadata.into_iter().chain(recorded);
    let metadata = metadata.map(|(key, value)| (key.to_owned(), value));
    let [next, newest, previous] = FILES.map(|name| folder.join(name));
    let matrices = named_matrices(trainer).into_iter();
    let matrices = matrices.map(|(name, matrix)| (name, &*matrix));
    write_matrices(matrices, metadata.collect(), &next).map_err(TrainError::file(&next))?;
    match fs::rename(&newest, previous) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(TrainError::file(newest)(error));
        }
        _ => {}
    }
    fs::rename(next, &newest).map_err(TrainError::file(newest))?;
    sync_folder(&folder).map_err(failed())
}

/// What a run continues with.
#[derive(Debug, Default)]
pub(super) struct Resumed {
    pub(super) totals: RunTotals,
    pub(super) records: Records,
}

/// Restores a trainer from the newest checkpoint that is not damaged, and leaves it unchanged if there is none.
/// `on_notice` gets a sentence if the newest one is damaged. That of another run counts as damaged.
///
/// # Errors
/// If a checkpoint cannot be read, or is from another version.
pub(super) fn resume<B: Backend>(
    trainer: &mut Trainer<B>,
    identity: &str,
    dir: &RunDir,
    on_notice: &mut dyn FnMut(String),
) -> Result<Resumed, TrainError> {
    let mut damage = None;
    for name in FILES {
        let path = dir.checkpoint().join(name);
        let restored = match regular_file::read(&path) {
            Ok(bytes) => restore(trainer, identity, &bytes, dir),
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) if is_wrong_kind(&error) => Err(Refusal::Damaged(error.to_string())),
            Err(error) => return Err(TrainError::file(path)(error)),
        };
        match restored {
            Ok(resumed) => {
                if let Some(damage) = damage {
                    let step = trainer.step;
                    on_notice(format!("{damage}; it continues from step {step}"));
                }
                return Ok(resumed);
            }
            Err(Refusal::Damaged(why)) => {
                let text = || format!("cannot continue from {}: {why}", path.display());
                damage.get_or_insert_with(text);
            }
            Err(Refusal::Foreign(why)) => return Err(TrainError::Checkpoint { path, why }),
            Err(Refusal::Record(error)) => return Err(TrainError::Record(error)),
            Err(Refusal::Memory(why)) => return Err(TrainError::Device(why)),
        }
    }
    if let Some(damage) = damage {
        on_notice(format!("{damage}; it starts from the beginning"));
    }
    Ok(Resumed::default())
}

/// Why a run does not continue from a checkpoint.
enum Refusal {
    /// The checkpoint, or a file that belongs to it, is damaged or that of another run.
    Damaged(String),
    /// It is from another version.
    Foreign(String),
    /// A file that belongs to it cannot be read.
    Record(RecordError),
    /// There is no memory for its matrices.
    Memory(String),
}

impl From<RecordError> for Refusal {
    fn from(error: RecordError) -> Self {
        match error.is_damage() {
            true => Self::Damaged(error.to_string()),
            false => Self::Record(error),
        }
    }
}

/// The step of the newest checkpoint in `folder`, without reading its matrices. `None` if there is no
/// checkpoint that can be read.
pub fn saved_step(folder: &Path) -> Option<u64> {
    let mut paths = FILES.iter().map(|name| folder.join(name));
    paths.find_map(|path| read_text(&path, "step")?.parse().ok())
}

/// The part of a run that the newest checkpoint in `folder` holds, from 0 to 1, as a share of its steps or, if its
/// length is a time, of its seconds.
pub fn saved_share(folder: &Path, spec: &RunSpec) -> f64 {
    let (key, whole) = match spec.train.length() {
        TrainingLength::Seconds(seconds) => ("training_seconds", seconds),
        _ => ("step", spec.train.steps as f64),
    };
    let mut paths = FILES.iter().map(|name| folder.join(name));
    let trained = paths.find_map(|path| read_text(&path, key)?.parse::<f64>().ok());
    (trained.unwrap_or(0.0) / whole).clamp(0.0, 1.0)
}

/// The step from which a run with this identity continues, as far as its files tell without a trainer. They are read as
/// a whole. `None` if no checkpoint can be used.
pub fn usable_step(dir: &RunDir, identity: &str) -> Option<u64> {
    FILES.iter().find_map(|name| {
        let bytes = regular_file::read(&dir.checkpoint().join(name)).ok()?;
        let matrices = Matrices::read(&bytes, &FORMATS).ok()?;
        let is_own = matrices.text("identity") == identity;
        Records::read(dir, &matrices).ok().filter(|_| is_own)?;
        number(&matrices, "step").ok()
    })
}

/// Checks the files of a run that has not ended: its checkpoints and what they depend on. Best weights that are absent
/// are noticed when the run continues.
///
/// # Errors
/// The first file that is damaged or cannot be read.
pub fn check_open_run(dir: &RunDir) -> Result<(), RecordError> {
    dir.metrics(None)?;
    dir.read_samples(None)?;
    best_weights::check_all(dir)?;
    each_checkpoint(dir, |path, bytes| {
        let matrices = Matrices::read(bytes, &FORMATS);
        let matrices = matrices.map_err(RecordError::damaged(path))?;
        let records = Records::read(dir, &matrices);
        records.map(drop).map_err(|refusal| match refusal {
            Refusal::Record(error) => error,
            Refusal::Damaged(why) | Refusal::Foreign(why) | Refusal::Memory(why) => {
                RecordError::damaged(path)(why)
            }
        })
    })
}

/// Compares the checkpoints of a run, and the weights that belong to them, with their own digests. Those of other
/// versions are not checked.
///
/// # Errors
/// The first one that is damaged or cannot be read.
pub fn check_checkpoints(dir: &RunDir) -> Result<(), RecordError> {
    best_weights::check_all(dir)?;
    each_checkpoint(dir, |path, bytes| {
        Matrices::check(bytes, &FORMATS).map_err(RecordError::damaged(path))
    })
}

/// Calls a function with the path and the contents of each checkpoint of a run, the newest one first.
fn each_checkpoint(
    dir: &RunDir,
    check: impl Fn(&Path, &[u8]) -> Result<(), RecordError>,
) -> Result<(), RecordError> {
    for name in FILES {
        let path = dir.checkpoint().join(name);
        match regular_file::read(&path) {
            Ok(bytes) => check(&path, &bytes)?,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(RecordError::read(path)(error)),
        }
    }
    Ok(())
}

/// Checks everything before it changes the trainer.
fn restore<B: Backend>(
    trainer: &mut Trainer<B>,
    identity: &str,
    bytes: &[u8],
    dir: &RunDir,
) -> Result<Resumed, Refusal> {
    let matrices = Matrices::read(bytes, &FORMATS).map_err(|error| match error {
        MatricesError::Damaged(why) => Refusal::Damaged(why),
        MatricesError::Format { .. } => Refusal::Foreign(error.to_string()),
    })?;
    let text = |key: &str| matrices.text(key);
    if text("identity") != identity {
        // The folder of a run is named after its identity, so the file was moved here.
        return Err(Refusal::Damaged("it is of another run".to_owned()));
    }
    let totals = RunTotals {
        training_seconds: number(&matrices, "training_seconds")?,
        seconds: number(&matrices, "seconds")?,
        peak_memory_mb: number(&matrices, "peak_memory_mb")?,
    };
    let step = number(&matrices, "step")?;
    let records = Records::read(dir, &matrices)?;
    if trainer.keeps_best()
        && let Some(best) = records.best_evaluation()
    {
        best_weights::check(trainer.model.clone(), best, dir)?;
    }
    let mut destinations = named_matrices(trainer);
    for (name, value) in &destinations {
        let fits = matrices.check_shape(name, *value.shape());
        fits.map_err(Refusal::Foreign)?;
    }
    for (name, value) in &mut destinations {
        matrices.fill(name, value).map_err(Refusal::Memory)?;
    }
    trainer.step = step;
    Ok(Resumed { totals, records })
}

/// All matrices of a trainer, with their names in a checkpoint.
fn named_matrices<B: Backend>(trainer: &mut Trainer<B>) -> Vec<(String, &mut Matrix<B::Device>)> {
    let mut all = Vec::new();
    if let Some(ema) = &mut trainer.ema {
        let parameters = trainer.model.parameters().into_iter();
        let names = parameters.map(|parameter| format!("ema.{}", parameter.name));
        all.extend(names.zip(ema.averages_mut()));
    }
    let states = trainer.optimizer.states_mut();
    for (parameter, state) in trainer.model.parameters_mut().into_iter().zip(states) {
        for (state_name, matrix) in state {
            all.push((format!("{state_name}.{}", parameter.name), matrix));
        }
        all.push((parameter.name.clone(), &mut parameter.value));
    }
    all
}
