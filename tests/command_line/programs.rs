//! What programs read: events, exit codes that are verdicts, and the report of a running sweep.

use crate::support::{Lab, Ran, TINY};
use serde_json::Value;
use std::fs;

/// The events of a sweep.
fn events(ran: &Ran) -> Vec<Value> {
    let lines = ran.stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn each_event_is_a_line_and_the_last_one_has_the_report() {
    let lab = Lab::new(TINY);
    let events = events(&lab.run("sweep tiny.yaml --format json").exits(0));
    let of = |kind: &str| -> Vec<&Value> {
        let events = events.iter().filter(|event| event["event"] == kind);
        events.collect()
    };
    assert_eq!(events[0]["event"], "sweep_started");
    assert_eq!(
        (&events[0]["runs"], &events[0]["to_train"]),
        (&4.into(), &4.into())
    );
    assert_eq!((of("run_started").len(), of("run_ended").len()), (4, 4));
    assert!(!of("run_progress").is_empty());
    for end in of("run_ended") {
        assert_eq!(end["state"], "done");
        assert!(end["bits_per_byte"].as_f64().unwrap() > 1.0, "{end}");
    }
    let last = events.last().unwrap();
    assert_eq!(
        (&last["event"], &last["exit_code"]),
        (&"sweep_ended".into(), &0.into())
    );
    let file = fs::read_to_string(lab.path("results/tiny/report.json")).unwrap();
    assert_eq!(
        last["report"],
        serde_json::from_str::<Value>(&file).unwrap()
    );
}

#[test]
fn an_error_is_an_event_too() {
    let lab = Lab::new(&TINY.replace("n_head: 2", "n_head: 3"));
    let ran = lab.run("sweep tiny.yaml --format json").exits(2);
    let events = events(&ran);
    assert_eq!((events.len(), &events[0]["exit_code"]), (1, &2.into()));
    let reason = events[0]["reason"].as_str().unwrap();
    assert!(reason.contains("tiny.yaml:4:"), "{reason}");
    ran.says("tiny.yaml:4:");
}

/// Two seeds are enough: a model that does not learn is far from one that does.
const LEARNING: &str = "\
name: tiny
data: {source: 'builtin:plays', plays_bytes: 20000}
model: {n_layer: 1, n_head: 2, n_embd: 16, block_size: 16}
optimizer: {lr: 1.0e-2}
train: {steps: 30, batch_size: 4}
sample: {tokens: 1}
sweep:
  seeds: 4
  baseline: still
  variants:
    still: {optimizer: {lr: 1.0e-9}}
    still_too: {optimizer: {lr: 2.0e-9}}
    learns: {}
";

#[test]
fn the_exit_code_can_be_a_verdict() {
    let lab = Lab::new(LEARNING);
    let sweep = |rest: &str| lab.run(&format!("sweep tiny.yaml {rest}"));
    sweep("--exit-verdict learns").exits(0);
    sweep("--exit-verdict still --results other sweep.baseline=learns")
        .exits(3)
        .says("still: worse (exit code 3)");
    sweep("--exit-verdict learns sweep.seeds=1 --results one")
        .exits(4)
        .says("learns: one seed: no interval (exit code 4)");
    sweep("--exit-verdict still_too compare.margin=0.5 --results margin")
        .exits(3)
        .says("still_too: equivalent (exit code 3)");
    sweep(
        "--exit-verdict still_too --results same sweep.variants.still.optimizer.lr=1.0e-30 \
         sweep.variants.still_too.optimizer.lr=2.0e-30",
    )
    .exits(4)
    .says("still_too: same results (exit code 4)");
    sweep("--exit-verdict learn")
        .exits(2)
        .says("there is no variant learn\nthe variants with a verdict are still_too and learns");
    sweep("--exit-verdict still")
        .exits(2)
        .says("still is the baseline");
    sweep("--exit-verdict learns --dry-run").exits(2);
}

#[test]
fn a_variant_whose_run_diverged_has_no_verdict() {
    let lab = Lab::new(&LEARNING.replace(
        "learns: {}",
        "learns: {}\n    wild: {optimizer: {kind: sgd, lr: 1000.0, momentum: 0.99, grad_clip: 0.0}}",
    ));
    lab.run("sweep tiny.yaml --exit-verdict wild")
        .exits(1)
        .says("wild: no result, 4 runs failed or diverged (exit code 1)");
    lab.run("sweep tiny.yaml --exit-verdict learns").exits(0);
}

#[test]
fn the_report_is_written_while_runs_are_trained() {
    let lab = Lab::new(TINY);
    let mut sweep = lab.start(
        "sweep tiny.yaml --report-every 1 --only gpt train.steps=1000000 train.eval_every=50",
    );
    let page = || fs::read_to_string(lab.path("results/tiny/report.html")).unwrap_or_default();
    let is_live = |page: &str| page.contains("location.reload");
    sweep.until_exists(|lab| {
        let plot = lab.path("results/tiny/plots/loss.svg");
        let drawn = fs::read_to_string(&plot).unwrap_or_default();
        drawn.contains("(not finished)").then_some(plot)
    });
    assert!(is_live(&page()));
    let text = fs::read_to_string(lab.path("results/tiny/report.md")).unwrap();
    assert!(text.contains("**Unfinished**: 0 of "), "{text}");
    sweep.signal("INT");
    sweep.wait().exits(130);
    let page = page();
    assert!(!is_live(&page) && page.contains("Unfinished"), "{page}");
}

#[test]
fn watch_prints_its_screen_once_without_a_terminal() {
    let lab = Lab::new(TINY)
        .with_variable("COLUMNS", "90")
        .with_variable("LINES", "30");
    lab.run("sweep tiny.yaml").exits(0);
    let screen = lab.run("watch results/tiny").exits(0).stdout;
    assert!(screen.lines().count() <= 30, "{screen}");
    let widths = screen.lines().map(|line| line.chars().count());
    assert_eq!(widths.max(), Some(90), "{screen}");
    lab.run("watch results/tiny")
        .exits(0)
        .shows("4 of 4 runs ended, 0 running")
        .shows("Verdicts so far")
        .shows("gpt-s1-");
    lab.run("watch results/none").exits(2);
}
