use super::args;
use super::experiment_target::{self, Cache};
use super::result_tables::{self, Unfinished};
use super::sweep_notes::note_damage;
use super::{Error, Exit, print};
use crate::report::{self, checks_of_plan};
use crate::results::{PlannedRun, RunState, SweepPlan};
use crate::spec::ModelKind;
use crate::sweep::{Capacity, Machine, OpenRun, RunQueue, Store, Trained, build_plan};
use crate::text::escape::visible;
use crate::text::terminal::{columns, print_note};
use crate::text::units;
use crate::text::wrap::wrapped;
use crate::train::{self, Estimate};
use comfy_table::{Cell, CellAlignment, Table, presets};
use std::collections::{HashMap, HashSet};

pub(super) fn run(arguments: &args::Plan) -> Result<Exit, Error> {
    let document = experiment_target::load("plan", &arguments.target)?;
    let expansion = document.expand()?;
    if arguments.resolved {
        print(&document.resolved())?;
        return Ok(Exit::Success);
    }
    let device = arguments.device.resolve()?;
    let folder = experiment_target::folder(&document, &arguments.target)?;
    let store = Store::open_readonly(folder);
    let cache = Cache::of_plan(&store)?;
    let command = experiment_target::command(&arguments.target, arguments.device);
    let mut plan = build_plan(&document, expansion, cache.path(), command, device)?;
    experiment_target::check(&document, &plan)?;
    store.continue_plan(&mut plan)?;
    note_damage(&store, &plan)?;
    let selected = experiment_target::select(&plan, &arguments.target)?;
    let needed = store.needed_runs(&plan)?;
    let possible = store.possible_runs(&plan)?;
    let compared = needed.iter().map(|&run| &plan.runs[run]);
    let compared = compared.filter(|run| !run.is_search());
    let compared: HashSet<&str> = compared.map(|run| run.spec.variant.as_str()).collect();
    let is_searching = |variant: &str| !compared.contains(variant);
    let rows = selected
        .into_iter()
        .filter(|run| possible.binary_search(run).is_ok())
        .map(|run| {
            let planned = &plan.runs[run];
            let state = store.state(planned)?;
            let trained = store.trained(planned, state, device);
            let estimate = train::estimate(&planned.spec, &plan.corpora[planned.corpus]);
            Ok(Row {
                run,
                is_needed: needed.binary_search(&run).is_ok(),
                seconds: estimate.left(trained.share).seconds,
                estimate,
                state,
                trained,
                follows_search: is_searching(&planned.spec.variant),
                is_search: planned.is_search(),
            })
        })
        .collect::<Result<Vec<Row>, Error>>()?;
    let capacity = Capacity {
        jobs: arguments.jobs,
        device,
        machine: Machine::of_this_process(),
    };
    let total = total(&plan, &rows, capacity);
    let tokenizers = tokenizers(&plan);
    let matched = matched(&plan);
    let counted_once = counted_once(&plan);
    let table = table(&plan, &rows, threads(&plan, &rows, capacity));
    let columns = columns();
    let prose = wrapped(&format!("{matched}{counted_once}"), columns);
    // Below the first line there can be a table.
    let (sentence, costs) = total.split_once('\n').unwrap_or((&total, ""));
    let mut text = format!(
        "{table}\n\n{tokenizers}\n\n{prose}{}\n",
        wrapped(sentence, columns)
    );
    if !costs.is_empty() {
        text += &format!("{costs}\n");
    }
    let checks = checks_of_plan(&plan);
    if !checks.is_empty() {
        text += &format!("\n{}\n", result_tables::checks(&checks));
    }
    print(&text)?;
    experiment_target::note_other_runs(&store, &plan);
    let (exit, reason) = result_tables::exit(Unfinished::default(), &checks, &[]);
    if let Some(reason) = reason {
        print_note(&reason);
    }
    Ok(exit)
}

/// One line of the table.
struct Row {
    run: usize,
    /// Whether it is needed according to the results so far.
    is_needed: bool,
    /// Of the whole run.
    estimate: Estimate,
    /// Estimated seconds of what is left of a run that has not ended, and of the whole run if it has.
    seconds: f64,
    state: RunState,
    trained: Trained,
    /// Whether it is trained with the settings that a search finds that has not ended.
    follows_search: bool,
    /// Whether it belongs to the search itself.
    is_search: bool,
}

