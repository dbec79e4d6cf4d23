use super::args;
use super::{Error, Exit, experiment_target, print, result_tables};
use crate::report::{self, Expected};
use crate::results::{RunState, SweepPlan};
use crate::sweep::{Ended, Machine, Slots, Store, build_plan, ending, execute, order, slots};
use crate::text::terminal::print_note;
use crate::text::units;
use crate::train::{self, Estimate};

/// Most runs that are listed one by one at the end.
const LISTED: usize = 10;

pub(super) fn run(arguments: &args::Sweep) -> Result<Exit, Error> {
    let document = experiment_target::load("sweep", &arguments.target)?;
    let expansion = document.expand()?;
    let device = arguments.device.resolve()?;
    let mut store = Store::open(experiment_target::folder(&document, &arguments.target))?;
    let command = experiment_target::command(&arguments.target, arguments.device);
    let mut plan = build_plan(&document, expansion, &store.cache(), command, device)?;
    let selected = experiment_target::select(&plan, &arguments.target)?;
    forget(&store, &plan, &selected, arguments)?;
    let queue = queue(&store, &plan, &selected)?;
    store.write_plan(&mut plan, queue.is_empty())?;
    let slots = slots(
        arguments.jobs,
        device,
        &estimates(&plan, &queue),
        Machine::of_this_process(),
    );
    announce(&plan, selected.len(), queue.len(), slots, device);
    let ended = if queue.is_empty() {
        Ended::Complete
    } else {
        execute(&plan, &store, queue, slots, device)?
    };
    let template = document.experiment().report.template.as_deref();
    let summary = report::write(store.root(), plan.clone(), template);
    let summary = summary.map_err(Error::ReportAfterSweep)?;
    print(&result_tables::render(&summary))?;
    let states = states(&store, &plan, &selected)?;
    let exit = exit(ended, &states, &summary.expected);
    advise(exit, &store, &plan, &states);
    Ok(exit)
}

/// Removes the records that `--fresh` and `--retry` do without.
fn forget(
    store: &Store,
    plan: &SweepPlan,
    selected: &[usize],
    arguments: &args::Sweep,
) -> Result<(), Error> {
    for &run in selected {
        let run = &plan.runs[run];
        // With --fresh even a record that cannot be read goes.
        let forgotten = arguments.fresh
            || arguments.retry
                && matches!(store.state(run)?, RunState::Failed | RunState::Diverged);
        if forgotten {
            store.remove(run)?;
        }
    }
    Ok(())
}

/// The runs to train, in the order to train them.
fn queue(store: &Store, plan: &SweepPlan, selected: &[usize]) -> Result<Vec<usize>, Error> {
    let mut todo = states(store, plan, selected)?;
    todo.retain(|(_, state)| matches!(state, RunState::NotStarted | RunState::Stopped));
    Ok(order(plan, todo))
}

fn states(
    store: &Store,
    plan: &SweepPlan,
    selected: &[usize],
) -> Result<Vec<(usize, RunState)>, crate::sweep::Error> {
    let state = |&run: &usize| Ok((run, store.state(&plan.runs[run])?));
    selected.iter().map(state).collect()
}

/// What each of `runs` is likely to take.
pub(super) fn estimates(plan: &SweepPlan, runs: &[usize]) -> Vec<Estimate> {
    let estimate = |&run: &usize| {
        let run = &plan.runs[run];
        train::estimate(&run.spec, &plan.corpora[run.corpus])
    };
    runs.iter().map(estimate).collect()
}

fn announce(plan: &SweepPlan, selected: usize, todo: usize, slots: Slots, device: train::Device) {
    let name = &plan.experiment.name;
    let runs = units::plural(selected, "run");
    let words = if todo == 0 {
        format!("{name}: {runs}, none to train")
    } else {
        let device = match device {
            train::Device::Cpu => "on the CPU".to_owned(),
            train::Device::Cuda(ordinal) => format!("on GPU {ordinal}"),
        };
        let threads = units::plural(slots.threads, "thread");
        format!(
            "{name}: {runs}, {todo} to train {device}, {} at a time, {threads} each",
            slots.jobs
        )
    };
    print_note(&words);
}

fn exit(ended: Ended, states: &[(usize, RunState)], expected: &[Expected]) -> Exit {
    let well = |(_, state): &(usize, RunState)| *state == RunState::Done;
    match ended {
        Ended::Interrupted => Exit::Interrupted,
        Ended::Complete if states.iter().all(well) => result_tables::exit(expected),
        Ended::Complete => Exit::Failed,
    }
}

/// What is left to do, and how to do it.
fn advise(exit: Exit, store: &Store, plan: &SweepPlan, states: &[(usize, RunState)]) {
    match exit {
        Exit::Interrupted => print_note("interrupted; the same command goes on from here"),
        Exit::Failed => {
            let open = |(_, state): &&(usize, RunState)| *state != RunState::Done;
            let open: Vec<usize> = states.iter().filter(open).map(|(run, _)| *run).collect();
            print_note(&format!("{} not done:", units::plural(open.len(), "run")));
            for &run in open.iter().take(LISTED) {
                // A record that cannot be read was an error before this.
                let status = store.run_dir(&plan.runs[run]).status().ok().flatten();
                print_note(&format!("  {}", ending(&plan.runs[run], status.as_ref())));
            }
            if open.len() > LISTED {
                print_note(&format!("  and {} more", open.len() - LISTED));
            }
            print_note("the same command with --retry trains those again that failed or diverged");
        }
        Exit::Well | Exit::Usage | Exit::Missed => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_is_not_done_decides_the_exit_code() {
        let done = (0, RunState::Done);
        assert_eq!(exit(Ended::Complete, &[done], &[]), Exit::Well);
        for state in [RunState::Failed, RunState::Diverged, RunState::Stopped] {
            assert_eq!(
                exit(Ended::Complete, &[done, (1, state)], &[]),
                Exit::Failed
            );
        }
        assert_eq!(exit(Ended::Interrupted, &[done], &[]), Exit::Interrupted);
    }
}
