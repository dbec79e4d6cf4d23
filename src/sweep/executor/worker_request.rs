use super::run_end::{MachineFailure, Resource, RunEnd};
use crate::config::check_run;
use crate::data;
use crate::results::{RunDir, RunState, RunStatus};
use crate::text::one_line;
use crate::train::{self, Device, Job, ShorterRun, TrainError, Update};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

/// Everything that a worker needs to train a run, besides the configuration, which it reads from
/// `config.yaml` in the run's folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerRequest {
    /// The run's folder.
    pub run_dir: PathBuf,
    /// Folder of the encoded corpora.
    pub cache: PathBuf,
    /// Key of the corpus to train on, in `cache`.
    pub corpus: String,
    /// Ordinal of the GPU. `None` means the CPU.
    pub gpu: Option<usize>,
    /// Threads on the CPU.
    pub threads: usize,
    /// Folder of a finished run that takes fewer steps. The run continues it, if it has not begun.
    pub extends: Option<PathBuf>,
}

impl WorkerRequest {
    /// Trains the run until it ends or `stop` is set.
    pub fn train(&self, stop: &AtomicBool, on_update: &mut dyn FnMut(Update)) -> RunEnd {
        let status = match self.try_train(stop, on_update) {
            Ok(status) if status.state == RunState::Stopped => return RunEnd::Stopped,
            Ok(status) => status,
            // The run itself may be too large for the machine.
            Err(Failure::Machine(failure)) if failure.resource == Resource::Memory => {
                return RunEnd::Died(failure);
            }
            Err(Failure::Machine(failure)) => return RunEnd::MachineFailed(failure),
            Err(Failure::Run(reason)) => RunStatus {
                environment: Some(train::environment()),
                ..RunStatus::failed(one_line(&reason))
            },
        };
        RunEnd::Recorded(Box::new(status))
    }

    fn try_train(
        &self,
        stop: &AtomicBool,
        on_update: &mut dyn FnMut(Update),
    ) -> Result<RunStatus, Failure> {
        let dir = RunDir::new(&self.run_dir);
        let spec = dir.spec(None).map_err(TrainError::Record)?;
        check_run(&spec).map_err(Failure::Run)?;
        let corpus = data::open(&self.cache, &self.corpus);
        let corpus = corpus.map_err(|error| Failure::Machine(MachineFailure::of_cache(&error)))?;
        let job = Job {
            spec: &spec,
            corpus: &corpus,
            dir: &dir,
            device: self.gpu.map_or(Device::Cpu, Device::Cuda),
            threads: self.threads,
            extends: self.extends.as_deref().map(shorter_run).transpose()?,
            stop,
        };
        Ok(train::run(job, on_update)?)
    }
}

fn shorter_run(folder: &Path) -> Result<ShorterRun, TrainError> {
    let dir = RunDir::new(folder);
    let record = dir.record().map_err(TrainError::Record)?;
    let spec = dir.spec(record.as_ref()).map_err(TrainError::Record)?;
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    Ok(ShorterRun {
        name: name.into_owned(),
        spec,
        dir,
    })
}

/// Why a run was not trained to its end.
enum Failure {
    Machine(MachineFailure),
    /// The reason.
    Run(String),
}

impl From<TrainError> for Failure {
    fn from(error: TrainError) -> Self {
        match MachineFailure::of_training(&error) {
            Some(failure) => Self::Machine(failure),
            None => Self::Run(error.to_string()),
        }
    }
}
