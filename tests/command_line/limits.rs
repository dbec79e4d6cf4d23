//! Limits of memory and processes. They are the fault of no run.

use crate::support::{Lab, TINY};
use std::fs;

#[test]
fn run_without_memory_is_stopped_and_continues() {
    let sweep = "sweep tiny.yaml --only gpt-s1-* --jobs 1 train.steps=2 train.eval_every=2 model.n_embd=512 \
                 model.n_layer=4 sample.tokens=0";
    let lab = Lab::new(TINY);
    let mut advice = 0;
    // The weights and what the optimizer keeps of them take 200 MB.
    for limit in [150_000, 200_000, 250_000] {
        let stopped = lab.run_in_shell(&format!("ulimit -v {limit}; exec"), sweep);
        let stopped = stopped
            .exits(1)
            .says("the same command then continues every run")
            .never_says("backtrace");
        advice += usize::from(
            stopped
                .stderr
                .contains("\nfree memory, raise the limit of memory"),
        );
        let run = lab.run_folder("gpt-s1-").unwrap();
        assert!(!run.join("status.json").exists(), "the run has not failed");
        fs::remove_dir_all(lab.path("results")).unwrap();
    }
    assert!(advice > 0, "threads can be what the memory is missing for");
    lab.run_in_shell("ulimit -v 150000; exec", sweep).exits(1);
    lab.run(sweep).exits(0);
    assert_eq!(lab.column("status")["gpt-1"], "done");
}

/// The sweep itself lacks memory, with one of these limits at the latest.
#[test]
fn sweep_without_memory_says_what_to_free() {
    let mut explained = 0;
    for limit in (60_000..=100_000).step_by(5_000) {
        let lab = Lab::new(TINY);
        let ran = lab.run_in_shell(&format!("ulimit -v {limit}; exec"), "sweep tiny.yaml");
        // Below the first of them, the system may not even start the program.
        let is_aborted = ran.code().is_none();
        assert!(!is_aborted || explained == 0, "{limit}: {}", ran.stderr);
        if ran.stderr.contains("error: out of memory\nfree memory") {
            explained += 1;
            assert_eq!(ran.code(), Some(1), "{limit}: {}", ran.stderr);
        }
    }
    assert!(explained > 0);
}
