//! What a sweep says about its runs before and after it trains them.

use super::Error;
use crate::regular_file::is_present;
use crate::results::{RunState, SweepPlan};
use crate::sweep::{RunQueue, Store, describe_end};
use crate::text::terminal::print_note;
use crate::text::units;
use crate::train::Device;
use std::collections::HashSet;

/// Most runs that are listed one by one at the end.
const MAX_LISTED: usize = 10;

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
pub(super) fn note_runs_with_fewer_steps(
    store: &Store,
    plan: &SweepPlan,
    open: &[(usize, RunState)],
) {
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

/// Said if `--only` selects none of the runs that are needed so far.
pub(super) fn none_needed(plan: &SweepPlan) -> String {
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
pub(super) fn replaced_report(
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
pub(super) fn print_start(
    plan: &SweepPlan,
    states: &[(usize, RunState)],
    queue: &RunQueue,
    device: Device,
) {
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

/// Prints which runs are not done, if there are any, and how to train failed and diverged runs again. The same
/// command continues stopped runs.
pub(super) fn print_unfinished(store: &Store, plan: &SweepPlan, states: &[(usize, RunState)]) {
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
