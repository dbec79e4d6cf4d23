//! The scripts of the workflows, and the loop of `experiments/programs.md`.

use crate::support::{Lab, TINY};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A script of the repository, to be run in a lab with `runner` and the programs of the lab.
fn script(lab: &Lab, path: &str) -> Command {
    let runner = Path::new(env!("CARGO_BIN_EXE_runner")).parent().unwrap();
    let programs = lab.path("programs");
    let path_variable = std::env::var("PATH").unwrap();
    let mut command = Command::new("bash");
    command
        .arg(root().join(path))
        .current_dir(lab.path("."))
        .env(
            "PATH",
            format!(
                "{}:{}:{path_variable}",
                programs.display(),
                runner.display()
            ),
        )
        .env_remove("GITHUB_STEP_SUMMARY");
    command
}

fn write_program(path: PathBuf, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn exits(output: Output, code: i32) -> String {
    let [out, errors] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert_eq!(output.status.code(), Some(code), "{out}\n{errors}");
    errors.into_owned()
}

/// Runs the script that sweeps, and returns the text of its comment.
fn sweep(lab: &Lab, variables: &[(&str, &str)], code: i32) -> String {
    let outputs = lab.path("outputs");
    let _ = fs::remove_file(&outputs);
    let mut command = script(lab, ".github/actions/sweep/sweep.sh");
    command
        .env("EXPERIMENT", "tiny.yaml")
        .env("GITHUB_OUTPUT", &outputs);
    exits(
        command.envs(variables.iter().copied()).output().unwrap(),
        code,
    );
    let outputs = fs::read_to_string(outputs).unwrap_or_default();
    let comment = outputs
        .lines()
        .find_map(|line| line.strip_prefix("comment="));
    comment.map_or(String::new(), |path| fs::read_to_string(path).unwrap())
}

#[test]
fn the_sweep_of_a_pull_request_makes_a_comment() {
    let lab = Lab::new(TINY);
    let comment = sweep(&lab, &[("ARGUMENTS", "train.steps=20 sample.tokens=5")], 0);
    assert!(
        comment.starts_with("<!-- runner-report: tiny -->\n"),
        "{comment}"
    );
    assert!(
        comment.contains("train.steps=20 sample.tokens=5"),
        "{comment}"
    );
    // A mistake in the experiment leaves no comment.
    assert_eq!(sweep(&lab, &[("ARGUMENTS", "train.steps=many")], 2), "");
}

#[test]
fn a_gate_compares_with_the_base_of_a_pull_request() {
    let lab = Lab::new(TINY);
    lab.run("sweep tiny.yaml").exits(0);
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.args(["-c", "user.name=a", "-c", "user.email=a@b"]);
        let output = command.args(arguments).current_dir(lab.path(".")).output();
        exits(output.unwrap(), 0);
    };
    git(&["init", "--quiet"]);
    git(&["add", "--force", "results/tiny/summary.csv"]);
    git(&["commit", "--quiet", "--message", "Results"]);
    let gate = [("COMPARE_WITH", "HEAD"), ("GATE", "bits_per_byte: 1%")];
    let comment = sweep(&lab, &gate, 0);
    assert!(
        comment.contains("## Compared with HEAD\n\n**No value has changed.**"),
        "{comment}"
    );
    let worse = [gate[0], gate[1], ("ARGUMENTS", "optimizer.lr=1.0e-9")];
    let comment = sweep(&lab, &worse, 3);
    assert!(comment.contains("**Worse: "), "{comment}");
}

