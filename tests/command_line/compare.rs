//! Comparing the results of two revisions.

use crate::support::{Lab, TINY};
use std::fs;
use std::process::Command;

/// A finished sweep, and a copy of its table of runs in which each loss of `gpt` is worse.
fn lab_with_a_worse_table() -> Lab {
    let lab = Lab::new(TINY);
    lab.run("sweep tiny.yaml").exits(0);
    let csv = fs::read_to_string(lab.path("results/tiny/summary.csv")).unwrap();
    let mut worse = csv.clone();
    for (run, bits) in lab.column("bits_per_byte") {
        if run.starts_with("gpt") {
            let value: f64 = bits.parse().unwrap();
            worse = worse.replace(&bits, &(value + 0.5).to_string());
        }
    }
    assert_ne!(worse, csv);
    fs::write(lab.path("worse.csv"), worse).unwrap();
    lab
}

#[test]
fn exit_code_says_whether_a_variant_has_become_worse() {
    let lab = lab_with_a_worse_table();
    let gate = "--gate bits_per_byte:0.1";
    let compare = |rest: &str| lab.run(&format!("compare results/tiny {rest}"));
    compare("results/tiny")
        .exits(0)
        .shows("**No value has changed.**");
    compare("worse.csv").exits(0).shows("| not tested |");
    compare(&format!("worse.csv {gate}"))
        .exits(3)
        .shows("**Worse: 1 variant by more than the tolerance.**")
        .shows("| **worse** |");
    lab.run(&format!("compare worse.csv results/tiny {gate}"))
        .exits(0)
        .shows("| passed |");
    compare("worse.csv --gate bits_per_byte:0.5000001%").exits(3);
    compare("worse.csv --gate seconds:1000000").exits(0);
    compare("absent")
        .exits(2)
        .says("cannot read the results absent: there is no such file or folder");
    compare("tiny.yaml")
        .exits(2)
        .says("tiny.yaml: it is not a table of runs");
    compare("worse.csv --gate loss:1")
        .exits(2)
        .says("`loss` is no metric of a table of runs");
}

#[test]
fn comparison_is_read_by_programs() {
    let lab = lab_with_a_worse_table();
    let command = "compare results/tiny worse.csv --gate bits_per_byte:0.1 --format json";
    let output = lab.run(command).exits(3);
    let json: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    let changes = json["changes"].as_array().unwrap();
    let of = |variant: &str| changes.iter().find(|change| change["variant"] == variant);
    assert_eq!(of("gpt").unwrap()["result"], "worse");
    assert_eq!(of("gpt").unwrap()["seeds"], 2);
    assert_eq!(of("bigram").unwrap()["result"], "unchanged");
}

#[test]
fn results_of_a_git_revision() {
    let lab = lab_with_a_worse_table();
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.args(["-c", "user.name=a", "-c", "user.email=a@b"]);
        let output = command.args(arguments).current_dir(lab.path(".")).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    git(&["init", "--quiet"]);
    git(&["add", "--force", "results/tiny/summary.csv"]);
    git(&["commit", "--quiet", "--message", "Results"]);
    fs::copy(lab.path("worse.csv"), lab.path("results/tiny/summary.csv")).unwrap();
    lab.run("compare HEAD:results/tiny results/tiny --gate bits_per_byte:0.1")
        .exits(3);
    lab.run("compare HEAD:results/tiny/summary.csv HEAD:results/tiny --gate bits_per_byte:0.1")
        .exits(0);
    lab.run("compare HEAD:results/other results/tiny")
        .exits(2)
        .says("cannot read the results HEAD:results/other: ");
    lab.run("compare other:results/tiny results/tiny").exits(2);
}
