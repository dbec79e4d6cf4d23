use super::child::{self, Child, Event};
use super::eta::Forecast;
use super::progress::{self, Display, Overall};
use super::protocol::Assignment;
use super::{Error, Slots, Store, interrupts};
use crate::results::{RunState, RunStatus, SweepPlan};
use crate::train::{self, Device};
use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

/// How soon a Ctrl-C is noticed.
const TICK: Duration = Duration::from_millis(100);

/// How a sweep ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Every run has ended, well or not.
    Complete,
    /// Somebody asked it to end.
    Interrupted,
}

/// Trains the runs in `queue`, `slots.jobs` at a time, each in a child process, and records how each
/// of them ended. Returns when no child is left.
pub fn execute(
    plan: &SweepPlan,
    store: &Store,
    queue: Vec<usize>,
    slots: Slots,
    device: Device,
) -> Result<Ended, Error> {
    interrupts::listen()?;
    let program = child::program().map_err(Error::Program)?;
    let estimates = queue.iter().map(|&run| {
        let planned = &plan.runs[run];
        let corpus = &plan.corpora[planned.corpus];
        let estimate = train::estimate(&planned.spec, corpus);
        (run, estimate.seconds_on(slots.threads))
    });
    let forecast = Forecast::new(slots.jobs, estimates);
    let names = queue.iter().map(|&run| plan.runs[run].name.chars().count());
    let names = names.max().unwrap_or(0);
    let (sender, events) = mpsc::channel();
    let mut pool = Pool {
        plan,
        store,
        slots,
        device,
        program,
        runs: queue.len(),
        ended: 0,
        queue: queue.into(),
        children: HashMap::new(),
        sender,
        events,
        forecast,
        display: progress::display(names),
        requests: 0,
    };
    let result = pool.run();
    // On an error the children are dropped with the pool, which closes their input, which ends them.
    pool.display.close();
    result
}

struct Pool<'a> {
    plan: &'a SweepPlan,
    store: &'a Store,
    slots: Slots,
    device: Device,
    program: PathBuf,
    runs: usize,
    ended: usize,
    queue: VecDeque<usize>,
    children: HashMap<usize, Child>,
    sender: Sender<Event>,
    events: Receiver<Event>,
    forecast: Forecast,
    display: Box<dyn Display>,
    /// Requests to end that have been acted upon.
    requests: u32,
}

impl Pool<'_> {
    fn run(&mut self) -> Result<Ended, Error> {
        loop {
            self.heed_requests();
            while self.requests == 0 && self.children.len() < self.slots.jobs {
                let Some(run) = self.queue.pop_front() else {
                    break;
                };
                self.start(run)?;
            }
            if self.children.is_empty() {
                break;
            }
            match self.events.recv_timeout(TICK) {
                Ok(Event::Progress(run, progress)) => self.advanced(run, &progress),
                Ok(Event::Silent(run, said)) => self.finish(run, said)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    unreachable!("the pool holds a sender itself")
                }
            }
        }
        Ok(match self.requests {
            0 => Ended::Complete,
            _ => Ended::Interrupted,
        })
    }

    /// The first request to end asks every child for a checkpoint, the second kills them.
    fn heed_requests(&mut self) {
        let requests = interrupts::requests();
        if requests == self.requests {
            return;
        }
        if self.requests == 0 {
            self.display.notice(
                "stopping: every run writes a checkpoint first (once more to stop without)",
            );
            self.children.values_mut().for_each(Child::stop);
        }
        if requests > 1 {
            self.children.values_mut().for_each(Child::kill);
        }
        self.requests = requests;
    }

    fn start(&mut self, run: usize) -> Result<(), Error> {
        let planned = &self.plan.runs[run];
        let dir = self.store.run_dir(planned);
        let resumed = self.store.state(planned)? == RunState::Stopped;
        dir.create(&planned.spec)
            .map_err(Error::io("create", dir.path()))?;
        let assignment = Assignment {
            spec: planned.spec.clone(),
            dir: dir.path().to_owned(),
            cache: self.store.cache(),
            corpus: self.plan.corpora[planned.corpus].key.clone(),
            gpu: match self.device {
                Device::Cpu => None,
                Device::Cuda(ordinal) => Some(ordinal),
            },
            threads: self.slots.threads,
        };
        let steps = planned.spec.train.steps;
        self.display.started(run, &planned.name, steps, resumed);
        self.forecast.started(run);
        match Child::start(&self.program, &assignment, run, self.sender.clone()) {
            Ok(child) => {
                self.children.insert(run, child);
                Ok(())
            }
            Err(error) => {
                let reason = format!("cannot start a worker process: {error}");
                self.record(run, Some(child::failed(reason)))
            }
        }
    }

    fn advanced(&mut self, run: usize, progress: &train::Progress) {
        let now = Instant::now();
        let share = progress.step as f64 / progress.steps.max(1) as f64;
        self.forecast.advanced(run, share, now);
        let left = self.forecast.run_seconds(run, now);
        self.display.advanced(run, progress, left);
        self.show_overall();
    }

    fn finish(&mut self, run: usize, said: Option<RunStatus>) -> Result<(), Error> {
        let Some(child) = self.children.remove(&run) else {
            return Ok(());
        };
        // One that was killed on the second Ctrl-C has not failed either.
        let killed = said.is_none() && interrupts::requests() > 0;
        let status = child.end(said).filter(|_| !killed);
        self.record(run, status)
    }

    /// Writes how a run ended; `None` leaves it stopped.
    fn record(&mut self, run: usize, status: Option<RunStatus>) -> Result<(), Error> {
        let planned = &self.plan.runs[run];
        if let Some(status) = &status {
            let dir = self.store.run_dir(planned);
            dir.write_status(status)
                .map_err(Error::io("write the status in", dir.path()))?;
        }
        self.ended += 1;
        self.forecast.ended(run);
        let words = progress::ending(planned, status.as_ref());
        self.display.ended(run, &words);
        self.show_overall();
        Ok(())
    }

    fn show_overall(&mut self) {
        let seconds = self.forecast.seconds(Instant::now());
        self.display.overall(Overall {
            ended: self.ended,
            runs: self.runs,
            seconds,
        });
    }
}
