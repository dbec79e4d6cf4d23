//! A sweep that is interrupted anywhere, and started again, ends as if it had never been.

use crate::support::{Lab, TINY};
use runner::random::{Stream, below};
use std::time::{Duration, Instant};

/// A checkpoint every few steps, and enough steps to be killed in.
const SWEEP: &str = "sweep tiny.yaml --jobs 2 train.steps=400 train.eval_every=50";

#[test]
fn killed_at_random_moments_it_ends_with_the_same_results() {
    let calm = Lab::new(TINY);
    let start = Instant::now();
    calm.run(SWEEP).exits(0);
    let longest = start.elapsed().as_millis() as u64 / 4;

    let lab = Lab::new(TINY);
    let mut moments = Stream::new(1, "moments").at(0);
    let (mut killed, mut fresh) = (0, false);
    for _ in 0..100 {
        // A sweep that came to its end before its moment is begun again.
        let again = if fresh { " --fresh" } else { "" };
        let mut sweep = lab.start(&format!("{SWEEP}{again}"));
        std::thread::sleep(Duration::from_millis(below(&mut moments, longest.max(1))));
        fresh = !sweep.is_running();
        sweep.signal_all("KILL");
        sweep.wait();
        killed += u32::from(!fresh);
        if killed == 8 {
            break;
        }
    }
    assert_eq!(killed, 8, "kills that met a sweep that was on");
    lab.run(SWEEP).exits(0);
    assert_eq!(lab.results(), calm.results());
}

#[test]
fn a_parent_that_is_killed_alone_takes_its_workers_with_it() {
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
fn stopped_by_ctrl_c_it_goes_on_where_it_was() {
    let calm = Lab::new(TINY);
    calm.run(SWEEP).exits(0);

    let lab = Lab::new(TINY);
    let mut sweep = lab.start(SWEEP);
    sweep.until_exists(|lab| Some(lab.run_folder("gpt-s1-")?.join("checkpoint")));
    sweep.signal_all("INT");
    let stopped = sweep
        .wait()
        .exits(130)
        .says("stopping")
        .says("interrupted; the same command goes on from here");
    assert!(stopped.stderr.contains(": stopped"), "{}", stopped.stderr);
    // One word for it everywhere.
    assert_eq!(lab.column("status")["gpt-1"], "stopped");
    let report = std::fs::read_to_string(lab.path("results/tiny/report.md")).unwrap();
    assert!(report.contains("| stopped | at step "), "{report}");
    lab.run(&SWEEP.replace("sweep", "plan"))
        .exits(0)
        .shows(" stopped");
    lab.run(SWEEP).exits(0).says(": resumed");
    assert_eq!(lab.results(), calm.results());
}

#[test]
fn a_request_to_the_parent_alone_reaches_the_workers() {
    let lab = Lab::new(TINY);
    let mut sweep = lab.start(&format!("{SWEEP} train.steps=1000000"));
    sweep.until_exists(|lab| Some(lab.run_folder("gpt-s1-")?.join("checkpoint")));
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
