//! Texts, tokenizers, and the folder of encoded corpora.

use crate::support::{Lab, TINY};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// The folder of the only corpus.
fn corpus(lab: &Lab) -> PathBuf {
    let mut entries = fs::read_dir(lab.path("results/tiny/cache")).unwrap();
    entries.next().unwrap().unwrap().path()
}

#[test]
fn damaged_corpus_is_said_and_written_again() {
    let lab = Lab::new(TINY);
    lab.run("sweep tiny.yaml").exits(0);
    let results = lab.results();
    let path = corpus(&lab).join("corpus.json");
    let good = fs::read_to_string(&path).unwrap();
    // Fewer nats for each byte, if anything used it.
    let changed = good.replace("\"val_bytes\": ", "\"val_bytes\": 1");
    for command in ["plan tiny.yaml", "sweep tiny.yaml --restart"] {
        fs::write(&path, &changed).unwrap();
        lab.run(command)
            .exits(0)
            .says("is damaged: corpus.json: its contents do not agree with the digest at its end");
        assert_eq!(fs::read_to_string(&path).unwrap(), good);
    }
    assert_eq!(lab.results(), results);
    lab.run("plan tiny.yaml").exits(0).never_says("damaged");
}

#[test]
fn sweep_leaves_the_corpus_that_another_process_is_writing() {
    let lab = Lab::new(TINY);
    let partial = lab.path("results/tiny/cache/.partial-x");
    fs::create_dir_all(&partial).unwrap();
    let owner = fs::File::create(partial.join(".owner")).unwrap();
    owner.lock().unwrap();
    lab.run("sweep tiny.yaml --only bigram").exits(0);
    assert!(partial.exists());
    drop(owner);
    lab.run("sweep tiny.yaml --only bigram").exits(0);
    assert!(!partial.exists());
}

/// A limit on the size of files stands for a full disk.
#[test]
fn full_disk_is_not_a_mistake_in_the_experiment() {
    let lab = Lab::new(TINY);
    let script = "trap '' XFSZ; ulimit -f 8; exec \"$0\" sweep tiny.yaml";
    let output = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_runner")])
        .current_dir(lab.path(""))
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains("error: cannot write results/tiny/cache: ")
            && !stderr.contains("data.source")
            && !stderr.contains(".partial-"),
        "{stderr}"
    );
    assert!(lab.is_untouched());
}

#[test]
fn harmful_tokenizer_files_are_refused_with_their_place() {
    let lab = Lab::new(TINY);
    let file = |name: &str, normalizer: &str, dropout: &str| {
        let json = format!(
            r#"{{"version": "1.0", "added_tokens": [], "normalizer": {normalizer}, "model": {{"type": "BPE",
                "dropout": {dropout}, "unk_token": "?", "vocab": {{"?": 0, "a": 1}}, "merges": []}}}}"#
        );
        fs::write(lab.path(name), json).unwrap();
    };
    let replace = r#"{"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}"#;
    let doubling = format!(
        r#"{{"type": "Sequence", "normalizers": [{}]}}"#,
        [replace; 40].join(", ")
    );
    file("dropout.json", "null", "0.3");
    file("empty.json", &replace.replace("\"a\"", "\"\""), "null");
    file("doubling.json", &doubling, "null");
    file(
        "charsmap.json",
        r#"{"type": "Precompiled", "precompiled_charsmap": "AAAA"}"#,
        "null",
    );
    for (name, reason) in [
        ("dropout", "its model has a dropout of 0.3"),
        ("empty", "a `pattern` is empty"),
        (
            "doubling",
            "its normalizer makes a text more than 64 times longer",
        ),
        (
            "charsmap",
            "its `precompiled_charsmap` is shorter than it states",
        ),
    ] {
        let path = format!("tokenizer.path={name}.json");
        lab.run(&format!("sweep tiny.yaml tokenizer.kind=file {path}"))
            .exits(2)
            .says(&path)
            .says(&format!("{name}.json is not a valid tokenizer: {reason}"))
            .never_says("panicked");
    }
    assert!(lab.is_untouched());
}

#[test]
fn notes_on_the_text_are_printed() {
    let lab = Lab::new(TINY);
    fs::write(lab.path("text.txt"), "\u{feff}one\r\ntwo\r\n".repeat(100)).unwrap();
    lab.run("plan tiny.yaml data.source=text.txt")
        .exits(0)
        .says("note: lines of text.txt end with \\r\\n");
    // Two tokenizers make two corpora of the same text.
    let sweep = "sweep tiny.yaml data.source=text.txt train.steps=1 sample.tokens=0 sweep.seeds=1 \
                 sweep.variants.gpt.tokenizer.kind=byte";
    let corpora = || {
        fs::read_dir(lab.path("results/tiny/cache"))
            .unwrap()
            .count()
    };
    for _ in 0..2 {
        let swept = lab.run(sweep).exits(0);
        assert_eq!(
            swept.stderr.matches("end with").count(),
            1,
            "{}",
            swept.stderr
        );
        assert_eq!(corpora(), 2);
    }
}
