//! From a plan to finished runs: the results folder, the scheduler, executors, progress and interrupts.
//!
//! The scheduler decides which run is next and writes how each run ended. An executor carries out the
//! runs, by default each in a child process. The sweep and its workers can be killed at any moment:
//! every file of a run is complete or absent, and the same command continues from there.

mod corpora;
mod device;
mod eta;
mod executor;
mod interrupts;
mod job_slots;
mod lock;
mod machine;
mod matching;
mod planning;
mod progress;
mod run_queue;
mod scheduler;
mod slow_notice;
mod store;
mod sweep_error;
mod trained;
mod verification;

pub use device::DeviceChoice;
pub use executor::{
    Event, Executor, MachineFailure, Resource, RunEnd, WORKER_ENVIRONMENT, WorkerRequest,
    create_executor, run_worker,
};
pub use job_slots::{Capacity, Jobs, Slots};
pub use machine::Machine;
pub use planning::build as build_plan;
pub use progress::{EventWriter, Observer, SweepEvent, SweepProgress, describe_end, display};
pub use run_queue::{OpenRun, RunQueue};
pub use scheduler::{SweepEnd, execute};
pub use store::Store;
pub use sweep_error::Error;
pub use trained::Trained;
pub use verification::{
    Retrained, RunCheck, choose_runs, first_difference, train_again, why_not_comparable,
};
