//! Where the runs of a sweep are carried out: the [`Executor`] trait and its implementations.
//!
//! The scheduler decides which run is next and records how each one ended. An executor starts the
//! runs, says how they advance, and ends them early if the scheduler asks for it. An implementation is
//! one file or folder here, and its use in [`create_executor`].

mod local;
mod run_end;
mod worker_request;

pub use local::{WORKER_ENVIRONMENT, run_worker};
pub use run_end::{MachineFailure, Resource, RunEnd};
pub use worker_request::WorkerRequest;

use crate::train::Update;
use std::io;
use std::time::Duration;

/// Carries out runs. A run is identified by its index in the plan.
///
/// Dropping an executor must not leave a run behind that nobody watches, unless a later sweep can find
/// it again.
pub trait Executor {
    /// Starts a run and returns at once. The run's folder exists and holds `config.yaml`.
    ///
    /// # Errors
    /// If the run cannot be started. No event of this run follows.
    fn start(&mut self, run: usize, request: WorkerRequest) -> io::Result<()>;

    /// The next event of any run, or `None` if there is none within `timeout`.
    fn poll(&mut self, timeout: Duration) -> Option<Event>;

    /// Asks every active run to write a checkpoint and end. Each of them still sends
    /// [`Event::Ended`].
    fn stop(&mut self);

    /// Ends every active run without a checkpoint. Each of them still sends [`Event::Ended`].
    fn kill(&mut self);
}

/// The executor of a sweep.
///
/// # Errors
/// If the executor cannot be set up on this machine.
pub fn create_executor() -> io::Result<Box<dyn Executor>> {
    Ok(Box::new(local::LocalExecutor::new()?))
}

/// What an executor says about a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// What a run says. An executor may leave out how far it is.
    Update { run: usize, update: Update },
    /// The last event of a run.
    Ended { run: usize, end: RunEnd },
}
