use super::eta::EtaEstimator;
use super::executor::{Event, Executor, MachineFailure, RunEnd, WorkerRequest};
use super::job_slots::Capacity;
use super::progress::{self, Observer, SweepProgress};
use super::run_queue::{RunQueue, divided, estimate};
use super::{Error, Store, interrupts};
use crate::results::{RecordError, RunResult, RunState, RunStatus, SweepPlan};
use crate::train::{self, Device, Estimate, Update};
use std::collections::{BTreeSet, HashSet, VecDeque};
use std::time::{Duration, Instant};

/// Longest wait for an event, after which interrupts are checked.
const POLL_TIMEOUT: Duration = Duration::from_millis(100);

/// How a sweep ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SweepEnd {
    /// Every run has ended, successfully or not.
    Complete,
    /// It was interrupted by Ctrl-C or a signal.
    Interrupted,
    /// The results folder was moved or deleted, and all runs were stopped.
    FolderLost,
    /// The machine failed. Runs that have not ended continue when the sweep is started again.
    MachineFailed(MachineFailure),
}

/// Trains the runs of `queue` by `executor` and records how each of them ended. Then trains those of
/// the runs in `selected` that the results have made necessary. Returns when no run is active.
pub fn execute(
    plan: &SweepPlan,
    store: &Store,
    queue: RunQueue,
    selected: &[usize],
    executor: &mut dyn Executor,
    observer: &mut dyn Observer,
) -> Result<SweepEnd, Error> {
    interrupts::install_handler()?;
    let queued: HashSet<usize> = queue.runs().collect();
    let mut scheduler = Scheduler::new(plan, store, queue, executor, observer);
    if plan.depends_on_results() {
        let selected = selected.iter().copied();
        scheduler.optional = selected.filter(|run| !queued.contains(run)).collect();
        scheduler.results = store.results(plan)?;
    }
    let result = scheduler.run(interrupts::count);
    scheduler.observer.close();
    result
}

struct Scheduler<'a> {
    plan: &'a SweepPlan,
    store: &'a Store,
    capacity: Capacity,
    executor: &'a mut dyn Executor,
    observer: &'a mut dyn Observer,
    queue: VecDeque<usize>,
    /// Runs that are trained if the results make them necessary.
    optional: HashSet<usize>,
    /// What is known of each run of the plan. Empty if no run is optional.
    results: Vec<RunResult>,
    /// Most runs that are active at the same time.
    jobs: usize,
    threads: usize,
    eta: EtaEstimator,
    total: usize,
    /// Runs that are active.
    active: BTreeSet<usize>,
    ended: usize,
    /// Interrupts that have been handled.
    interrupts: u32,
    /// The first failure of the machine. No run starts after it.
    failure: Option<MachineFailure>,
    /// Whether the results folder is no longer at its path. Nothing is written after it.
    is_lost: bool,
}

impl<'a> Scheduler<'a> {
    fn new(
        plan: &'a SweepPlan,
        store: &'a Store,
        queue: RunQueue,
        executor: &'a mut dyn Executor,
        observer: &'a mut dyn Observer,
    ) -> Self {
        let mut eta = EtaEstimator::new(queue.slots.jobs);
        for (open, estimate) in &queue.open {
            eta.queued(open.run, estimate.seconds_on(queue.slots.threads));
            eta.trained(open.run, open.trained);
        }
        Self {
            plan,
            store,
            capacity: queue.capacity,
            executor,
            observer,
            eta,
            jobs: queue.slots.jobs,
            threads: queue.slots.threads,
            total: queue.open.len(),
            queue: queue.runs().collect(),
            optional: HashSet::new(),
            results: Vec::new(),
            active: BTreeSet::new(),
            ended: 0,
            interrupts: 0,
            failure: None,
            is_lost: false,
        }
    }

