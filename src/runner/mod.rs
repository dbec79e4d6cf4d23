//! From a plan to records: child processes, progress, interruption and the results folder.
//!
//! The parent decides what is to be done, starts a child process a run, and writes how it ended; a
//! child trains one run and nothing else. Either may be killed at any moment: what a run has written
//! is complete or absent, and the same command goes on from there.

mod child;
mod device;
mod error;
mod forecast;
mod interrupt;
mod lock;
mod machine;
mod patience;
mod plan;
mod pool;
mod progress;
mod protocol;
mod schedule;
mod store;
mod worker;

pub use child::WORKER_ENVIRONMENT;
pub use device::DeviceChoice;
pub use error::Error;
pub use forecast::makespan;
pub use machine::Machine;
pub use plan::build as build_plan;
pub use pool::{Ended, execute};
pub use progress::ending;
pub use schedule::{Jobs, Slots, order, slots};
pub use store::{Standing, Store};
pub use worker::work;
