//! Trains one run, from its first step or from its checkpoint, and writes its results.
//!
//! `train_loop` has the order of events in a run, and `trainer` what happens in a step. The rest are
//! their parts.

mod best_weights;
mod checkpoints;
mod divergence;
mod ema;
mod estimate;
mod evaluation;
mod extension;
mod held_out;
mod job;
#[cfg(test)]
mod long_run_tests;
mod lr_schedule;
mod memory_estimate;
mod ngram_run;
pub mod optim;
mod optimizer_state;
mod parallel;
mod peak_memory;
mod sampling;
mod saved_weights;
mod step_batch;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod this_environment;
mod train_error;
mod train_loop;
mod trainer;

pub use checkpoints::{check_checkpoints, check_open_run, saved_share, saved_step, usable_step};
pub use estimate::{Estimate, estimate, reference_seconds};
#[cfg(test)]
use extension::why_not_extended;
pub use held_out::{held_out_loss, ngram_loss};
pub use job::{Device, Job, Phase, Progress, ShorterRun, Update};
pub use memory_estimate::MemoryEstimate;
pub use parallel::on_threads;
pub use peak_memory::peak_memory_mb;
pub use saved_weights::check_origin;
pub use this_environment::{environment, processor_name};
pub use train_error::TrainError;
pub use trainer::{TrainBackend, Trainer};

use crate::kernels::{Bf16Backend, CpuBackend, NanCheckBackend};
use crate::results::RunStatus;
use crate::spec::{ModelKind, Precision};
use std::{panic, thread};

/// Trains a run until its last step or until `job.stop` is set, and returns its status. Writes all
/// files of the run except `status.json`.
///
/// # Errors
/// If a file cannot be read or written, the checkpoint is from another version, or the device fails. A damaged checkpoint is
/// no error: the run continues from the one before, or from its first step.
/// Divergence is not an error: the status says so.
pub fn run(job: Job, on_update: &mut dyn FnMut(Update)) -> Result<RunStatus, TrainError> {
    if job.spec.model.kind == ModelKind::Ngram {
        return ngram_run::run(&job, on_update);
    }
    let detect_anomaly = job.spec.train.detect_anomaly;
    match job.device {
        Device::Cpu => {
            let train = match (job.spec.train.precision, detect_anomaly) {
                (Precision::F32, false) => train_loop::run::<CpuBackend>,
                (Precision::F32, true) => train_loop::run::<NanCheckBackend<CpuBackend>>,
                (Precision::Bf16, false) => train_loop::run::<Bf16Backend>,
                (Precision::Bf16, true) => train_loop::run::<NanCheckBackend<Bf16Backend>>,
            };
            let device = dfdx::prelude::Cpu::default();
            // The run is computed on a thread of the pool. `on_update` stays on this thread,
            // because it is not `Send`.
            let (sender, receiver) = std::sync::mpsc::channel();
            std::thread::scope(|scope| {
                let run = thread::Builder::new().spawn_scoped(scope, || {
                    let mut send = move |update| drop(sender.send(update));
                    on_threads(job.threads, || train(&job, device, "cpu", &mut send))
                });
                let run = run.map_err(TrainError::Threads)?;
                receiver.into_iter().for_each(on_update);
                let run = run.join();
                let run = run.unwrap_or_else(|panic| panic::resume_unwind(panic));
                run.map_err(TrainError::Threads)?
            })
        }
        #[cfg(feature = "cuda")]
        Device::Cuda(ordinal) => {
            type Plain = crate::kernels::ReferenceBackend<dfdx::prelude::Cuda>;
            let train = match detect_anomaly {
                false => train_loop::run::<Plain>,
                true => train_loop::run::<NanCheckBackend<Plain>>,
            };
            let device = dfdx::prelude::Cuda::try_build(ordinal, 0)
                .map_err(|error| TrainError::Device(format!("{error:?}")))?;
            let name = format!("cuda:{ordinal}");
            train(&job, device, &name, on_update)
        }
        #[cfg(not(feature = "cuda"))]
        Device::Cuda(_) => Err(TrainError::Device(
            "this build of runner has no CUDA support; build it with --features cuda".to_owned(),
        )),
    }
}
