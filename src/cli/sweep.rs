use super::args;
use super::args::SweepFormat;
use super::exit_verdict::{check_has_verdict, exit_by_verdict};
use super::live_report::LiveReport;
use super::result_tables::{self, Unfinished};
use super::sweep_notes::{
    none_needed, note_damage, note_runs_with_fewer_steps, print_start, print_unfinished,
    replaced_report,
};
use super::{Error, Exit, experiment_target, print};
use crate::report::{self, Report};
use crate::results::{RunState, Sealed, SweepPlan};
use crate::sweep as sweeps;
use crate::sweep::{
    Capacity, EventWriter, Machine, Observer, OpenRun, RunQueue, Store, SweepEnd, SweepEvent,
    build_plan, create_executor, display, execute,
};
use crate::text::terminal::{columns, print_note};
use crate::train::{Device, usable_step};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(super) fn run(arguments: &args::Sweep) -> Result<Exit, Error> {
    let result = train(arguments);
    if arguments.format == SweepFormat::Json {
        let error = result
            .as_ref()
            .map_err(|error| (error.exit(), error.with_causes()));
        let (exit, reason, report) = match &error {
            Ok(end) => (end.exit, &end.reason, end.report.as_ref()),
            Err((exit, text)) => (*exit, text, None),
        };
        let event = SweepEvent::SweepEnded {
            exit_code: exit as u8,
            reason: reason.trim_end(),
            report: report.and_then(|report| serde_json::from_str(&report.json).ok()),
        };
        write_event(&event)?;
    }
    let end = result?;
    if !end.reason.is_empty() {
        print_note(&end.reason);
    }
    Ok(end.exit)
}

fn write_event(event: &SweepEvent) -> Result<(), Error> {
    match event.write(&mut io::stdout()) {
        // The reader, such as `head`, has closed the pipe.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(Error::Output),
    }
}

/// How a sweep ended.
struct End {
    exit: Exit,
    /// Why the exit code is not 0.
    reason: String,
    report: Option<Report>,
}

fn train(arguments: &args::Sweep) -> Result<End, Error> {
    let mut sweep = Sweep::prepare(arguments)?;
    let queue = sweep.start()?;
    let end = sweep.execute(queue)?;
    if matches!(end, Ok(SweepEnd::FolderLost)) || !sweep.store.is_in_place() {
        return Err(Error::FolderLost(sweep.store.root().to_owned()));
    }
    // Also after an error, so that no page says that the sweep is running.
    let plan = Sealed::verified(sweep.plan.clone());
    let report = report::write(sweep.store.root(), plan, sweep.template());
    match end? {
        SweepEnd::MachineFailed(failure) => Err(Error::Machine(failure)),
        end => sweep.conclude(&end, report.map_err(Error::ReportAfterSweep)?),
    }
}

/// A sweep whose runs are known, and whose folder is open.
struct Sweep<'a> {
    arguments: &'a args::Sweep,
    device: Device,
    store: Store,
    plan: SweepPlan,
    /// The template of the experiment for its report.
    template: Option<PathBuf>,
    /// Indices of the runs that the command line selects, in ascending order.
    selected: Vec<usize>,
}

impl<'a> Sweep<'a> {
    /// Reads the experiment, compares it with what its folder holds, and clears the runs that `--restart` or
    /// `--retry-failed` selects.
    fn prepare(arguments: &'a args::Sweep) -> Result<Self, Error> {
        let target = &arguments.target;
        let document = experiment_target::load("sweep", target)?;
        let expansion = document.expand()?;
        let device = arguments.device.resolve()?;
        let store = Store::open(experiment_target::folder(&document, target)?)?;
        let command = experiment_target::command(target, arguments.device);
        let mut plan = build_plan(&document, expansion, &store.cache(), command, device)?;
        experiment_target::check(&document, &plan)?;
        if let Some(variant) = &arguments.exit_verdict {
            check_has_verdict(&plan, variant)?;
        }
        let selected = experiment_target::select(&plan, target)?;
        store.continue_plan(&mut plan)?;
        note_damage(&store, &plan)?;
        clear_runs(&store, &plan, &selected, arguments)?;
        if let Some(note) = replaced_report(&store, &plan, &target.overrides)? {
            print_note(&note);
        }
        experiment_target::note_other_runs(&store, &plan);
        Ok(Self {
            arguments,
            device,
            template: document.template(),
            store,
            plan,
            selected,
        })
    }