/// Keeps the comments of a pull request in a file, as the API of GitHub does.
const GH: &str = r#"#!/usr/bin/env bash
set -euo pipefail
store=$STORE
[ -e "$store" ] || echo '[{"id": 1, "user": {"type": "User"}, "body": "<!-- runner-report: tiny -->\nmine"}]' > "$store"
case "$*" in
    "api --paginate repos/a/b/issues/7/comments") cat "$store" ;;
    "api repos/a/b/pulls/7") echo '{"state": "open", "head": {"sha": "abc"}}' ;;
    "api --method POST repos/a/b/issues/7/comments --input -")
        jq --slurpfile new <(cat) '. + [$new[0] + {id: (length + 1), user: {type: "Bot"}}]' "$store" > "$store.new"
        mv "$store.new" "$store" ;;
    "api --method PATCH repos/a/b/issues/comments/"*" --input -")
        id=$(echo "$*" | sed 's/.*comments.\([0-9]*\) .*/\1/')
        jq --argjson id "$id" --slurpfile new <(cat) 'map(if .id == $id then . + $new[0] else . end)' "$store" > "$store.new"
        mv "$store.new" "$store" ;;
    *) echo "unknown call: $*" >&2; exit 1 ;;
esac
"#;

fn comments(lab: &Lab) -> Vec<String> {
    let text = fs::read(lab.path("store.json")).unwrap();
    let comments: Vec<serde_json::Value> = serde_json::from_slice(&text).unwrap();
    let bodies = comments
        .iter()
        .map(|comment| comment["body"].as_str().unwrap());
    bodies.map(str::to_owned).collect()
}

#[test]
fn a_comment_replaces_the_earlier_one_of_the_same_experiment() {
    let lab = Lab::new(TINY);
    write_program(lab.path("programs/gh"), GH);
    let comment = |text: &str, code| {
        fs::write(lab.path("comment.md"), text).unwrap();
        let mut command = script(&lab, ".github/actions/sweep/comment.sh");
        command.env("STORE", lab.path("store.json"));
        command
            .env("GITHUB_REPOSITORY", "a/b")
            .env("PULL_REQUEST", "7");
        let command = command.env("COMMENT", "comment.md");
        exits(command.output().unwrap(), code)
    };
    comment("<!-- runner-report: tiny -->\nfirst `$(date)` \"'\n", 0);
    comment("<!-- runner-report: other -->\nother\n", 0);
    comment("<!-- runner-report: tiny -->\nsecond\n", 0);
    let errors = comment("no marker\n", 1);
    assert!(errors.contains("no marker in its first line"), "{errors}");
    let expected = [
        "<!-- runner-report: tiny -->\nmine", // of a person
        "<!-- runner-report: tiny -->\nsecond\n",
        "<!-- runner-report: other -->\nother\n",
    ];
    assert_eq!(comments(&lab), expected);
}

#[test]
fn a_comment_from_a_fork_is_checked() {
    let lab = Lab::new(TINY);
    write_program(lab.path("programs/gh"), GH);
    let comment = |number: &str, head: &str, code| {
        fs::create_dir_all(lab.path("comment")).unwrap();
        fs::write(
            lab.path("comment/comment.md"),
            "<!-- runner-report: tiny -->\n",
        )
        .unwrap();
        fs::write(lab.path("comment/pull_request"), number).unwrap();
        let mut command = script(&lab, ".github/actions/sweep/checked_comment.sh");
        command.env("STORE", lab.path("store.json"));
        command
            .env("GITHUB_REPOSITORY", "a/b")
            .env("HEAD_SHA", head);
        exits(command.arg("comment").output().unwrap(), code)
    };
    assert!(comment("7 --method DELETE", "abc", 1).contains("is no number"));
    assert!(comment("7", "another", 1).contains("is not open with the commit another"));
    comment("7\n", "abc", 0);
    assert_eq!(comments(&lab).len(), 2);
}

/// The program of the loop in the page. It proposes ten changes, of which two help.
const PROPOSE: &str = r#"#!/bin/sh
[ -e "$1" ] && done=$(wc -l < "$1") || done=0
sed -n "$((done + 1))p" changes.txt | grep .
"#;

const CHANGES: &str = "\
optimizer.lr=1.0e-7
optimizer.weight_decay=0.101
optimizer.lr=1.0e-2
optimizer.grad_clip=0.99
optimizer.lr=1000.0
sample.seed=3
model.dropout=0.9
model.n_embd=maybe
train.batch_size=32
optimizer.lr=1.0e-9
";