    /// `interrupts` returns the number of interrupts so far.
    fn run(&mut self, interrupts: impl Fn() -> u32) -> Result<SweepEnd, Error> {
        loop {
            self.handle_interrupts(interrupts());
            self.check_folder();
            while !self.is_ending() && self.active.len() < self.jobs {
                let Some(run) = self.queue.pop_front() else {
                    break;
                };
                self.start(run)?;
                self.check_folder();
            }
            if self.active.is_empty() {
                break;
            }
            match self.executor.poll(POLL_TIMEOUT) {
                Some(Event::Update { run, update }) => match update {
                    Update::Progress(progress) => self.show_progress(run, &progress),
                    Update::Notice(text) => self.notice(run, &text),
                },
                Some(Event::Ended { run, end }) => {
                    self.active.remove(&run);
                    self.check_folder();
                    self.end(run, end)?;
                }
                None => {}
            }
        }
        if self.is_lost {
            return Ok(SweepEnd::FolderLost);
        }
        Ok(match (self.failure.take(), self.interrupts) {
            (Some(failure), _) => SweepEnd::MachineFailed(failure),
            (None, 0) => SweepEnd::Complete,
            (None, _) => SweepEnd::Interrupted,
        })
    }

    /// Whether no more runs are started.
    fn is_ending(&self) -> bool {
        self.interrupts > 0 || self.failure.is_some() || self.is_lost
    }

    /// Ends every run if the results folder was moved or deleted. A checkpoint would be written to another folder.
    fn check_folder(&mut self) {
        if !self.is_lost && !self.store.is_in_place() {
            self.is_lost = true;
            self.executor.kill();
        }
    }

    /// The first interrupt asks every run for a checkpoint. The second ends them at once.
    fn handle_interrupts(&mut self, interrupts: u32) {
        if interrupts == self.interrupts {
            return;
        }
        if !self.is_ending() {
            self.observer.notice(
                "stopping: every run writes a checkpoint first (press Ctrl-C again to stop at once)",
            );
            self.executor.stop();
        }
        if interrupts > 1 {
            self.executor.kill();
        }
        self.interrupts = interrupts;
    }

    fn start(&mut self, run: usize) -> Result<(), Error> {
        let planned = &self.plan.runs[run];
        let dir = self.store.run_dir(planned);
        let saved_step = match self.store.state(planned) {
            Ok(RunState::Stopped) => train::usable_step(&dir, &planned.identity),
            Ok(_) => None,
            Err(error) => {
                self.machine_failed(run, failure_of(error)?);
                return Ok(());
            }
        };
        // A record that is still there is damaged.
        let created = dir.create(&planned.spec).and_then(|()| dir.remove_status());
        if let Err(error) = created {
            let reason = format!("cannot write in {}: {error}", dir.path().display());
            self.machine_failed(run, MachineFailure::new(&error, reason));
            return Ok(());
        }
        let request = WorkerRequest {
            run_dir: dir.path().to_owned(),
            cache: self.store.cache(),
            corpus: self.plan.corpora[planned.corpus].key.clone(),
            gpu: match self.capacity.device {
                Device::Cpu => None,
                Device::Cuda(ordinal) => Some(ordinal),
            },
            threads: self.threads,
            extends: self
                .store
                .continued_run(planned, self.capacity.device)
                .map(|shorter| shorter.dir.path().to_owned()),
        };
        let steps = planned.spec.train.steps;
        self.observer
            .started(run, &planned.title(), steps, saved_step);
        self.eta.started(run);
        match self.executor.start(run, request) {
            Ok(()) => {
                self.active.insert(run);
            }
            Err(error) => {
                let reason = format!("cannot start a worker process: {error}");
                self.machine_failed(run, MachineFailure::new(&error, reason));
            }
        }
        Ok(())
    }

    /// Handles the end of a run that was active.
    fn end(&mut self, run: usize, end: RunEnd) -> Result<(), Error> {
        match end {
            _ if self.is_lost => {
                let text = format!("{}: stopped", self.plan.runs[run].title());
                self.show_end(run, &text, None);
            }
            RunEnd::Recorded(status) => self.record(run, &status)?,
            RunEnd::Stopped => {
                let text = progress::describe_stop(&self.plan.runs[run]);
                self.show_end(run, &text, None);
            }
            RunEnd::MachineFailed(failure) => self.machine_failed(run, failure),
            RunEnd::Died(failure) => self.died(run, failure)?,
        }
        Ok(())
    }