    /// Writes the plan, and says which runs are trained, skipped and continued.
    fn start(&mut self) -> Result<RunQueue, Error> {
        let needed = needed(&self.store, &self.plan, &self.selected)?;
        let states = states_at_start(&self.store, &self.plan, &needed)?;
        let mut open = states.clone();
        open.retain(|(_, state)| matches!(state, RunState::NotStarted | RunState::Stopped));
        self.store.write_plan(&mut self.plan, open.is_empty())?;
        let (store, plan) = (&self.store, &self.plan);
        note_runs_with_fewer_steps(store, plan, &open);
        let capacity = Capacity {
            jobs: self.arguments.jobs,
            device: self.device,
            machine: Machine::of_this_process(),
        };
        let open = open.into_iter();
        let open = open.map(|run| OpenRun::new(store, plan, run, self.device));
        let queue = RunQueue::new(plan, open.collect(), capacity);
        print_start(plan, &states, &queue, self.device);
        if states.is_empty() {
            print_note(&none_needed(plan));
        }
        if self.arguments.format == SweepFormat::Json {
            write_event(&SweepEvent::SweepStarted {
                experiment: &plan.experiment.name,
                folder: &store.root().to_string_lossy(),
                config_hash: &plan.config_hash,
                runs: states.len(),
                to_train: queue.runs().len(),
                jobs: queue.slots.jobs,
                threads: queue.slots.threads,
            })?;
        }
        Ok(queue)
    }

    /// Trains the runs of the queue and those that their results make necessary.
    ///
    /// # Errors
    /// The outer error means that no run was started. The inner one is that of the sweep.
    fn execute(&self, queue: RunQueue) -> Result<Result<SweepEnd, sweeps::Error>, Error> {
        if queue.is_empty() {
            return Ok(Ok(SweepEnd::Complete));
        }
        let mut executor = create_executor().map_err(sweeps::Error::Program)?;
        let mut observers = self.observers();
        Ok(execute(
            &self.plan,
            &self.store,
            queue,
            &self.selected,
            executor.as_mut(),
            &mut observers,
        ))
    }

    /// What shows the progress: in the terminal, as events, and in the report.
    fn observers(&self) -> Vec<Box<dyn Observer + '_>> {
        let mut observers = vec![display(&self.plan, &self.selected)];
        if self.arguments.format == SweepFormat::Json {
            observers.push(Box::new(EventWriter::new(&self.plan, io::stdout())));
        }
        if self.arguments.report_every > 0 {
            observers.push(Box::new(LiveReport::start(
                self.store.root().to_owned(),
                self.store.place_check(),
                self.plan.clone(),
                self.template().map(str::to_owned),
                Duration::from_secs(self.arguments.report_every),
            )));
        }
        observers
    }

    fn template(&self) -> Option<&str> {
        self.template.as_deref().and_then(Path::to_str)
    }

    /// Prints the results and which runs are not done.
    fn conclude(&self, end: &SweepEnd, report: Report) -> Result<End, Error> {
        let (store, plan, summary) = (&self.store, &self.plan, &report.summary);
        if self.arguments.format == SweepFormat::Text {
            print(&result_tables::render(summary, columns()))?;
        }
        if *end == SweepEnd::Interrupted {
            return Ok(End {
                exit: Exit::Interrupted,
                reason: "interrupted; the same command continues from here".to_owned(),
                report: Some(report),
            });
        }
        let mut states = states(store, plan, &needed(store, plan, &self.selected)?)?;
        // In a search that has found the best settings, a run that diverged is a result.
        let found = store.found_settings(plan)?;
        states.retain(|(run, state)| {
            let planned = &plan.runs[*run];
            let is_found = planned.is_search() && found.contains(planned.spec.variant.as_str());
            *state != RunState::Diverged || !is_found
        });
        print_unfinished(store, plan, &states);
        let (exit, reason) = match &self.arguments.exit_verdict {
            Some(variant) => {
                states.retain(|(run, _)| {
                    let planned = &plan.runs[*run];
                    let own = &planned.spec.variant;
                    planned.smaller_size.is_none() && (own == variant || *own == plan.baseline)
                });
                exit_by_verdict(summary, variant, unfinished(&states).failed)
            }
            None => result_tables::exit(unfinished(&states), &summary.checks, &summary.claims),
        };
        Ok(End {
            exit,
            reason: reason.unwrap_or_default(),
            report: Some(report),
        })
    }
}

