//! A sweep that is interrupted at any moment and started again gives the results of an uninterrupted one.

use crate::support::{Lab, TINY};
use runner::random::{Stream, below};
use std::time::{Duration, Instant};

/// A checkpoint every few steps, and enough steps that the sweep can be killed in between.
const SWEEP: &str = "sweep tiny.yaml --jobs 2 train.steps=400 train.eval_every=50";

#[test]
fn sweep_killed_at_random_moments_gives_the_same_results() {
    let uninterrupted = Lab::new(TINY);
    let start = Instant::now();
    uninterrupted.run(SWEEP).exits(0);
    let longest = start.elapsed().as_millis() as u64 / 4;

    let lab = Lab::new(TINY);
    let mut moments = Stream::new(1, "moments").at(0);
    let (mut killed, mut ended) = (0, false);
    for _ in 0..100 {
        // A sweep that ended before it was killed is started again.
        let again = if ended { " --restart" } else { "" };
        let mut sweep = lab.start(&format!("{SWEEP}{again}"));
        std::thread::sleep(Duration::from_millis(below(&mut moments, longest.max(1))));
        ended = !sweep.is_running();
        sweep.signal_all("KILL");
        sweep.wait();
        killed += u32::from(!ended);
        if killed == 8 {
            break;
        }
    }
    assert_eq!(killed, 8, "kills of a sweep that was running");
    lab.run(SWEEP).exits(0);
    assert_eq!(lab.results(), uninterrupted.results());
}

#[test]
fn workers_end_when_the_sweep_is_killed() {
    let lab = Lab::new(TINY);
    let mut sweep = lab.start(&format!("{SWEEP} train.steps=1000000"));
    sweep.until_exists(|lab| Some(lab.run_folder("gpt-s1-")?.join("checkpoint")));
    let workers = sweep.workers();
    assert!(!workers.is_empty());
    sweep.signal("KILL");
    sweep.wait();
    let gone = |pid: &u32| !std::path::Path::new(&format!("/proc/{pid}")).exists();
    let start = Instant::now();
    while !workers.iter().all(gone) {
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "orphans: {workers:?}"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn sweep_stopped_by_ctrl_c_continues() {
    let uninterrupted = Lab::new(TINY);
    uninterrupted.run(SWEEP).exits(0);

    let lab = Lab::new(TINY);
    let mut sweep = lab.start(SWEEP);
    sweep.until_exists(|lab| Some(lab.run_folder("gpt-s1-")?.join("checkpoint")));
    sweep.signal_all("INT");
    let stopped = sweep
        .wait()
        .exits(130)
        .says("stopping")
        .says("interrupted; the same command continues from here");
    assert!(stopped.stderr.contains(": stopped"), "{}", stopped.stderr);
    // The table, the report and the plan use the same word.
    assert_eq!(lab.column("status")["gpt-1"], "stopped");
    let report = std::fs::read_to_string(lab.path("results/tiny/report.md")).unwrap();
    assert!(report.contains("| stopped | at step "), "{report}");
    lab.run(&SWEEP.replace("sweep", "plan"))
        .exits(0)
        .shows(" stopped at step ");
    lab.run(SWEEP)
        .exits(0)
        .says(" stopped run")
        .says(": continues from step ");
    assert_eq!(lab.results(), uninterrupted.results());
}

#[test]
fn signal_to_the_sweep_alone_stops_the_workers() {
    let lab = Lab::new(TINY);
    let mut sweep = lab.start(&format!("{SWEEP} train.steps=1000000"));
    sweep.until_exists(|lab| Some(lab.run_folder("gpt-s1-")?.join("checkpoint")));
    let plan = SWEEP.replace("sweep", "plan");
    lab.run(&format!("{plan} train.steps=1000000"))
        .exits(0)
        .shows("running, step ");
    sweep.signal("TERM");
    sweep.wait().exits(130).says(": stopped");
    assert!(
        lab.run_folder("gpt-s1-")
            .unwrap()
            .join("checkpoint")
            .exists()
    );
    assert!(
        !lab.run_folder("gpt-s1-")
            .unwrap()
            .join("status.json")
            .exists()
    );
}