#[test]
fn a_loop_keeps_the_changes_that_help() {
    let page = fs::read_to_string(root().join("experiments/programs.md")).unwrap();
    let loop_script = fs::read_to_string(root().join("experiments/loop/loop.sh")).unwrap();
    assert!(
        page.contains(&format!("```sh\n{loop_script}```")),
        "the page shows the script"
    );
    let lab = Lab::new(TINY);
    let file = fs::read_to_string(root().join("experiments/loop/loop.yaml")).unwrap();
    // A smaller model and a number of steps, so that the test is fast and does not depend on the machine.
    let file = file
        .replace(
            "n_layer: 2, n_head: 2, n_embd: 64, block_size: 64",
            "n_layer: 1, n_head: 1, n_embd: 16, block_size: 16",
        )
        .replace(
            "seconds: 20, batch_size: 16, eval_every: 100",
            "steps: 60, batch_size: 4",
        )
        .replace(
            "source: builtin:plays",
            "source: builtin:plays\n  plays_bytes: 30000",
        );
    assert!(file.contains("steps: 60") && file.contains("n_layer: 1") && file.contains("30000"));
    fs::write(lab.path("loop.yaml"), file).unwrap();
    write_program(lab.path("propose"), PROPOSE);
    fs::write(lab.path("changes.txt"), CHANGES).unwrap();
    let mut command = script(&lab, "experiments/loop/loop.sh");
    let output = command.output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    let log = fs::read_to_string(lab.path("loop.tsv")).unwrap_or_default();
    let errors = exits(output, 0);
    let rows: Vec<Vec<&str>> = log.lines().map(|line| line.split('\t').collect()).collect();
    let kept = rows.iter().filter(|row| row[0] == "keep").map(|row| row[1]);
    assert_eq!(
        kept.collect::<Vec<_>>(),
        ["optimizer.lr=1.0e-2", "train.batch_size=32"],
        "{log}\n{errors}"
    );
    assert_eq!(rows.len(), 10, "{log}");
    assert!(rows.iter().all(|row| row.len() == 6), "{log}");
    // A setting that was changed before is compared with its kept value.
    assert_eq!(rows[9][..2], ["discard", "optimizer.lr=1.0e-9"], "{log}");
    let invalid = rows.iter().filter(|row| row[1] == "model.n_embd=maybe");
    assert!(invalid.map(|row| row[0]).eq(["invalid"]), "{log}");
    assert!(
        shown.contains("On the test split, candidate is better than the baseline best"),
        "{shown}"
    );
    assert!(
        shown.contains("the first use of this test split, with 5 seeds"),
        "{shown}"
    );
}

/// The outputs that a workflow reads from a step with an action of this repository.
#[test]
fn workflows_read_outputs_that_the_action_has() {
    let read = |path: &str| -> serde_yaml::Value {
        serde_yaml::from_str(&fs::read_to_string(root().join(path)).unwrap()).unwrap()
    };
    let action = read(".github/actions/sweep/action.yml");
    let has_output = |name: &str| action["outputs"].get(name).is_some();
    let text = fs::read_to_string(root().join(".github/workflows/sweep.yml")).unwrap();
    let workflow = read(".github/workflows/sweep.yml");
    let steps = workflow["jobs"]["sweep"]["steps"].as_sequence().unwrap();
    let step = steps
        .iter()
        .find(|step| step["uses"] == "./.github/actions/sweep")
        .unwrap();
    let start = format!("steps.{}.outputs.", step["id"].as_str().unwrap());
    let names = text.split(&start).skip(1);
    let names: Vec<&str> = names
        .map(|rest| rest.split(|c: char| !c.is_alphanumeric()).next().unwrap())
        .collect();
    assert!(
        names.len() > 2 && names.iter().all(|name| has_output(name)),
        "{names:?}"
    );
    let inputs = step["with"].as_mapping().unwrap().keys();
    assert!(
        inputs
            .into_iter()
            .all(|input| action["inputs"].get(input).is_some())
    );
}