/// Removes what keeps the runs from being trained that `--restart` or `--retry-failed` selects.
fn clear_runs(
    store: &Store,
    plan: &SweepPlan,
    selected: &[usize],
    arguments: &args::Sweep,
) -> Result<(), Error> {
    if arguments.restart {
        // The state is not read, so that a run with unreadable files is deleted too.
        for &run in selected {
            store.remove(&plan.runs[run])?;
        }
    }
    if arguments.retry_failed {
        for (run, state) in states(store, plan, &needed(store, plan, selected)?)? {
            let planned = &plan.runs[run];
            match state {
                RunState::Failed => store.reopen(planned)?,
                // From its checkpoint, it would diverge again.
                RunState::Diverged if !planned.is_search() => store.remove(planned)?,
                _ => {}
            }
        }
    }
    Ok(())
}

/// The runs of `selected`, which is sorted, that are needed according to the results so far.
fn needed(
    store: &Store,
    plan: &SweepPlan,
    selected: &[usize],
) -> Result<Vec<usize>, sweeps::Error> {
    let needed = store.needed_runs(plan)?;
    let is_selected = |run: &usize| selected.binary_search(run).is_ok();
    Ok(needed.into_iter().filter(is_selected).collect())
}

fn states(
    store: &Store,
    plan: &SweepPlan,
    selected: &[usize],
) -> Result<Vec<(usize, RunState)>, sweeps::Error> {
    let state = |&run: &usize| Ok((run, store.state(&plan.runs[run])?));
    selected.iter().map(state).collect()
}

/// [`states`], where a stopped run whose checkpoints cannot be used has not started. The process that trains it says
/// what is wrong with them.
fn states_at_start(
    store: &Store,
    plan: &SweepPlan,
    selected: &[usize],
) -> Result<Vec<(usize, RunState)>, sweeps::Error> {
    let mut states = states(store, plan, selected)?;
    for (run, state) in &mut states {
        let run = &plan.runs[*run];
        let can_continue = || usable_step(&store.run_dir(run), &run.identity).is_some();
        if *state == RunState::Stopped && !can_continue() {
            *state = RunState::NotStarted;
        }
    }
    Ok(states)
}

/// The number of runs that are not done.
fn unfinished(states: &[(usize, RunState)]) -> Unfinished {
    let mut unfinished = Unfinished::default();
    for (_, state) in states {
        match state {
            RunState::Done => {}
            RunState::Failed | RunState::Diverged => unfinished.failed += 1,
            RunState::Stopped | RunState::NotStarted => unfinished.stopped += 1,
        }
    }
    unfinished
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_without_a_result_are_counted() {
        let counted = |states: &[RunState]| {
            let states: Vec<_> = states.iter().copied().enumerate().collect();
            let Unfinished { failed, stopped } = unfinished(&states);
            (failed, stopped)
        };
        assert_eq!(counted(&[RunState::Done, RunState::Done]), (0, 0));
        let all = [
            RunState::Done,
            RunState::Failed,
            RunState::Diverged,
            RunState::Stopped,
        ];
        assert_eq!(counted(&all), (2, 1));
    }
}
