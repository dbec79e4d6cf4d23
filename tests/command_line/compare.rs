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
    assert_eq!(json["result"], "worse");
    assert_eq!(json["lost"], serde_json::json!([]));
}

/// The header of a table of runs with only the columns that a comparison needs, and more.
fn table(more_columns: &str, rows: &[&str]) -> String {
    let header = "variant,seed,run,status,device,steps,train_loss,val_loss,bits_per_byte,tokens_per_second,seconds,\
                  peak_memory_mb";
    format!("{header}{more_columns}\n{}\n", rows.join("\n"))
}

fn lab_with_tables(more_columns: &str, before: &[&str], after: &[&str]) -> Lab {
    let lab = Lab::new("");
    fs::write(lab.path("before.csv"), table(more_columns, before)).unwrap();
    fs::write(lab.path("after.csv"), table(more_columns, after)).unwrap();
    lab
}

#[test]
fn lost_results_are_named() {
    let before = [
        "a,1,a-s1,done,cpu,1,2,2,2.0,1,1,1",
        "a,2,a-s2,done,cpu,1,2,2,2.1,1,1,1",
        "a,3,a-s3,done,cpu,1,2,2,2.2,1,1,1",
        "b,1,b-s1,done,cpu,1,2,2,2.2,1,1,1",
        "b,2,b-s2,done,cpu,1,2,2,2.3,1,1,1",
    ];
    let after = [
        before[0],
        "a,2,a-s2,diverged,cpu,1,,,,1,1,1",
        "b,1,b-s1,stopped,cpu,1,,,,,,",
        before[4],
    ];
    let lab = lab_with_tables("", &before, &after);
    let compare = |rest: &str| lab.run(&format!("compare before.csv after.csv {rest}"));
    compare("")
        .exits(0)
        .shows("Nothing is tested without a gate: results of `a` and `b` are lost.")
        .shows("Lost: bits per byte of `a` with seed 2 (diverged) and seed 3 (absent).")
        .shows("Lost: bits per byte of `b` with seed 1 (not done).");
    compare("--gate bits_per_byte:0.1")
        .exits(3)
        .shows("**Worse: results of `a` are lost.**");
    compare("--gate bits_per_byte:0.1 --format json")
        .exits(3)
        .shows("\"state\": \"diverged\"");
    fs::write(lab.path("after.csv"), table("", &before[3..])).unwrap();
    compare("--gate bits_per_byte:0.1")
        .exits(4)
        .shows("**Undecided: results of `a` are lost.**")
        .shows("Lost: bits per byte of `a` with seeds 1, 2 and 3 (absent).");
}

#[test]
fn counted_models_are_decided() {
    let before = ["a,1,a-s1,done,cpu,0,,2,2.0,1,1,1,0"];
    let after = ["a,1,a-s1,done,cpu,0,,2,2.5,1,1,1,0"];
    let lab = lab_with_tables(",flops_per_token", &before, &after);
    lab.run("compare before.csv after.csv --gate bits_per_byte:0.1")
        .exits(3)
        .shows("| +0.5000 (exact) | 0.1000 | **worse** |");
    lab.run("compare after.csv before.csv --gate bits_per_byte:0.1")
        .exits(0)
        .shows("| −0.5000 (exact) | 0.1000 | passed |");
}

#[test]
fn every_line_has_the_decimals_that_its_change_needs() {
    let before = [
        "a,1,a-s1,done,cpu,1,,2,2.0,1,1,1",
        "b,1,b-s1,done,cpu,1,,2,2.0,1,1,1",
        "c,1,c-s1,done,cpu,1,,2,2.0,1,1,1",
    ];
    let after = [
        "a,1,a-s1,done,cpu,1,,2,1.0,1,1,1",
        "b,1,b-s1,done,cpu,1,,2,1.99999999,1,1,1",
        "c,1,c-s1,done,cpu,1,,2,2.0,1,1,1",
    ];
    let lab = lab_with_tables("", &before, &after);
    lab.run("compare before.csv after.csv --gate bits_per_byte:0.01")
        .exits(4)
        .shows("| 2.0000 | 1.0000 | −1.0000 | 0.0100 | undecided |")
        .shows("| 2.000000000 | 1.999999990 | −0.000000010 | 0.010000000 | undecided |");
    let after = ["a,1,a-s1,done,cpu,1,,2,1.0,1,1,1", before[1], before[2]];
    fs::write(lab.path("after.csv"), table("", &after)).unwrap();
    lab.run("compare before.csv after.csv --gate bits_per_byte:0.01")
        .exits(4)
        .shows("| 2.0000 | 1.0000 | −1.0000 | 0.0100 | undecided |")
        .shows("| 2.0000 | 2.0000 | 0.0000 | 0.0100 | unchanged |");
    lab.run("compare before.csv after.csv --gate bits_per_byte:-1")
        .exits(2)
        .says("`-1` is neither a number of at least 0 nor a percentage above 0, such as 0.5%");
}

