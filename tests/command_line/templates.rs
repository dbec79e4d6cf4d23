//! Templates of reports.

use crate::support::{Lab, TINY};
use std::fs;

/// A folder with `experiments/tiny.yaml` and the template that it names beside it.
fn with_template(template: &str) -> Lab {
    let lab = Lab::new(TINY);
    let folder = lab.path("experiments");
    fs::create_dir(&folder).unwrap();
    let experiment = format!("{TINY}report:\n  template: mine.md.j2\n");
    fs::write(folder.join("tiny.yaml"), experiment).unwrap();
    fs::write(folder.join("mine.md.j2"), template).unwrap();
    lab
}

#[test]
fn template_is_relative_to_the_experiment() {
    let lab = with_template("{{ name }}: {{ baseline }}, {{ ranking | length }}\n");
    lab.run("sweep experiments/tiny.yaml").exits(0);
    let report = fs::read_to_string(lab.path("results/tiny/report.md")).unwrap();
    assert_eq!(report, "tiny: bigram, 2\n");
    // On the command line, it is relative to the current folder.
    lab.run("plan experiments/tiny.yaml report.template=experiments/mine.md.j2")
        .exits(0);
    lab.run("plan experiments/tiny.yaml report.template=mine.md.j2")
        .exits(2)
        .says("cannot read the template mine.md.j2");
    // The note of `runner report` names it so that it is found from any folder.
    let note = lab.run("report results/tiny").exits(0).stderr;
    let template = lab.path("experiments/mine.md.j2");
    let template = fs::canonicalize(template).unwrap();
    assert!(
        note.contains(&format!("--template {}", template.display())),
        "{note}"
    );
}

#[test]
fn template_with_a_mistake_is_an_error_before_training() {
    for (template, message) in [
        (
            "one\n{{ nmae }}\n",
            "mine.md.j2:2: undefined value: `nmae` is undefined",
        ),
        (
            "{% for row in ranking %}{{ row.loss }}{% endfor %}",
            "mine.md.j2:1: undefined value",
        ),
        ("\n\n{% if %}", "mine.md.j2:3: syntax error"),
        (
            "{% include \"/dev/zero\" %}",
            "mine.md.j2:1: template not found",
        ),
    ] {
        let lab = with_template(template);
        for command in ["plan", "sweep"] {
            lab.run(&format!("{command} experiments/tiny.yaml"))
                .exits(2)
                .says("experiments/tiny.yaml:15:13")
                .says(message);
        }
        assert!(lab.is_untouched());
    }
}

#[test]
fn template_without_bounds_is_an_error_before_training() {
    let double = "{% set text = namespace(all=\"x\") %}{% for i in range(50) %}\
                  {% set text.all = text.all ~ text.all %}{% endfor %}{{ text.all }}";
    // Only Linux limits the address space of a process, and an emulator of another processor does not.
    let double = cfg!(all(target_os = "linux", target_arch = "x86_64"))
        .then_some((double, "2.0 GiB of memory"));
    let long = "{% for i in range(100) %}{{ (\"x\" * 1000000) | safe }}{% endfor %}";
    for (template, limit) in double.into_iter().chain([(long, "64 MiB of output")]) {
        let lab = with_template(template);
        lab.run("plan experiments/tiny.yaml")
            .exits(2)
            .says("experiments/tiny.yaml:15:13")
            .says(&format!("mine.md.j2 takes more than {limit}\n"));
        assert!(lab.is_untouched());
    }
}

#[test]
fn pipe_in_the_place_of_a_template_is_not_read() {
    let lab = with_template("");
    fs::remove_file(lab.path("experiments/mine.md.j2")).unwrap();
    let made = std::process::Command::new("mkfifo")
        .arg(lab.path("experiments/mine.md.j2"))
        .status();
    assert!(made.unwrap().success());
    lab.run("plan experiments/tiny.yaml")
        .exits(2)
        .says("experiments/tiny.yaml:15:13")
        .says("mine.md.j2 is not a regular file");
}

#[test]
fn report_does_not_read_a_pipe_or_a_device_as_a_template() {
    let lab = Lab::new(TINY);
    lab.run("sweep tiny.yaml --only bigram").exits(0);
    let made = std::process::Command::new("mkfifo")
        .arg(lab.path("pipe"))
        .status();
    assert!(made.unwrap().success());
    for template in ["pipe", "/dev/zero"] {
        lab.run(&format!("report results/tiny --template {template}"))
            .exits(1)
            .says(&format!(
                "cannot read the template {template}: it is not a regular file"
            ));
    }
    fs::write(lab.path("large.j2"), "x".repeat((1 << 20) + 1)).unwrap();
    lab.run("report results/tiny --template large.j2")
        .exits(1)
        .says("cannot read the template large.j2: it is larger than 1 MiB");
}
