//! A results folder that is moved or deleted while a sweep works in it.

use crate::support::{Lab, TINY};
use std::fs;

const ENDLESS: &str = "sweep tiny.yaml --jobs 2 --only gpt-* train.steps=10000000 train.eval_every=10000000 \
                       --report-every 1";

#[test]
fn sweep_ends_and_creates_nothing() {
    for is_deleted in [false, true] {
        let lab = Lab::new(TINY);
        let mut sweep = lab.start(ENDLESS);
        sweep.until_exists(|lab| {
            let run = lab.run_folder("gpt-s1-")?;
            Some(run.join("checkpoint/state.safetensors"))
        });
        // Without the name, nobody finds the folder. It can then be deleted while it is written.
        let moved = lab.path("results/moved");
        fs::rename(lab.path("results/tiny"), &moved).unwrap();
        if is_deleted {
            while fs::remove_dir_all(&moved).is_err() {}
        }
        let ended = sweep
            .wait()
            .exits(1)
            .says("results/tiny, or the lock file in it, was moved or deleted during the sweep");
        assert!(!lab.path("results/tiny").exists(), "{}", ended.stderr);
        if !is_deleted {
            fs::rename(&moved, lab.path("results/tiny")).unwrap();
            let mut again = lab.start(ENDLESS);
            again.until_says(": continues from step ");
        }
    }
}
