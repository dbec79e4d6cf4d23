//! A sweep from end to end: what is trained, what is skipped, what is left behind.

use crate::support::{Lab, TINY, kill};
use std::fs;

/// Steps that no test waits for.
const ENDLESS: &str = "train.steps=1000000 train.eval_every=1000000";

#[test]
fn the_same_file_gives_the_same_results_whatever_the_jobs() {
    let (one, two) = (Lab::new(TINY), Lab::new(TINY));
    one.run("sweep tiny.yaml --jobs 1")
        .exits(0)
        .says("tiny: 4 runs, 4 to train on the CPU, 1 at a time")
        .shows("report.md");
    two.run("sweep tiny.yaml --jobs 2")
        .exits(0)
        .says("2 at a time");
    assert_eq!(one.results(), two.results());
    assert_eq!(one.results().len(), 4);
    assert!(one.column("status").values().all(|status| status == "done"));
    let losses = one.column("val_loss");
    assert_ne!(losses["gpt-1"], losses["gpt-2"], "seeds differ");
}

#[test]
fn what_is_done_is_skipped_and_the_report_stays_as_it_was() {
    let lab = Lab::new(TINY);
    lab.run("sweep tiny.yaml").exits(0).says("4 to train");
    let report = fs::read(lab.path("results/tiny/report.md")).unwrap();
    lab.run("sweep tiny.yaml")
        .exits(0)
        .says("none to train")
        .never_says("started");
    assert_eq!(
        fs::read(lab.path("results/tiny/report.md")).unwrap(),
        report
    );
    fs::remove_file(lab.path("results/tiny/report.md")).unwrap();
    lab.run("report results/tiny").exits(0).shows("report.md");
    assert_eq!(
        fs::read(lab.path("results/tiny/report.md")).unwrap(),
        report
    );
}

#[test]
fn a_length_in_epochs_is_that_of_the_text() {
    let epochs = "train: {epochs: 0.5, batches: sequential, eval_every: 0.25 epochs";
    let text = TINY
        .replace("train: {steps: 30", epochs)
        .replace(", eval_every: 15", "");
    let lab = Lab::new(&text);
    lab.run("sweep tiny.yaml optimizer.schedule.warmup_steps=200")
        .exits(2)
        .says("is more than the 156 steps of the run");
    assert!(lab.is_untouched());
    lab.run("sweep tiny.yaml").exits(0);
    // Half of 19,919 characters, in sequences of 16, in batches of 4.
    assert_eq!(lab.column("steps")["gpt-1"], "156");
    // The last word on the length is that of the command line.
    lab.run("plan tiny.yaml train.steps=7")
        .exits(0)
        .shows("448");
}