impl Row {
    fn shown_state(&self) -> String {
        let step = units::exact(self.trained.step);
        match self.state {
            RunState::NotStarted | RunState::Stopped if self.trained.is_running => {
                format!("running, step {step}")
            }
            RunState::NotStarted if !self.is_needed && self.is_search => {
                "depends on results".to_owned()
            }
            RunState::NotStarted if !self.is_needed && self.follows_search => {
                "after the search".to_owned()
            }
            RunState::NotStarted if !self.is_needed => "only while undecided".to_owned(),
            RunState::NotStarted if self.trained.step > 0 => {
                format!("continues a run of {step} steps")
            }
            RunState::Stopped => format!("stopped at step {step}"),
            state => state.to_string(),
        }
    }

    fn open(&self) -> OpenRun {
        OpenRun {
            run: self.run,
            state: self.state,
            trained: self.trained.share,
        }
    }

    fn is_open(&self) -> bool {
        matches!(self.state, RunState::NotStarted | RunState::Stopped)
    }
}

/// Number of threads of each run: of those that are trained next or, if there are none, of all.
fn threads(plan: &SweepPlan, rows: &[Row], capacity: Capacity) -> usize {
    let next = rows.iter().filter(|row| row.is_open() && row.is_needed);
    let mut runs: Vec<_> = next.map(Row::open).collect();
    if runs.is_empty() {
        runs.extend(rows.iter().map(Row::open));
    }
    RunQueue::new(plan, runs, capacity).slots.threads
}

/// Estimates of memory are those with `threads` threads.
fn table(plan: &SweepPlan, rows: &[Row], threads: usize) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header([
        "run",
        "parameters",
        "FLOPs/token",
        "tokens",
        "est. time",
        "est. memory",
        "state",
    ]);
    for row in rows {
        let run = &plan.runs[row.run];
        table.add_row(vec![
            Cell::new(run.title()),
            right(parameters(run)),
            right(units::count(run.flops_per_token)),
            right(tokens(run, &row.estimate)),
            right(units::duration(row.seconds)),
            right(units::memory(row.estimate.memory.on(threads))),
            Cell::new(row.shown_state()),
        ]);
    }
    table.trim_fmt()
}

/// The number of training tokens. That of a run whose length is a time depends on the machine.
fn tokens(run: &PlannedRun, estimate: &Estimate) -> String {
    let tokens = units::count(estimate.steps as f64 * run.spec.tokens_per_step() as f64);
    match run.spec.train.planned_steps() {
        Some(_) => tokens,
        None => format!("about {tokens}"),
    }
}

/// The number of parameters. That of an n-gram model is known after counting only.
fn parameters(run: &PlannedRun) -> String {
    match run.spec.model.kind {
        ModelKind::Ngram => "known after counting".to_owned(),
        _ => units::count(run.params as f64),
    }
}

/// Vocabulary and token counts of each tokenizer.
fn tokenizers(plan: &SweepPlan) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header([
        "tokenizer",
        "vocabulary",
        "bytes/token",
        "unknown",
        "lossless",
        "training tokens",
    ]);
    for row in report::tokenizers(plan) {
        table.add_row(vec![
            Cell::new(visible(&row.tokenizer)),
            right(row.vocab_size),
            right(row.bytes_per_token),
            right(row.unknown),
            Cell::new(if row.lossless { "yes" } else { "no" }),
            Cell::new(row.train_tokens),
        ]);
    }
    table.trim_fmt()
}

/// A paragraph with the value that was chosen for each matched variant. Empty if variants are not
/// matched.
fn matched(plan: &SweepPlan) -> String {
    let lines = report::matched_variants(plan);
    if lines.is_empty() {
        return String::new();
    }
    let lines: String = lines.iter().map(|line| format!("  {line}\n")).collect();
    format!("matched to {}:\n{lines}\n", plan.baseline)
}

