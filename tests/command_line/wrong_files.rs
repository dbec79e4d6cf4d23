//! Named pipes, devices, folders and links in the places of files, and files that cannot grow. No command waits for
//! ever, and nothing outside of the results folder changes.

use crate::support::{Lab, TINY};
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

const ONE_RUN: &str = "sweep tiny.yaml --only gpt-s1-*";

/// A laboratory in which one run has ended.
fn with_a_run() -> Lab {
    let lab = Lab::new(TINY);
    lab.run(ONE_RUN).exits(0);
    lab
}

fn make_pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[derive(Clone, Copy)]
enum Kind {
    Pipe,
    Folder,
    Loop,
    Device,
}

/// Puts something else in the place of a file.
fn replace(path: &Path, kind: Kind) {
    fs::remove_file(path).unwrap();
    match kind {
        Kind::Pipe => make_pipe(path),
        Kind::Folder => fs::create_dir(path).unwrap(),
        Kind::Loop => symlink(path, path).unwrap(),
        Kind::Device => symlink("/dev/zero", path).unwrap(),
    }
}

#[test]
fn run_with_something_else_in_the_place_of_a_file_is_trained_again() {
    let lab = with_a_run();
    let (before, folder) = (lab.results(), lab.run_folder("gpt-s1-").unwrap());
    for (name, kind) in [
        ("status.json", Kind::Device),
        ("metrics.jsonl", Kind::Pipe),
        ("config.yaml", Kind::Folder),
        ("samples.json", Kind::Loop),
    ] {
        replace(&folder.join(name), kind);
        let damage = format!("{name} is damaged: ");
        lab.run("verify results/tiny").exits(1).shows(&damage);
        lab.run("report results/tiny").exits(1).shows(&damage);
        assert_eq!(lab.column("val_loss")["gpt-1"], "", "{name}");
        lab.run(ONE_RUN).exits(0).says(&damage);
        assert_eq!(lab.results(), before, "{name}");
        lab.run("verify results/tiny").exits(0);
    }
    fs::remove_dir_all(&folder).unwrap();
    fs::write(&folder, "a file").unwrap();
    let damage = " is damaged: it is not a folder";
    lab.run("verify results/tiny").exits(1).shows(damage);
    lab.run("report results/tiny").exits(1).shows(damage);
    lab.run(ONE_RUN).exits(0).says(damage);
    assert_eq!(lab.results(), before);
}

#[test]
fn links_in_the_places_of_weights_and_plots_are_damage() {
    let lab = with_a_run();
    let weights = lab.run_folder("gpt-s1-").unwrap().join("model.safetensors");
    for kind in [Kind::Loop, Kind::Pipe] {
        replace(&weights, kind);
        lab.run("verify results/tiny")
            .exits(1)
            .shows("model.safetensors is damaged: ");
    }
    fs::remove_file(&weights).unwrap();
    symlink("absent", &weights).unwrap();
    lab.run("verify results/tiny")
        .exits(1)
        .shows("model.safetensors is damaged: it is missing");
    fs::remove_file(&weights).unwrap();
    lab.run("verify results/tiny")
        .exits(0)
        .shows("those of 1 run were deleted");
    for target in ["absent", "loss.svg"] {
        let plot = lab.path("results/tiny/plots/loss.svg");
        fs::remove_file(&plot).unwrap();
        symlink(target, &plot).unwrap();
        lab.run("verify results/tiny")
            .exits(1)
            .shows("report: plots/loss.svg is not what");
    }
}

