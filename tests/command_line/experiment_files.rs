//! `runner init`, `runner validate` and `runner plan --resolved`, and what is generated for shells.

use crate::support::{Lab, TINY};
use std::fs;

#[test]
fn a_new_file_is_valid_and_is_not_overwritten() {
    let lab = Lab::new(TINY);
    let init = lab.run("init my/first.yaml").exits(0).stdout;
    assert!(init.starts_with("my/first.yaml is written"), "{init}");
    assert_eq!(
        lab.run("validate my/first.yaml tiny.yaml").exits(0).stdout,
        "my/first.yaml: valid, 6 runs of 2 variants\ntiny.yaml: valid, 4 runs of 2 variants\n"
    );
    lab.run("plan my/first.yaml").exits(0);
    let written = fs::read_to_string(lab.path("my/first.yaml")).unwrap();
    assert!(written.contains("\nname: \"first\"\n"), "{written}");
    let again = lab.run("init my/first.yaml").exits(2);
    assert!(
        again.stderr.contains("my/first.yaml exists"),
        "{}",
        again.stderr
    );
    assert_eq!(
        fs::read_to_string(lab.path("my/first.yaml")).unwrap(),
        written
    );
    lab.run("init").exits(0);
    assert!(lab.path("experiments/first.yaml").exists());
    lab.run("init tiny.yaml/x.yaml").exits(1);
}

#[test]
fn validate_reports_the_errors_of_every_file() {
    let lab = Lab::new(TINY);
    fs::write(lab.path("a.yaml"), "name: a\nmodel: {n_layers: 2}").unwrap();
    fs::write(lab.path("b.yaml"), "name: b\nmodel: {n_head: 3}").unwrap();
    // The data is not read.
    fs::write(lab.path("c.yaml"), "name: c\ndata: {source: none.txt}").unwrap();
    let ran = lab.run("validate a.yaml b.yaml c.yaml none.yaml").exits(2);
    assert_eq!(ran.stdout, "c.yaml: valid, 1 run of 1 variant\n");
    for text in ["a.yaml:2:9", "b.yaml:2:17", "none.yaml"] {
        assert!(ran.stderr.contains(text), "{}", ran.stderr);
    }
    lab.run("validate").exits(2);
    assert!(lab.is_untouched());
}

#[test]
fn a_file_extends_another() {
    let lab = Lab::new(TINY);
    fs::create_dir(lab.path("in")).unwrap();
    fs::write(
        lab.path("in/more.yaml"),
        "extends: ../tiny.yaml\nname: more\nsweep: {seeds: [7]}\n",
    )
    .unwrap();
    let resolved = lab
        .run("plan in/more.yaml train.steps=9 --resolved")
        .exits(0)
        .stdout;
    let line = |start: &str| {
        let line = resolved.lines().find(|line| line.starts_with(start));
        line.unwrap_or_else(|| panic!("{start}\n{resolved}"))
            .to_owned()
    };
    assert!(line("name: more ").ends_with("# in/more.yaml:2"));
    assert!(line("  steps: 9 ").ends_with("# command line"));
    assert!(line("  seeds: [7] ").ends_with("# in/more.yaml:3"));
    assert!(line("  n_embd: ").contains("# in/../tiny.yaml:"));
    assert!(line("  tie_weights: true ").ends_with("# default"));
    assert!(lab.is_untouched());
    // What is printed is the same experiment.
    fs::write(lab.path("again.yaml"), &resolved).unwrap();
    let again = lab.run("plan again.yaml --resolved").exits(0).stdout;
    let without_comments = |text: &str| -> Vec<String> {
        let value = |line: &str| line.split("  # ").next().unwrap().trim_end().to_owned();
        text.lines().map(value).collect()
    };
    assert_eq!(without_comments(&again), without_comments(&resolved));
    lab.run("sweep in/more.yaml").exits(0);
    assert!(lab.path("results/more/report.md").exists());
}

#[test]
fn completions_and_pages_are_generated() {
    let lab = Lab::new(TINY);
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = lab.run(&format!("completions {shell}")).exits(0).stdout;
        for word in ["sweep", "--retry-failed"] {
            assert!(script.contains(word), "{shell}");
        }
        // Commands of other processes are not for people.
        assert!(!script.contains("check-template"), "{shell}");
    }
    lab.run("man pages").exits(0);
    let page = fs::read_to_string(lab.path("pages/runner-sweep.1")).unwrap();
    assert!(page.contains(".TH") && page.contains("Train the runs of an experiment"));
}
