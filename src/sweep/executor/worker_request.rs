use crate::config::check_run;
use crate::data;
use crate::results::{RunDir, RunStatus};
use crate::train::{self, Device, Job, Progress};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
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
}

impl WorkerRequest {
    /// Trains the run until it ends or `stop` is set. Every error becomes the reason of a failed run.
    pub fn train(&self, stop: &AtomicBool, on_progress: &mut dyn FnMut(Progress)) -> RunStatus {
        self.try_train(stop, on_progress)
            .unwrap_or_else(RunStatus::failed)
    }

    fn try_train(
        &self,
        stop: &AtomicBool,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<RunStatus, String> {
        let dir = RunDir::new(&self.run_dir);
        let spec = dir.spec().map_err(one_line)?;
        check_run(&spec)?;
        let corpus = data::open(&self.cache, &self.corpus).map_err(one_line)?;
        let job = Job {
            spec: &spec,
            corpus: &corpus,
            dir: &dir,
            device: self.gpu.map_or(Device::Cpu, Device::Cuda),
            threads: self.threads,
            stop,
        };
        train::run(job, on_progress).map_err(one_line)
    }
}

/// The message on one line, because a reason is one cell of a table.
fn one_line(error: impl ToString) -> String {
    let text = error.to_string();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