#[test]
fn what_is_in_the_way_is_named() {
    let lab = with_a_run();
    let at = |name: &str| lab.path(&format!("results/tiny/{name}"));
    fs::remove_dir_all(at("plots")).unwrap();
    fs::write(at("plots"), "a file").unwrap();
    lab.run("report results/tiny")
        .exits(1)
        .says("results/tiny/plots is not a folder\nmove it away");
    fs::remove_file(at("plots")).unwrap();
    replace(&at("summary.csv"), Kind::Pipe);
    lab.run("compare results/tiny results/tiny")
        .exits(2)
        .says("summary.csv: it is not a regular file");
    fs::remove_dir_all(at("runs")).unwrap();
    fs::write(at("runs"), "a file").unwrap();
    for command in ["report results/tiny", ONE_RUN] {
        lab.run(command)
            .exits(1)
            .says("results/tiny/runs is not a folder\nmove it away");
    }
    fs::remove_file(at("runs")).unwrap();
    replace(&at("plan.json"), Kind::Pipe);
    for command in ["report results/tiny", ONE_RUN] {
        lab.run(command)
            .exits(1)
            .says("plan.json: it is not a regular file\nmove it away");
    }
    make_pipe(&lab.path("pipe.yaml"));
    lab.run("plan pipe.yaml")
        .exits(2)
        .says("it is not a regular file");
}

#[test]
fn damaged_kinds_of_files_in_the_cache_are_written_again() {
    let lab = with_a_run();
    for name in ["corpus.json", "train.bin", "tokenizer.json"] {
        let cache = fs::read_dir(lab.path("results/tiny/cache")).unwrap();
        let corpus = cache.map(|entry| entry.unwrap().path()).next().unwrap();
        replace(&corpus.join(name), Kind::Pipe);
        lab.run("verify results/tiny")
            .exits(1)
            .shows("it is not a regular file");
        lab.run(ONE_RUN)
            .exits(0)
            .says("it is not a regular file; it is written again");
    }
}

#[test]
fn a_sweep_changes_nothing_behind_a_link() {
    let lab = with_a_run();
    let at = |name: &str| lab.path(&format!("results/tiny/{name}"));
    fs::create_dir(lab.path("other")).unwrap();
    let foreign = lab.path("other/.partial-x");
    fs::write(&foreign, "kept").unwrap();
    fs::remove_dir_all(at("plots")).unwrap();
    symlink(lab.path("other"), at("plots")).unwrap();
    lab.run(ONE_RUN).exits(0);
    assert_eq!(fs::read_to_string(&foreign).unwrap(), "kept");
    fs::remove_file(at(".lock")).unwrap();
    symlink(&foreign, at(".lock")).unwrap();
    lab.run(ONE_RUN)
        .exits(1)
        .says("results/tiny/.lock: it is a symbolic link\nmove it away");
    assert_eq!(fs::read_to_string(&foreign).unwrap(), "kept");
}

#[test]
fn a_limit_of_file_sizes_is_an_error_that_leaves_nothing() {
    let lab = Lab::new(TINY);
    let output = Command::new("sh")
        .args(["-c", "ulimit -f 20; exec \"$0\" sweep tiny.yaml"])
        .arg(env!("CARGO_BIN_EXE_runner"))
        .current_dir(lab.path(""))
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    for text in [
        "File too large",
        "`ulimit -f`",
        "run the same command again",
    ] {
        assert!(stderr.contains(text), "{stderr}");
    }
    assert!(lab.is_untouched(), "{stderr}");
    lab.run(ONE_RUN).exits(0);
}

#[test]
fn a_run_says_for_which_process_it_waits() {
    let lab = with_a_run();
    let folder = lab.run_folder("gpt-s1-").unwrap();
    fs::remove_file(folder.join("status.json")).unwrap();
    let lock = folder.join(".lock");
    fs::write(&lock, r#"{"pid":4242,"host":null,"since":null}"#).unwrap();
    let held = File::open(lock).unwrap();
    held.lock().unwrap();
    let mut sweep = lab.start(&format!("{ONE_RUN} --format json"));
    sweep.until_says("waits for process 4242, which still holds results/tiny/runs/gpt-s1-");
    drop(held);
    let ended = sweep.wait().exits(0);
    let events = ended.stdout.lines();
    let events: Vec<serde_json::Value> = events
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let is_told = |event: &serde_json::Value| event.to_string().contains("waits for process 4242");
    assert!(events.iter().any(is_told), "{}", ended.stdout);
}
