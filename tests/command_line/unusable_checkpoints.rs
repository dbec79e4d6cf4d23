//! A run that cannot continue from its checkpoints starts anew, and says so once.

use crate::support::{Lab, Ran, TINY};
use std::fs;
use std::path::Path;

const STOPPED: &str =
    "sweep tiny.yaml --jobs 1 --only gpt-s1-* train.steps=100000 train.eval_every=50";

/// A laboratory with a run that has a checkpoint and has not ended, and the folder of this run.
fn with_a_stopped_run() -> (Lab, std::path::PathBuf) {
    let lab = Lab::new(TINY);
    let mut sweep = lab.start(STOPPED);
    sweep.until_exists(|lab| {
        let run = lab.run_folder("gpt-s1-")?;
        Some(run.join("checkpoint/state-previous.safetensors"))
    });
    sweep.signal("TERM");
    sweep.wait().exits(130);
    let run = lab.run_folder("gpt-s1-").unwrap();
    (lab, run)
}

fn begin_again(lab: &Lab, until: &str) -> Ran {
    let mut sweep = lab.start(STOPPED);
    sweep.until_says(until);
    sweep.signal("TERM");
    sweep.wait().exits(130)
}

fn damage(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    bytes[100] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn run_that_starts_anew_is_not_said_to_continue() {
    for file in ["metrics.jsonl", "samples.json"] {
        let (lab, run) = with_a_stopped_run();
        if file == "samples.json" {
            for name in ["state.safetensors", "state-previous.safetensors"] {
                damage(&run.join("checkpoint").join(name));
            }
        } else {
            damage(&run.join(file));
        }
        let ran = begin_again(&lab, "it starts from the beginning")
            .never_says(": continues from step")
            .never_says("continues from its checkpoint");
        let lines = ran.stderr.lines();
        let said = lines.filter(|line| line.contains("cannot continue from"));
        assert_eq!(said.count(), 1, "{}", ran.stderr);
    }
}

#[test]
fn run_continues_from_the_checkpoint_before_a_damaged_one() {
    let (lab, run) = with_a_stopped_run();
    damage(&run.join("checkpoint/state.safetensors"));
    let ran = begin_again(&lab, "; it continues from step ");
    let step = |before: &str| -> u64 {
        let (_, rest) = ran.stderr.split_once(before).unwrap();
        rest.split_whitespace().next().unwrap().parse().unwrap()
    };
    assert_eq!(
        step(": continues from step "),
        step("; it continues from step ")
    );
}