#[test]
fn changed_data_is_named() {
    let row = |seed: u64, loss: f64, hashes: &str| {
        format!("a,{seed},a-s{seed},done,cpu,1,{loss},{loss},{loss},1,1,1,{hashes}")
    };
    let rows = |loss: f64, hashes: &str| {
        [
            row(1, loss, hashes),
            row(2, loss + 0.1, hashes),
            row(3, loss + 0.201, hashes),
        ]
    };
    let (before, after) = (rows(2.0, "t,u"), rows(1.0, "t,v"));
    let columns = ",data_sha256,tokenizer_sha256";
    let [before, after] = [&before, &after].map(|rows| rows.each_ref().map(String::as_str));
    let lab = lab_with_tables(columns, &before, &after);
    lab.run("compare before.csv after.csv --gate val_loss:0.1")
        .exits(4)
        .shows("The tokenizer of `a` changed. Losses per token cannot be compared.");
    lab.run("compare before.csv after.csv --gate bits_per_byte:0.1")
        .exits(0);
}

#[test]
fn a_table_tells_text_and_tokenizer() {
    let lab = Lab::new(TINY);
    lab.run("sweep tiny.yaml").exits(0);
    lab.run("sweep tiny.yaml name=other data.plays_bytes=40000")
        .exits(0);
    lab.run("compare results/tiny results/other")
        .shows("The text and the tokenizer of `bigram` and `gpt` changed. A change of the losses may come from");
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
    // A new experiment: nothing to compare with.
    lab.run("compare HEAD:results/other results/tiny --gate bits_per_byte:0.1")
        .exits(4)
        .shows("**There is nothing to compare.**")
        .shows("New, and so not compared: `bigram` and `gpt`.")
        .shows("The revision has no results at `HEAD:results/other`.");
    lab.run("compare results/tiny HEAD:results/other")
        .exits(2)
        .says("cannot read the results HEAD:results/other: the revision does not have it");
    lab.run("compare other:results/tiny results/tiny").exits(2);
}

#[test]
fn a_wide_interval_hides_no_digits_of_the_values() {
    let row = |variant: &str, seed: u64, bits: f64| {
        format!("{variant},{seed},{variant}-s{seed},done,cpu,0,,2,{bits},1,1,1")
    };
    let table = |last: f64| {
        [
            row("a", 1, 4.5312),
            row("a", 2, 4.5298),
            row("b", 1, 4.5301),
            row("b", 2, last),
        ]
    };
    let (before, after) = (table(4.5317), table(5.5317));
    let [before, after] = [&before, &after].map(|rows| rows.each_ref().map(String::as_str));
    let lab = lab_with_tables("", &before, &after);
    lab.run("compare before.csv after.csv")
        .exits(0)
        .shows("| `a` | bits per byte | 2 | 4.5305 | 4.5305 | 0.0000 |")
        .shows("| `b` | bits per byte | 2 | 4.5309 | 5.0309 | 0 [");
}

#[test]
fn runs_that_are_not_compared_are_counted() {
    let before = [
        "a,1,a-s1,done,cpu,0,,2,2.0,1,1,1,",
        "a,1,a-s1,done,cpu,0,,2,3.0,1,1,1,1",
    ];
    let after = [
        "a,1,a-s1,done,cpu,0,,2,2.0,1,1,1,",
        "a,1,a-s1,done,cpu,0,,2,3.5,1,1,1,1",
    ];
    let lab = lab_with_tables(",size", &before, &after);
    lab.run("compare before.csv after.csv --gate bits_per_byte:0.1")
        .exits(0)
        .shows("**No value of the compared runs has changed.**")
        .shows("Not compared: 1 run of a search or of a smaller size.");
    let twice = [before[0], before[0]];
    let lab = lab_with_tables(",size", &twice, &after);
    lab.run("compare before.csv after.csv")
        .exits(2)
        .says("cannot read the results before.csv: it has two lines for a with seed 1");
}