/// A paragraph with the variants that have one run although there are several seeds. Empty without one.
fn counted_once(plan: &SweepPlan) -> String {
    let sweep = plan.experiment.sweep.as_ref();
    let has_seeds = sweep.is_some_and(|sweep| sweep.seeds.all().len() > 1);
    let runs = plan.runs.iter().filter(|run| plan.is_seed_free(run));
    let mut names: Vec<&str> = runs.map(|run| run.spec.variant.as_str()).collect();
    names.dedup();
    if names.is_empty() || !has_seeds {
        return String::new();
    }
    format!(
        "counted once, because the result does not depend on the seed: {}\n\n",
        units::list(&names)
    )
}

fn right(text: String) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

/// The number of runs in each state, and the estimated time of those that are not done.
fn total(plan: &SweepPlan, rows: &[Row], capacity: Capacity) -> String {
    let states = [
        RunState::Done,
        RunState::Stopped,
        RunState::NotStarted,
        RunState::Failed,
        RunState::Diverged,
    ];
    let counts = states.iter().filter_map(|&state| {
        let with_state = rows.iter().filter(|row| row.state == state);
        let n = with_state.filter(|row| !row.trained.is_running).count();
        (n > 0).then(|| format!("{n} {state}"))
    });
    let running = rows.iter().filter(|row| row.trained.is_running).count();
    let running = (running > 0).then(|| format!("{running} running"));
    let counts: Vec<String> = counts.chain(running).collect();
    let runs = units::plural(rows.len(), "run");
    let text = format!("{runs}: {}", counts.join(", "));
    let queue = |rows: &mut dyn Iterator<Item = &Row>| {
        let open = rows.filter(|row| row.is_open());
        let open: Vec<_> = open.map(Row::open).collect();
        RunQueue::new(plan, open, capacity)
    };
    let needed = queue(&mut rows.iter().filter(|row| row.is_needed || row.is_search));
    if needed.is_empty() {
        // All comparisons are decided, and the runs that are not needed stay as they are.
        return text;
    }
    let is_later = |row: &&Row| row.is_open() && !row.is_needed;
    if !rows.iter().any(|row| is_later(&row)) {
        let [time, jobs] = cost(&needed);
        return format!("{text}; {time} {jobs}");
    }
    let all = queue(&mut rows.iter());
    let follow_search = rows.iter().filter(is_later).any(|row| row.follows_search);
    let cases = match (plan.sequential_seeds(), follow_search) {
        (Some(_), false) => vec![(MINIMUM, needed), (MAXIMUM, all)],
        (Some(range), true) => {
            let least = queue(&mut least_runs(plan, rows, range.min));
            vec![(SEARCH, needed), (MINIMUM, least), (MAXIMUM, all)]
        }
        (None, _) => vec![(SEARCH, needed), ("in all", all)],
    };
    format!("{text}; to train:\n{}", costs(&cases))
}

/// The runs before a search has ended.
const SEARCH: &str = "until the search has ended";
/// The runs of an experiment with sequential seeds, if every variant needs the fewest.
const MINIMUM: &str = "at least";
/// The same, if every variant needs the most.
const MAXIMUM: &str = "at most, if comparisons stay undecided";

/// The rows that are needed however the comparisons end: those of the search, even if it depends on results which
/// of them are trained, and the first `min` seeds of each variant.
fn least_runs<'a>(plan: &SweepPlan, rows: &'a [Row], min: u64) -> impl Iterator<Item = &'a Row> {
    let mut seeds: HashMap<&str, u64> = HashMap::new();
    rows.iter().filter(move |row| {
        let run = &plan.runs[row.run];
        let seed = seeds.entry(&run.spec.variant).or_default();
        *seed += u64::from(!run.is_search());
        row.is_needed || row.is_search || (row.follows_search && *seed <= min)
    })
}

/// A line for each case, with its runs and their cost.
fn costs(cases: &[(&str, RunQueue)]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    for (case, queue) in cases {
        let [time, jobs] = cost(queue);
        table.add_row(vec![
            Cell::new(format!(" {case}:")),
            right(units::plural(queue.runs().len(), "run")),
            right(time),
            Cell::new(jobs),
        ]);
    }
    table.trim_fmt()
}

/// The estimated time of some runs, and how many of them are trained at the same time.
fn cost(queue: &RunQueue) -> [String; 2] {
    let time = units::duration(queue.total_seconds());
    let jobs = units::plural(queue.slots.jobs, "run");
    [format!("about {time}"), format!("with {jobs} at a time")]
}
