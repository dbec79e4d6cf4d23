//! What `verify` finds besides damaged records, which `sweep.rs` has.

use crate::support::{Lab, TINY};
use std::fs;

const ONE_RUN: &str = "sweep tiny.yaml --only gpt-s1-*";

#[test]
fn damaged_checkpoint_of_a_finished_run_is_named() {
    let lab = Lab::new(TINY);
    lab.run(&format!("{ONE_RUN} train.evaluate=best")).exits(0);
    lab.run("verify results/tiny").exits(0);
    let run = lab.run_folder("gpt-s1-").unwrap();
    let files = fs::read_dir(run.join("checkpoint")).unwrap();
    let mut names: Vec<_> = files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert!(names[0].starts_with("best-"), "{names:?}");
    assert!(names.contains(&"state.safetensors".to_owned()), "{names:?}");
    for name in names {
        let path = run.join("checkpoint").join(&name);
        let whole = fs::read(&path).unwrap();
        let mut damaged = whole.clone();
        *damaged.last_mut().unwrap() ^= 1;
        for contents in [&damaged[..], &whole[..100], b""] {
            fs::write(&path, contents).unwrap();
            lab.run("verify results/tiny")
                .exits(1)
                .shows("1 verified, 3 not ended")
                .shows("damaged checkpoints of 1 finished run, whose results are intact:")
                .shows(&format!("checkpoint/{name} is damaged: "))
                .shows("only a run with more steps continues from them");
        }
        fs::write(&path, whole).unwrap();
    }
    fs::remove_dir_all(run.join("checkpoint")).unwrap();
    lab.run("verify results/tiny").exits(0);
}

#[test]
fn rerun_without_a_reproducible_run_is_undecided() {
    let lab = Lab::new(&TINY.replace("steps: 30", "seconds: 0.2"));
    lab.run("sweep tiny.yaml --only gpt-s1-* train.eval_every=5")
        .exits(0);
    lab.run("verify results/tiny").exits(0);
    lab.run("verify results/tiny --rerun 1")
        .exits(4)
        .shows("its length is a time")
        .shows("nothing to compare: no finished run can be trained again");
    let metrics = lab.run_folder("gpt-s1-").unwrap().join("metrics.jsonl");
    fs::write(metrics, "").unwrap();
    lab.run("verify results/tiny --rerun 1").exits(1);
}

#[test]
fn damaged_record_of_test_uses_is_named() {
    let test_use = r#"{"text":"t","runs":"r","experiment":"x","variant":"b","baseline":"a","values":[[1,1.5]],"baseline_values":[[1,1.6]]}"#;
    let lab = Lab::new(TINY);
    lab.run(ONE_RUN).exits(0);
    let path = lab.path("results/test_uses.jsonl");
    fs::write(&path, format!("{test_use}\n")).unwrap();
    lab.run("verify results/tiny")
        .exits(0)
        .shows("test_uses.jsonl: 1 use of a test split");
    fs::write(&path, format!("{test_use}\n{}", &test_use[..50])).unwrap();
    lab.run("verify results/tiny")
        .exits(1)
        .shows("test_uses.jsonl: line 2 is incomplete; restore the file from a backup");
}
