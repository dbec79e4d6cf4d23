//! From a plan to records: child processes, progress, interruption and the results folder.
//!
//! The parent decides what is to be done, starts a child process a run, and writes how it ended; a
//! child trains one run and nothing else. Either may be killed at any moment: what a run has written
//! is complete or absent, and the same command goes on from there.

mod child;
mod device;
mod eta;
mod interrupts;
mod job_slots;
mod lock;
mod machine;
mod planning;
mod pool;
mod progress;
mod protocol;
mod slow_notice;
mod store;
mod sweep_error;
mod worker;

pub use child::WORKER_ENVIRONMENT;
pub use device::DeviceChoice;
pub use eta::makespan;
pub use job_slots::{Jobs, Slots, order, slots};
pub use machine::Machine;
pub use planning::build as build_plan;
pub use pool::{Ended, execute};
pub use progress::ending;
pub use store::Store;
pub use sweep_error::Error;
pub use worker::work;
