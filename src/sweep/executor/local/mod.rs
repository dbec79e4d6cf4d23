//! Runs as child processes on this machine.

mod oom_kills;
mod protocol;
mod worker;
mod worker_process;

pub use worker::run_worker;
pub use worker_process::WORKER_ENVIRONMENT;

use super::{Event, Executor, RunEnd, WorkerRequest};
use oom_kills::oom_kills;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;
use worker_process::{Output, WorkerProcess};

/// Trains each run in a child process of its own. Dropping it closes the standard input of the
/// workers, which ends them.
#[derive(Debug)]
pub(super) struct LocalExecutor {
    /// Path of this program, which is started again as a worker.
    program: PathBuf,
    workers: HashMap<usize, WorkerProcess>,
    sender: Sender<(usize, Output)>,
    outputs: Receiver<(usize, Output)>,
    /// Whether the workers were asked to end.
    stopping: bool,
    /// The count of [`oom_kills`] so far.
    oom_kills: Option<u64>,
}

impl LocalExecutor {
    /// # Errors
    /// If the path of this program cannot be found.
    pub(super) fn new() -> io::Result<Self> {
        let (sender, outputs) = mpsc::channel();
        Ok(Self {
            program: current_program()?,
            workers: HashMap::new(),
            sender,
            outputs,
            stopping: false,
            oom_kills: oom_kills(),
        })
    }

    fn event(&mut self, run: usize, output: Output) -> Option<Event> {
        match output {
            Output::Update(update) => Some(Event::Update { run, update }),
            Output::Closed(reported) => {
                let worker = self.workers.remove(&run)?;
                // A worker that was killed after a request to end has not failed.
                let killed = reported.is_none() && self.stopping;
                let mut end = worker.wait(reported);
                if killed {
                    end = RunEnd::Stopped;
                }
                if let RunEnd::Died(failure) = &mut end {
                    failure.reason += &self.new_oom_kills();
                }
                Some(Event::Ended { run, end })
            }
        }
    }

    /// Says how many processes the system has killed for lack of memory since the last call.
    fn new_oom_kills(&mut self) -> String {
        let now = oom_kills();
        let new = now
            .zip(self.oom_kills)
            .map(|(now, before)| now.saturating_sub(before));
        self.oom_kills = now;
        match new {
            Some(count @ 1..) => format!(
                "; the system killed {count} {} of this control group for lack of memory",
                if count == 1 { "process" } else { "processes" }
            ),
            _ => String::new(),
        }
    }
}

impl Executor for LocalExecutor {
    fn start(&mut self, run: usize, request: WorkerRequest) -> io::Result<()> {
        let sender = self.sender.clone();
        let worker = WorkerProcess::start(&self.program, &request, move |output| {
            // It fails when the executor is gone, and nobody needs the output then.
            let _ = sender.send((run, output));
        })?;
        self.workers.insert(run, worker);
        Ok(())
    }

    fn poll(&mut self, timeout: Duration) -> Option<Event> {
        match self.outputs.recv_timeout(timeout) {
            Ok((run, output)) => self.event(run, output),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                unreachable!("the executor itself holds a sender")
            }
        }
    }

    fn stop(&mut self) {
        self.stopping = true;
        self.workers.values_mut().for_each(WorkerProcess::stop);
    }

    fn kill(&mut self) {
        self.stopping = true;
        self.workers.values_mut().for_each(WorkerProcess::kill);
    }
}

/// Path of this program. On Linux it stays valid when the file is replaced during a sweep, so that the
/// same code trains all runs of the sweep.
fn current_program() -> io::Result<PathBuf> {
    let running = Path::new("/proc/self/exe");
    if cfg!(target_os = "linux") && running.exists() {
        return Ok(running.to_owned());
    }
    std::env::current_exe()
}
