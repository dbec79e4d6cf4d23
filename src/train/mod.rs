//! Training one run, from its first step or from its last checkpoint to its record.

mod checkpoints;
mod divergence;
mod ema;
mod estimate;
mod evaluation;
mod lr_schedule;
mod ngram_run;
pub mod optim;
mod optimizer_state;
mod parallel;
mod sampling;
mod step_batch;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod train_error;
mod train_loop;
mod trainer;

pub use estimate::{Estimate, estimate};
pub use train_error::TrainError;
pub use trainer::{TrainBackend, Trainer};

use crate::data::Corpus;
use crate::kernels::CpuBackend;
use crate::results::{RunDir, RunStatus};
use crate::spec::{ModelKind, RunSpec};
use serde::{Deserialize, Serialize};
use std::sync::atomic::AtomicBool;

/// Where a run is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    Cpu,
    /// The NVIDIA GPU of this number.
    Cuda(usize),
}

/// A run to be trained.
#[derive(Debug)]
pub struct Job<'a> {
    pub spec: &'a RunSpec,
    pub corpus: &'a Corpus,
    /// Where the record is written; holds the checkpoint of a run that was interrupted.
    pub dir: &'a RunDir,
    pub device: Device,
    /// Threads on the CPU. The result does not depend on it.
    pub threads: usize,
    /// Set by somebody else to have the run save a checkpoint and return.
    pub stop: &'a AtomicBool,
}

/// How far a run has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    pub step: u64,
    pub steps: u64,
    /// Of the last step, in nats a token.
    pub loss: Option<f64>,
    /// Of the last evaluation, in nats a token.
    pub val_loss: Option<f64>,
    pub tokens_per_second: f64,
    pub phase: Phase,
}

/// What a run is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    Training,
    Evaluating,
    Sampling,
}

/// Trains a run to its end, or to where it is told to stop, and says how it ended. Writes
/// everything of the record but `status.json`.
///
/// # Errors
/// If the record cannot be written, the checkpoint is damaged or of another run, or the device
/// fails. A run that diverges is no error but a status.
pub fn run(job: Job, progress: &mut dyn FnMut(Progress)) -> Result<RunStatus, TrainError> {
    if job.spec.model.kind == ModelKind::Ngram {
        return ngram_run::run(&job, progress);
    }
    let threads = rayon::ThreadPoolBuilder::new()
        .num_threads(job.threads)
        .build()
        .map_err(|error| TrainError::Device(error.to_string()))?;
    match job.device {
        Device::Cpu => {
            let device = dfdx::prelude::Cpu::default();
            // The closure runs on a thread of the pool, where `progress` cannot follow.
            let (sender, receiver) = std::sync::mpsc::channel();
            std::thread::scope(|scope| {
                let run = scope.spawn(|| {
                    let mut send = move |update| drop(sender.send(update));
                    threads
                        .install(|| train_loop::run::<CpuBackend>(&job, device, "cpu", &mut send))
                });
                receiver.into_iter().for_each(progress);
                run.join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
        }
        #[cfg(feature = "cuda")]
        Device::Cuda(ordinal) => {
            let device = dfdx::prelude::Cuda::try_build(ordinal, 0)
                .map_err(|error| TrainError::Device(format!("{error:?}")))?;
            let name = format!("cuda:{ordinal}");
            train_loop::run::<crate::kernels::ReferenceBackend<dfdx::prelude::Cuda>>(
                &job, device, &name, progress,
            )
        }
        #[cfg(not(feature = "cuda"))]
        Device::Cuda(_) => Err(TrainError::Device(
            "this runner was built without CUDA; build it with --features cuda".to_owned(),
        )),
    }
}