    /// The process of a run was killed or crashed. If this happens twice with the same checkpoint, the run
    /// itself is likely to be the reason.
    fn died(&mut self, run: usize, failure: MachineFailure) -> Result<(), Error> {
        let dir = self.store.run_dir(&self.plan.runs[run]);
        let step = train::saved_step(&dir.checkpoint()).unwrap_or(0);
        if dir.last_death() == Some(step) {
            let reason = format!(
                "its process ended twice after step {step}: {}",
                failure.reason
            );
            return self.record(run, &RunStatus::failed(reason));
        }
        // If it cannot be written, the run continues once more.
        let _ = dir.write_death(step, &failure.reason);
        self.machine_failed(run, failure);
        Ok(())
    }

    /// Leaves the run as it is, and ends the sweep.
    fn machine_failed(&mut self, run: usize, failure: MachineFailure) {
        let name = self.plan.runs[run].title();
        let text = format!("{name}: stopped: {}", failure.reason);
        self.show_end(run, &text, None);
        if self.failure.is_none() {
            if !self.active.is_empty() && self.interrupts == 0 {
                self.observer
                    .notice("stopping: every other run writes a checkpoint first");
            }
            self.executor.stop();
            self.failure = Some(failure);
        }
    }

    fn notice(&mut self, run: usize, text: &str) {
        let name = self.plan.runs[run].title();
        self.observer.notice(&format!("{name}: {text}"));
    }

    fn show_progress(&mut self, run: usize, progress: &train::Progress) {
        let now = Instant::now();
        let share = progress.step as f64 / progress.steps.max(1) as f64;
        self.eta.advanced(run, share, now);
        let seconds_left = self.eta.run_seconds_left(run, now);
        self.observer.advanced(run, progress, seconds_left);
        self.show_sweep_progress();
    }

    /// Writes how a run ended.
    fn record(&mut self, run: usize, status: &RunStatus) -> Result<(), Error> {
        let planned = &self.plan.runs[run];
        let dir = self.store.run_dir(planned);
        if let Err(error) = dir
            .write_record(status, &planned.identity)
            .and_then(|()| dir.forget_death())
        {
            let reason = format!(
                "cannot write the status in {}: {error}",
                dir.path().display()
            );
            self.machine_failed(run, MachineFailure::new(&error, reason));
            return Ok(());
        }
        if !self.results.is_empty() {
            match self.store.result(self.plan, planned) {
                Ok(result) => self.results[run] = result,
                Err(error) => {
                    self.machine_failed(run, failure_of(error)?);
                    return Ok(());
                }
            }
            self.queue_needed_runs();
        }
        let text = progress::describe_end(planned, Some(status));
        self.show_end(run, &text, Some(status));
        Ok(())
    }

    fn show_end(&mut self, run: usize, text: &str, status: Option<&RunStatus>) {
        self.ended += 1;
        self.eta.ended(run);
        self.observer.ended(run, text, status);
        self.show_sweep_progress();
    }

    /// Adds the runs to the queue that the results have made necessary, and divides the machine again.
    fn queue_needed_runs(&mut self) {
        let before = self.queue.len();
        for run in self.plan.needed_runs(&self.results) {
            let is_open = self.results[run] == RunResult::Open;
            if self.optional.remove(&run) && is_open {
                self.queue.push_back(run);
                self.total += 1;
            }
        }
        if self.queue.len() > before {
            self.divide_again();
        }
    }

    /// Divides the machine among the runs that are left and those that may follow. Few runs are left at a
    /// time if each waits for the results of others, but together they end earlier side by side.
    fn divide_again(&mut self) {
        let may_follow = self.plan.possible_runs(&self.results).into_iter();
        let may_follow = may_follow
            .filter(|run| self.optional.contains(run) && self.results[*run] == RunResult::Open);
        let left = self.active.iter().chain(&self.queue).copied();
        let runs = left.chain(may_follow);
        let estimates: Vec<Estimate> = runs.map(|run| estimate(self.plan, run)).collect();
        let slots = divided(self.plan, self.capacity, &estimates);
        (self.jobs, self.threads) = (slots.jobs, slots.threads);
        self.eta.set_jobs(slots.jobs);
        let waiting = self.queue.iter().zip(&estimates[self.active.len()..]);
        for (&run, estimate) in waiting {
            self.eta.queued(run, estimate.seconds_on(self.threads));
        }
    }

