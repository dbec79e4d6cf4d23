//! A machine that starts no more threads, as with `ulimit -u`. Root has no such limit, so the tests ask for stacks that
//! no machine has.

use crate::support::{Lab, TINY};
use std::fs;

/// Makes the start of every thread fail.
fn without_threads(lab: Lab) -> Lab {
    lab.with_variable("RUST_MIN_STACK", &(1_u64 << 60).to_string())
}

#[test]
fn threads_that_cannot_be_started_are_a_failure_of_the_machine() {
    let lab = Lab::new(TINY);
    fs::write(lab.path("text.txt"), "a b c d ".repeat(1000)).unwrap();
    lab.run("sweep tiny.yaml --only bigram data.source=text.txt tokenizer.kind=bpe tokenizer.vocab_size=258")
        .exits(0);
    let tokenizer = fs::read_dir(lab.path("results/tiny/cache")).unwrap().next();
    let tokenizer = tokenizer.unwrap().unwrap().path().join("tokenizer.json");
    fs::copy(tokenizer, lab.path("tokenizer.json")).unwrap();

    let lab = without_threads(lab);
    for tokenizer in [
        "tokenizer.kind=bpe tokenizer.vocab_size=259",
        "tokenizer.kind=wordpiece tokenizer.vocab_size=20",
        "tokenizer.kind=file tokenizer.path=tokenizer.json",
        "tokenizer.kind=tiktoken",
    ] {
        let plan = format!("plan tiny.yaml data.source=text.txt {tokenizer}");
        lab.run(&plan)
            .exits(1)
            .says("error: cannot start threads: ")
            .never_says("panicked");
    }
    lab.run("sweep tiny.yaml").exits(1).never_says("panicked");
}

#[test]
fn a_plan_and_a_report_need_no_threads() {
    let lab = Lab::new(TINY);
    lab.run("sweep tiny.yaml").exits(0);
    let before = fs::read(lab.path("results/tiny/summary.csv")).unwrap();
    let lab = without_threads(lab);
    lab.run("report results/tiny").exits(0);
    assert_eq!(
        fs::read(lab.path("results/tiny/summary.csv")).unwrap(),
        before
    );
    lab.run("plan tiny.yaml data.plays_bytes=30000").exits(0);
    // Polars needs threads to read a table.
    fs::remove_file(lab.path("results/tiny/plan.json")).unwrap();
    lab.run("verify results/tiny --experiment tiny.yaml --rerun 1")
        .exits(1)
        .says("cannot read results/tiny/summary.csv: could not spawn threads")
        .never_says("panicked");
}
