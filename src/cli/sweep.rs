use super::args;
use super::args::SweepFormat;
use super::exit_verdict::{check_has_verdict, exit_by_verdict};
use super::live_report::LiveReport;
use super::result_tables::{self, Unfinished};
use super::{Error, Exit, experiment_target, print};
use crate::regular_file::is_present;
use crate::report::Report;
use crate::results::{RunState, Sealed, SweepPlan};
use crate::sweep as sweeps;
use crate::sweep::{
    Capacity, EventWriter, Machine, OpenRun, RunQueue, Store, SweepEnd, SweepEvent, build_plan,
    create_executor, describe_end, display, execute,
};
use crate::text::terminal::{columns, print_note};
use crate::text::units;
use crate::train::{Device, usable_step};
use std::collections::HashSet;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::Duration;

/// Most runs that are listed one by one at the end.
const MAX_LISTED: usize = 10;

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
    let document = experiment_target::load("sweep", &arguments.target)?;
    let expansion = document.expand()?;
    let device = arguments.device.resolve()?;
    let mut store = Store::open(experiment_target::folder(&document, &arguments.target)?)?;
    let command = experiment_target::command(&arguments.target, arguments.device);
    let mut plan = build_plan(&document, expansion, &store.cache(), command, device)?;
    experiment_target::check(&document, &plan)?;
    if let Some(variant) = &arguments.exit_verdict {
        check_has_verdict(&plan, variant)?;
    }
    let selected = experiment_target::select(&plan, &arguments.target)?;
    store.continue_plan(&mut plan)?;
    note_damage(&store, &plan)?;
    clear_runs(&store, &plan, &selected, arguments)?;
    let needed = needed(&store, &plan, &selected)?;
    let before = states_at_start(&store, &plan, &needed)?;
    let mut open = before.clone();
    open.retain(|(_, state)| matches!(state, RunState::NotStarted | RunState::Stopped));
    if let Some(note) = replaced_report(&store, &plan, &arguments.target.overrides)? {
        print_note(&note);
    }
    experiment_target::note_other_runs(&store, &plan);
    store.write_plan(&mut plan, open.is_empty())?;
    note_runs_with_fewer_steps(&store, &plan, &open);
    let capacity = Capacity {
        jobs: arguments.jobs,
        device,
        machine: Machine::of_this_process(),
    };
    let open = open.into_iter();
    let open = open.map(|run| OpenRun::new(&store, &plan, run, device));
    let queue = RunQueue::new(&plan, open.collect(), capacity);
    print_start(&plan, &before, &queue, device);
    if needed.is_empty() {
        print_note(&none_needed(&plan));
    }
    let mut observers = vec![display(&plan, &selected)];
    if arguments.format == SweepFormat::Json {
        write_event(&SweepEvent::SweepStarted {
            experiment: &plan.experiment.name,
            folder: &store.root().to_string_lossy(),
            config_hash: &plan.config_hash,
            runs: needed.len(),
            to_train: queue.runs().len(),
            jobs: queue.slots.jobs,
            threads: queue.slots.threads,
        })?;
        observers.push(Box::new(EventWriter::new(&plan, io::stdout())));
    }
    let template = document.template();
    let template = template.as_deref().and_then(Path::to_str);
    if arguments.report_every > 0 && !queue.is_empty() {
        observers.push(Box::new(LiveReport::start(
            store.root().to_owned(),
            store.place_check(),
            plan.clone(),
            template.map(str::to_owned),
            Duration::from_secs(arguments.report_every),
        )));
    }
    let end = if queue.is_empty() {
        Ok(SweepEnd::Complete)
    } else {
        let mut executor = create_executor().map_err(sweeps::Error::Program)?;
        execute(
            &plan,
            &store,
            queue,
            &selected,
            executor.as_mut(),
            &mut observers,
        )
    };
    drop(observers);
    if matches!(end, Ok(SweepEnd::FolderLost)) || !store.is_in_place() {
        return Err(Error::FolderLost(store.root().to_owned()));
    }
    // Also after an error, so that no page says that the sweep is running.
    let report = Report::render(store.root(), Sealed::verified(plan.clone()), template)
        .and_then(|report| report.write().map(|()| report));
    let end = end?;
    if let SweepEnd::MachineFailed(failure) = &end {
        return Err(Error::Machine(failure.clone()));
    }
    let report = report.map_err(Error::ReportAfterSweep)?;
    if arguments.format == SweepFormat::Text {
        print(&result_tables::render(&report.summary, columns()))?;
    }
    let needed = self::needed(&store, &plan, &selected)?;
    let mut states = states(&store, &plan, &needed)?;
    // In a search that has found the best settings, a run that diverged is a result.
    let found = store.found_settings(&plan)?;
    states.retain(|(run, state)| {
        let planned = &plan.runs[*run];
        let is_found = planned.is_search() && found.contains(planned.spec.variant.as_str());
        *state != RunState::Diverged || !is_found
    });
    if end == SweepEnd::Interrupted {
        return Ok(End {
            exit: Exit::Interrupted,
            reason: "interrupted; the same command continues from here".to_owned(),
            report: Some(report),
        });
    }
    print_unfinished(&store, &plan, &states);
    let (exit, reason) = match &arguments.exit_verdict {
        Some(variant) => {
            let mut compared = states.clone();
            compared.retain(|(run, _)| {
                let planned = &plan.runs[*run];
                let own = &planned.spec.variant;
                planned.smaller_size.is_none() && (own == variant || *own == plan.baseline)
            });
            let failed = unfinished(&compared).failed;
            exit_by_verdict(&report.summary, variant, failed)
        }
        None => {
            let summary = &report.summary;
            result_tables::exit(unfinished(&states), &summary.checks, &summary.claims)
        }
    };
    Ok(End {
        exit,
        reason: reason.unwrap_or_default(),
        report: Some(report),
    })
}