    fn show_sweep_progress(&mut self) {
        self.observer.sweep_progress(SweepProgress {
            ended: self.ended,
            total: self.total,
            seconds_left: self.eta.seconds_left(Instant::now()),
        });
    }
}

/// The failure of the machine that kept a file of a run from being read. Another error ends the sweep at once.
fn failure_of(error: Error) -> Result<MachineFailure, Error> {
    match error {
        Error::Record(RecordError::Read { path, source }) => {
            let reason = format!("cannot read {}: {source}", path.display());
            Ok(MachineFailure::new(&source, reason))
        }
        error => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::super::job_slots::{Jobs, Slots};
    use super::super::machine::Machine;
    use super::super::progress::Lines;
    use super::super::run_queue::OpenRun;
    use super::*;
    use crate::results::testing::plan_of;
    use std::cell::Cell;
    use std::io;
    use std::path::Path;

    const EXPERIMENT: &str =
        "{name: x, sweep: {seeds: [1, 2, 3], variants: {a: {}, b: {model: {n_layer: 2}}}}}";

    const CAPACITY: Capacity = Capacity {
        jobs: Jobs::Exactly(2),
        device: Device::Cpu,
        machine: Machine {
            cores: 2,
            free_memory_mb: None,
        },
    };

    /// Needs no outcome, unlike a run that is done.
    fn diverged() -> RunEnd {
        RunEnd::Recorded(Box::new(RunStatus {
            state: RunState::Diverged,
            reason: String::new(),
            outcome: None,
            environment: None,
            earlier_environments: Vec::new(),
        }))
    }

    fn failure() -> MachineFailure {
        let error = io::Error::from(io::ErrorKind::StorageFull);
        MachineFailure::new(&error, "cannot write x")
    }

    /// Ends the oldest active run at each poll, until it is asked to stop.
    #[derive(Default)]
    struct FakeExecutor {
        active: VecDeque<usize>,
        started: Vec<usize>,
        most_active: usize,
        refused: Option<usize>,
        /// How the first runs end. The others diverge.
        ends: VecDeque<RunEnd>,
        stopped: bool,
        killed: bool,
    }

    impl Executor for FakeExecutor {
        fn start(&mut self, run: usize, request: WorkerRequest) -> io::Result<()> {
            assert!(request.run_dir.join("config.yaml").exists());
            if self.refused == Some(run) {
                return Err(io::Error::other("no memory"));
            }
            self.started.push(run);
            self.active.push_back(run);
            self.most_active = self.most_active.max(self.active.len());
            Ok(())
        }

        fn poll(&mut self, _: Duration) -> Option<Event> {
            let run = self.active.pop_front()?;
            let end = match self.stopped {
                true => RunEnd::Stopped,
                false => self.ends.pop_front().unwrap_or_else(diverged),
            };
            Some(Event::Ended { run, end })
        }

        fn stop(&mut self) {
            self.stopped = true;
        }

        fn kill(&mut self) {
            self.killed = true;
        }
    }

    /// Runs all of [`EXPERIMENT`], two at a time, and returns how the sweep ended and the state of each run.
    fn sweep(
        executor: &mut FakeExecutor,
        interrupts: impl Fn() -> u32,
    ) -> (SweepEnd, Vec<RunState>) {
        let folder = tempfile::tempdir().unwrap();
        sweep_in(folder.path(), executor, interrupts)
    }

    fn sweep_in(
        folder: &Path,
        executor: &mut FakeExecutor,
        interrupts: impl Fn() -> u32,
    ) -> (SweepEnd, Vec<RunState>) {
        let plan = plan_of(EXPERIMENT);
        let mut store = Store::open(folder.to_owned()).unwrap();
        store.write_plan(&mut plan.clone(), false).unwrap();
        let queue = RunQueue {
            open: (0..plan.runs.len())
                .map(|run| (OpenRun::not_started(run), estimate(&plan, run)))
                .collect(),
            slots: Slots {
                jobs: 2,
                threads: 1,
            },
            capacity: CAPACITY,
        };
        let mut lines = Lines::new(io::sink());
        let mut scheduler = Scheduler::new(&plan, &store, queue, executor, &mut lines);
        let end = scheduler.run(interrupts).unwrap();
        let states = plan.runs.iter().map(|run| store.state(run).unwrap());
        (end, states.collect())
    }

    #[test]
    fn runs_start_in_order_and_as_many_as_there_are_slots() {
        let mut executor = FakeExecutor::default();
        let (end, states) = sweep(&mut executor, || 0);
        assert_eq!(end, SweepEnd::Complete);
        assert_eq!(states, [RunState::Diverged; 6]);
        assert_eq!(executor.started, [0, 1, 2, 3, 4, 5]);
        assert_eq!(executor.most_active, 2);
    }

    #[test]
    fn run_that_cannot_start_ends_the_sweep_and_can_be_started_again() {
        let mut executor = FakeExecutor {
            refused: Some(1),
            ..Default::default()
        };
        let (end, states) = sweep(&mut executor, || 0);
        assert!(matches!(end, SweepEnd::MachineFailed(_)), "{end:?}");
        assert!(executor.stopped);
        assert_eq!(executor.started, [0]);
        assert_eq!(states, [RunState::NotStarted; 6]);
    }

    #[test]
    fn failure_of_the_machine_stops_all_runs() {
        let mut executor = FakeExecutor {
            ends: [diverged(), RunEnd::MachineFailed(failure())].into(),
            ..Default::default()
        };
        let (end, states) = sweep(&mut executor, || 0);
        assert_eq!(end, SweepEnd::MachineFailed(failure()));
        assert!(executor.stopped && !executor.killed);
        assert_eq!(executor.started, [0, 1, 2]);
        assert_eq!(states[0], RunState::Diverged);
        assert_eq!(states[1..], [RunState::NotStarted; 5]);
    }

    #[test]
    fn run_whose_process_dies_twice_after_the_same_checkpoint_has_failed() {
        let folder = tempfile::tempdir().unwrap();
        let sweep = |ends: &[RunEnd]| {
            let mut executor = FakeExecutor {
                ends: ends.to_vec().into(),
                ..Default::default()
            };
            let (end, states) = sweep_in(folder.path(), &mut executor, || 0);
            (end, states[0])
        };
        let died = RunEnd::Died(failure());
        let first = sweep(std::slice::from_ref(&died));
        assert_eq!(
            first,
            (SweepEnd::MachineFailed(failure()), RunState::NotStarted)
        );
        let second = sweep(&[died]);
        assert_eq!(second, (SweepEnd::Complete, RunState::Failed));
    }

    #[test]
    fn runs_are_added_while_a_variant_is_undecided() {
        let text = "{name: x, sweep: {seeds: {min: 2, max: 4, until: decided}, \
                    variants: {a: {}, b: {model: {n_layer: 2}}, c: {model: {n_layer: 3}}}}}";
        let plan = plan_of(text);
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().to_owned()).unwrap();
        let queue = RunQueue::new(&plan, vec![OpenRun::not_started(0)], CAPACITY);
        let mut executor = FakeExecutor::default();
        let mut lines = Lines::new(io::sink());
        let mut scheduler = Scheduler::new(&plan, &store, queue, &mut executor, &mut lines);
        // Known: seed 2 of `a`, seed 1 of `b`, and the seeds 1 and 2 of `c`.
        let mut results = vec![RunResult::Open; 12];
        for (run, value) in [(1, 1.1), (4, 1.2), (8, 1.0), (9, 1.1)] {
            results[run] = RunResult::Ended(Some(value));
        }
        scheduler.results = results;
        // Selected besides the queue: the seeds 3 and 4 of `a`, and seed 2 of `b`.
        scheduler.optional = [2, 3, 5].into();
        let end = scheduler.run(|| 0).unwrap();
        drop(scheduler);
        assert_eq!(end, SweepEnd::Complete);
        // Run 0 ends without a value. With too few pairs, `b` and `c` are undecided, so seed 3 is needed, which
        // is selected for `a` only. Seed 2 of `b` is needed too.
        assert_eq!(executor.started, [0, 2, 5]);
    }

    #[test]
    fn runs_that_may_follow_count_in_the_division() {
        let text = "{name: x, sweep: {seeds: {min: 2, max: 12, until: decided}, \
                    variants: {a: {}, b: {model: {n_layer: 2}}}}}";
        let plan = plan_of(text);
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().to_owned()).unwrap();
        let capacity = Capacity {
            jobs: Jobs::Auto,
            machine: Machine {
                cores: 8,
                free_memory_mb: None,
            },
            ..CAPACITY
        };
        // Two undecided seeds of both variants, and seed 3 of both is needed.
        let mut results = vec![RunResult::Open; 24];
        for (run, value) in [(0, 1.0), (1, 1.1), (12, 1.1), (13, 1.0)] {
            results[run] = RunResult::Ended(Some(value));
        }
        let divided = |optional: HashSet<usize>| {
            let queue = RunQueue::new(&plan, Vec::new(), capacity);
            let mut executor = FakeExecutor::default();
            let mut lines = Lines::new(io::sink());
            let mut scheduler = Scheduler::new(&plan, &store, queue, &mut executor, &mut lines);
            scheduler.results = results.clone();
            scheduler.optional = optional;
            scheduler.queue_needed_runs();
            assert_eq!(scheduler.queue, [2, 14]);
            let left = scheduler.eta.seconds_left(Instant::now());
            let queued = [2, 14].map(|run| estimate(&plan, run).seconds_on(scheduler.threads));
            assert_eq!(left, queued[0].max(queued[1]), "only the queued runs count");
            (scheduler.jobs, scheduler.threads)
        };
        assert_eq!(divided((0..24).collect()), (8, 1));
        assert_eq!(divided([2, 14].into()), (2, 4));
        // Runs that have ended do not follow.
        assert_eq!(divided([0, 1, 2, 12, 13, 14].into()), (2, 4));
    }

    #[test]
    fn nothing_is_written_after_the_folder_was_moved() {
        for is_deleted in [false, true] {
            let around = tempfile::tempdir().unwrap();
            let folder = around.path().join("x");
            let calls = Cell::new(0);
            let move_at_second_call = || {
                calls.set(calls.get() + 1);
                match (calls.get(), is_deleted) {
                    (2, false) => std::fs::rename(&folder, around.path().join("y")).unwrap(),
                    (2, true) => std::fs::remove_dir_all(&folder).unwrap(),
                    _ => {}
                }
                0
            };
            let mut executor = FakeExecutor::default();
            let (end, _) = sweep_in(&folder, &mut executor, move_at_second_call);
            assert_eq!(end, SweepEnd::FolderLost);
            assert!(executor.killed);
            assert_eq!(executor.started, [0, 1]);
            assert!(!folder.exists());
        }
    }

    #[test]
    fn interrupt_stops_active_runs_and_starts_no_more() {
        let calls = Cell::new(0);
        let from_second_call = |count: u32| {
            calls.set(calls.get() + 1);
            if calls.get() > 1 { count } else { 0 }
        };
        let mut executor = FakeExecutor::default();
        let (end, states) = sweep(&mut executor, || from_second_call(1));
        assert_eq!(end, SweepEnd::Interrupted);
        assert!(executor.stopped && !executor.killed);
        assert_eq!(executor.started, [0, 1]);
        assert_eq!(states[0], RunState::Diverged, "it had ended before");
        assert!(!states[1..].contains(&RunState::Diverged));

        calls.set(0);
        let mut executor = FakeExecutor::default();
        sweep(&mut executor, || from_second_call(2));
        assert!(executor.stopped && executor.killed);
    }
}
