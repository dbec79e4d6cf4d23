//! Scoring a variant on the test split.

use crate::support::{Lab, TINY};
use serde_json::Value;
use std::fs;

fn experiment() -> String {
    let text = TINY.replace("seeds: [1, 2]", "seeds: 4");
    let data = "plays_bytes: 20000}";
    assert!(text.contains(data));
    text.replace(
        data,
        "plays_bytes: 40000, val_fraction: 0.2, test_fraction: 0.2}",
    )
    .replace(
        "bigram: {model: {kind: bigram}}",
        "still: {optimizer: {lr: 1.0e-9}}",
    )
    .replace("baseline: bigram", "baseline: still")
    .replace(
        "gpt: {}",
        "gpt: {}\n    count: {model: {kind: ngram, order: 2}}",
    )
}

#[test]
fn each_use_of_the_test_split_is_counted() {
    let lab = Lab::new(&experiment());
    lab.run("sweep tiny.yaml").exits(0);
    let confirm = |rest: &str| lab.run(&format!("confirm results/tiny {rest}"));
    confirm("gpt")
        .exits(0)
        .shows("On the test split, gpt is better than the baseline still: ")
        .shows("97.5 % interval")
        .shows("This is the first use of this test split, with 4 seeds.");
    confirm("gpt")
        .exits(0)
        .shows("These runs were scored before, as use 1 of this test split.");
    let json: Value =
        serde_json::from_str(&confirm("count --format json").exits(0).stdout).unwrap();
    assert_eq!(
        (&json["test_uses"], &json["verdict"]),
        (&2.into(), &"better".into())
    );
    // The text is another part of the same source, so the losses are similar and not equal.
    let test = json["baseline_values"][0][1].as_f64().unwrap();
    let bits = lab.column("bits_per_byte");
    let validation: f64 = bits["still-1"].parse().unwrap();
    assert!(
        test != validation && (test - validation).abs() < 0.5,
        "{test} {validation}"
    );
    // Every format of the report shows both.
    for format in ["md", "html", "json", "pr"] {
        let report = lab.run(&format!("report results/tiny --format {format}"));
        let shown = match format {
            "json" => "\"test_uses\": 2",
            "html" => "Use of the test split",
            _ => "## Test split",
        };
        report.exits(0).shows(shown);
    }
    // Another experiment on the same text uses the same split.
    lab.run("sweep tiny.yaml name=other train.steps=20")
        .exits(0);
    lab.run("confirm results/other gpt")
        .shows("This is use 3 of this test split");
    let uses = fs::read_to_string(lab.path("results/test_uses.jsonl")).unwrap();
    assert_eq!(uses.lines().count(), 3);
}

#[test]
fn what_cannot_be_confirmed() {
    let lab = Lab::new(&experiment());
    lab.run("sweep tiny.yaml --only gpt-s[12]*").exits(0);
    let confirm = |rest: &str| lab.run(&format!("confirm results/tiny {rest}"));
    confirm("gpt")
        .exits(2)
        .says("is not done; `runner sweep` continues it");
    confirm("still").exits(2).says("still is the baseline");
    confirm("gtp")
        .exits(2)
        .says("there is no variant gtp; the variants are gpt and count");
    lab.run("confirm results/none gpt").exits(2);
    lab.run("sweep tiny.yaml name=plain data.test_fraction=0 sweep.seeds=1")
        .exits(0);
    lab.run("confirm results/plain gpt")
        .exits(2)
        .says("the experiment plain keeps no test split; set `data.test_fraction`");
    assert!(!lab.path("results/test_uses.jsonl").exists());
    lab.run("sweep tiny.yaml").exits(0);
    let model = lab.run_folder("gpt-s1").unwrap().join("model.safetensors");
    let weights = fs::read(&model).unwrap();
    let mut damaged = weights.clone();
    *damaged.last_mut().unwrap() ^= 1;
    fs::write(&model, damaged).unwrap();
    let failed = confirm("gpt").says("scoring gpt-s1");
    assert_ne!(failed.code(), Some(0));
    assert!(!lab.path("results/test_uses.jsonl").exists());
    fs::write(&model, weights).unwrap();
    fs::write(lab.path("results/test_uses.jsonl"), "damaged\n").unwrap();
    confirm("gpt").exits(1).says("line 1 is damaged");
}

/// Makes the record of a run that of a run that diverged.
fn let_diverge(lab: &Lab, run: &str) {
    let status = lab.run_folder(run).unwrap().join("status.json");
    let diverged = r#"{"state": "diverged", "reason": "loss is not finite", "outcome": null}"#;
    fs::write(status, diverged).unwrap();
}

#[test]
fn only_seeds_with_two_finished_runs_are_scored() {
    let lab = Lab::new(&experiment());
    lab.run("sweep tiny.yaml").exits(0);
    let confirm = |rest: &str| lab.run(&format!("confirm results/tiny {rest}"));
    let_diverge(&lab, "gpt-s2");
    let json: Value = serde_json::from_str(&confirm("gpt --format json").exits(0).stdout).unwrap();
    let seeds = |member: &str| -> Vec<u64> {
        let values = json[member].as_array().unwrap().iter();
        values.map(|value| value[0].as_u64().unwrap()).collect()
    };
    assert_eq!(seeds("values"), [1, 3, 4]);
    assert_eq!(seeds("baseline_values"), [1, 3, 4]);
    // A run of the baseline that is not scored makes no new use.
    let_diverge(&lab, "still-s2");
    confirm("gpt")
        .exits(0)
        .shows("These runs were scored before, as use 1 of this test split.");
    for run in ["still-s1", "still-s3", "still-s4"] {
        let_diverge(&lab, run);
    }
    confirm("gpt")
        .exits(2)
        .says("no seed has a finished run of both gpt and the baseline still; `runner sweep` with")
        .says("--retry-failed");
}

#[test]
fn one_seed_does_not_use_the_test_split_up() {
    let lab = Lab::new(&experiment());
    lab.run("sweep tiny.yaml sweep.seeds=1").exits(0);
    lab.run("confirm results/tiny gpt")
        .exits(2)
        .says("only one seed has a finished run of both gpt and the baseline still");
    assert!(!lab.path("results/test_uses.jsonl").exists());
    // The difference of two models that are counted is exact.
    let trained = "still: {optimizer: {lr: 1.0e-9}}";
    let counted = "still: {model: {kind: ngram, order: 3}}";
    let lab = Lab::new(&experiment().replace(trained, counted));
    lab.run("sweep tiny.yaml").exits(0);
    lab.run("confirm results/tiny count")
        .shows("This is the first use of this test split, with 1 seed.");
}

/// The text for training does not depend on how often the test split is used, and the validation split ends where
/// the test split begins.
#[test]
fn a_test_split_is_taken_from_the_end() {
    let lab = Lab::new(&experiment());
    lab.run("sweep tiny.yaml").exits(0);
    let folder = fs::read_dir(lab.path("results/tiny/cache")).unwrap().next();
    let folder = folder.unwrap().unwrap().path();
    let info: Value =
        serde_json::from_slice(&fs::read(folder.join("corpus.json")).unwrap()).unwrap();
    let bytes = |name: &str| info["info"][name].as_u64().unwrap();
    let (train, val) = (bytes("train_bytes"), bytes("val_bytes"));
    assert!(
        (2.99..=3.01).contains(&(train as f64 / val as f64)),
        "{train} {val}"
    );
}