/// Says which records are damaged. The runs are trained again.
pub(super) fn note_damage(store: &Store, plan: &SweepPlan) -> Result<(), Error> {
    if let Some(damage) = store.plan_damage()? {
        print_note(&format!(
            "note: {damage}; it is written again, and how variants were compared before is not known"
        ));
    }
    for (run, error) in store.damaged_runs(plan) {
        let name = &plan.runs[run].name;
        print_note(&format!("note: {name} is trained again: {error}"));
    }
    Ok(())
}

/// Says which runs have finished with fewer steps, but cannot be continued.
fn note_runs_with_fewer_steps(store: &Store, plan: &SweepPlan, open: &[(usize, RunState)]) {
    let not_started = open
        .iter()
        .filter(|(_, state)| *state == RunState::NotStarted);
    let reasons = not_started.filter_map(|(run, _)| {
        let run = &plan.runs[*run];
        let shorter = store.shorter_run(run)?;
        let reason = shorter.why_not_continued(&run.spec)?;
        Some((shorter, run, reason))
    });
    let reasons: Vec<_> = reasons.collect();
    if let Some((shorter, run, reason)) = reasons.first() {
        let others = match reasons.len() - 1 {
            0 => String::new(),
            others => format!(" (and {others} more)"),
        };
        print_note(&format!(
            "note: {}{others} has finished with {} steps, but is not continued to {} steps, because {reason}; \
             it is trained from the beginning",
            shorter.name, shorter.spec.train.steps, run.spec.train.steps
        ));
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

/// Said if `--only` selects none of the runs that are needed so far.
fn none_needed(plan: &SweepPlan) -> String {
    let tuned = "with `sweep.tune`, a variant is compared after the search for its best settings has ended, \
                 and with these settings only";
    let sequential =
        "with `until: decided`, a variant gets more seeds only while its comparison is undecided";
    let reasons = [
        (!plan.tuned_paths().is_empty()).then_some(tuned),
        plan.sequential_seeds().map(|_| sequential),
    ];
    let reasons: Vec<&str> = reasons.into_iter().flatten().collect();
    format!(
        "none of the selected runs is needed: {}",
        reasons.join("; ")
    )
}

/// Said if the report that this sweep writes is not about the runs of the report that it replaces.
fn replaced_report(
    store: &Store,
    plan: &SweepPlan,
    overrides: &[String],
) -> Result<Option<String>, Error> {
    let report = store.root().join("report.md");
    if !is_present(&report) {
        return Ok(None);
    }
    let note = format!("note: this sweep replaces {}", report.display());
    let keep = "to keep the old report, add `--results DIR` or `name=other` to the command";
    let Some(before) = store.read_plan()? else {
        // A report that was committed comes without its plan.
        return Ok((!overrides.is_empty()).then(|| format!("{note}; {keep}")));
    };
    let names: HashSet<&str> = plan.runs.iter().map(|run| run.name.as_str()).collect();
    let lacks_runs = before
        .runs
        .iter()
        .any(|run| !names.contains(run.name.as_str()));
    Ok(match before.command == plan.command {
        true if lacks_runs => Some(format!("{note}, which is about other runs; {keep}")),
        false if lacks_runs || before.experiment != plan.experiment => Some(format!(
            "{note}, which `{}` wrote; the runs are kept, so that this command writes it again; {keep}",
            before.command
        )),
        _ => None,
    })
}

/// Prints what is trained, what is skipped and what continues. `states` are those of the needed runs.
fn print_start(plan: &SweepPlan, states: &[(usize, RunState)], queue: &RunQueue, device: Device) {
    let name = &plan.experiment.name;
    let runs = units::plural(states.len(), "run");
    let todo = queue.runs().len();
    let slots = queue.slots;
    let line = if todo == 0 {
        format!("{name}: {runs}, none to train")
    } else {
        let device = match device {
            Device::Cpu => "on the CPU".to_owned(),
            Device::Cuda(ordinal) => format!("on GPU {ordinal}"),
        };
        let threads = units::plural(slots.threads, "thread");
        format!(
            "{name}: {runs}, {todo} to train {device}, {} at a time, {threads} each",
            slots.jobs
        )
    };
    print_note(&line);
    let count = |wanted: &[RunState]| {
        let has_state = |(_, state): &&(usize, RunState)| wanted.contains(state);
        states.iter().filter(has_state).count()
    };
    let done = count(&[RunState::Done]);
    let failed = count(&[RunState::Failed, RunState::Diverged]);
    let stopped = count(&[RunState::Stopped]);
    let parts = [
        runs_that(done, "finished", ["is skipped", "are skipped"]),
        runs_that(failed, "failed or diverged", ["is skipped", "are skipped"]),
        runs_that(
            stopped,
            "stopped",
            [
                "continues from its checkpoint",
                "continue from their checkpoints",
            ],
        ),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if !parts.is_empty() {
        print_note(&parts.join(", "));
    }
}

/// `2 finished runs are skipped`, or nothing for 0.
fn runs_that(n: usize, kind: &str, [one, several]: [&str; 2]) -> Option<String> {
    let verb = if n == 1 { one } else { several };
    (n > 0).then(|| format!("{} {verb}", units::plural(n, &format!("{kind} run"))))
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

/// Prints which runs are not done, if there are any, and how to train failed and diverged runs again. The same
/// command continues stopped runs.
fn print_unfinished(store: &Store, plan: &SweepPlan, states: &[(usize, RunState)]) {
    let open = |(_, state): &&(usize, RunState)| *state != RunState::Done;
    let open: Vec<usize> = states.iter().filter(open).map(|(run, _)| *run).collect();
    if open.is_empty() {
        return;
    }
    print_note(&format!("{} not done:", units::plural(open.len(), "run")));
    for &run in open.iter().take(MAX_LISTED) {
        // A record that cannot be read was an error before this.
        let record = store.record(&plan.runs[run]).ok().flatten();
        let status = record.as_ref().map(|record| &record.status);
        print_note(&format!("  {}", describe_end(&plan.runs[run], status)));
    }
    if open.len() > MAX_LISTED {
        print_note(&format!("  and {} more", open.len() - MAX_LISTED));
    }
    // A run of a search that diverged is a result of the search.
    let can_be_retried = |(run, state): &(usize, RunState)| match state {
        RunState::Diverged => !plan.runs[*run].is_search(),
        state => *state == RunState::Failed,
    };
    if states.iter().any(can_be_retried) {
        print_note("to train failed and diverged runs again, add --retry-failed to the command");
    }
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