#[test]
fn another_configuration_is_another_run_and_the_first_is_kept() {
    let lab = Lab::new(TINY);
    lab.run("sweep tiny.yaml --only bigram").exits(0);
    lab.run("sweep tiny.yaml --only bigram train.steps=31")
        .exits(0)
        .says("2 to train");
    // Without what only says which part, and how fast.
    let plan = fs::read_to_string(lab.path("results/tiny/plan.json")).unwrap();
    assert!(plan.contains(r#""command": "runner sweep tiny.yaml train.steps=31","#));
    lab.run("sweep tiny.yaml --only bigram")
        .exits(0)
        .says("none to train");
    let steps = lab.column("steps");
    assert_eq!(steps["bigram-1"], "30");
}

#[test]
fn only_trains_a_part_and_the_rest_comes_later() {
    let lab = Lab::new(TINY);
    lab.run("sweep tiny.yaml --only gpt-s1-*")
        .exits(0)
        .says("tiny: 1 run, 1 to train");
    assert_eq!(lab.column("status")["gpt-1"], "done");
    lab.run("sweep tiny.yaml")
        .exits(0)
        .says("tiny: 4 runs, 3 to train");
    assert!(lab.column("status").values().all(|status| status == "done"));
}

#[test]
fn fresh_trains_again_what_is_done() {
    let lab = Lab::new(TINY);
    lab.run("sweep tiny.yaml").exits(0);
    let before = lab.results();
    let mark = lab.run_folder("gpt-s1-").unwrap().join("mark");
    fs::write(&mark, "").unwrap();
    lab.run("sweep tiny.yaml --fresh")
        .exits(0)
        .says("4 to train");
    assert!(!mark.exists());
    assert_eq!(lab.results(), before);
}

#[test]
fn a_run_that_diverges_is_recorded_and_the_others_go_on() {
    let lab = Lab::new(&TINY.replace(
        "    gpt: {}",
        "    wild: {optimizer: {kind: sgd, lr: 1000.0, momentum: 0.99, grad_clip: 0.0}}\n    gpt: {}",
    ));
    lab.run("sweep tiny.yaml")
        .exits(1)
        .says("diverged")
        .says("--retry");
    let status = lab.column("status");
    assert_eq!(
        (&*status["wild-1"], &*status["gpt-1"]),
        ("diverged", "done")
    );
    assert!(!lab.column("reason")["wild-1"].is_empty());

    lab.run("sweep tiny.yaml")
        .exits(1)
        .says("none to train")
        .says("2 runs not done:\n  wild-s1-")
        .says(": diverged: ");
    lab.run("sweep tiny.yaml --retry --only wild")
        .exits(1)
        .says("tiny: 2 runs, 2 to train");
    lab.run("sweep tiny.yaml --only gpt").exits(0);
}

#[test]
fn a_worker_that_is_killed_costs_its_run_alone() {
    let lab = Lab::new(&TINY.replace(
        "    gpt: {}",
        "    gpt: {}\n    victim: {train: {steps: 1000000, eval_every: 1000000}}",
    ));
    lab.run("sweep tiny.yaml --only gpt").exits(0);
    let mut sweep = lab.start("sweep tiny.yaml --jobs 1 --only [bv]*s1*");
    sweep.until_exists(|lab| Some(lab.run_folder("victim-s1-")?.join("checkpoint")));
    for worker in sweep.workers() {
        kill("KILL", &worker.to_string());
    }
    sweep.wait().exits(1).says("failed: killed by SIGKILL");
    let status = lab.column("status");
    assert_eq!(
        (&*status["victim-1"], &*status["bigram-1"]),
        ("failed", "done")
    );
    assert!(lab.column("reason")["victim-1"].starts_with("killed by SIGKILL"));
}

#[test]
fn a_second_sweep_is_told_who_holds_the_folder() {
    let lab = Lab::new(TINY);
    let other = Lab::new(TINY);
    let results = lab.path("results");
    let command = |more: &str| format!("sweep tiny.yaml --results {} {more}", results.display());
    let mut first = other.start(&command(ENDLESS));
    first.until_says("started");
    lab.run(&command("")).exits(2).says(&format!(
        "results/tiny is in use by another sweep (process {}",
        first.pid()
    ));
    // Looking is not touching.
    lab.run("plan tiny.yaml").exits(0);
    first.signal_all("KILL");
    first.wait();
    lab.run(&command("--only bigram")).exits(0);
}

#[test]
fn a_record_that_cannot_be_read_is_named_with_a_way_out() {
    let lab = Lab::new(TINY);
    lab.run("sweep tiny.yaml --only bigram-s1-*").exits(0);
    let folder = lab.run_folder("bigram-s1-").unwrap();
    fs::write(folder.join("status.json"), "{").unwrap();
    lab.run("sweep tiny.yaml --only bigram-s1-*")
        .exits(2)
        .says("--fresh");
    lab.run("sweep tiny.yaml --only bigram-s1-* --fresh")
        .exits(0);
}

#[test]
fn a_figure_that_is_missed_has_an_exit_code_of_its_own() {
    let expect = "expect:
  - {metric: params, value: 3721}
  - {variant: gpt, metric: val_loss, step: 15, value: 1.0, tolerance: 0.01}
  - {metric: train_loss, value: 3, tolerance_percent: 50}
";
    let text =
        format!("{TINY}{expect}").replace("eval_every: 15", "eval_every: 15, eval_train: true");
    let lab = Lab::new(&text);
    lab.run("plan tiny.yaml").exits(0).shows("parameters");
    lab.run("sweep tiny.yaml")
        .exits(3)
        .shows("Of 3 figures expected, 2 met and 1 missed")
        .shows("validation loss at step 15");
    lab.run("report results/tiny").exits(3);
    assert!(
        lab.column("train_split_loss")
            .values()
            .all(|loss| !loss.is_empty())
    );
    let text = text.replace("value: 3721", "value: 3722");
    Lab::new(&text)
        .run("plan tiny.yaml train.steps=10")
        .exits(3)
        .shows("missed");
}
