//! The worked examples of the contributor guide compile.
//!
//! Each example is a patch in `.github/examples`. The test applies all of them to a copy of the
//! source code and type-checks the result together with its unit tests. To update an example after
//! a change of the code it touches, make the change of the example by hand and write the patch again:
//!
//!     git add --intent-to-add src && git diff src > .github/examples/NAME.patch && git restore src

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The examples, and the number of files that each of them changes.
const EXAMPLES: [(&str, usize); 9] = [
    ("text_format", 2),
    ("tokenizer", 3),
    ("norm", 2),
    ("mlp", 3),
    ("optimizer", 2),
    ("schedule", 2),
    ("executor", 2),
    ("section", 2),
    ("plot", 2),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn patch(name: &str) -> PathBuf {
    root()
        .join(".github/examples")
        .join(format!("{name}.patch"))
}

/// The files that a patch changes, adds or removes.
fn changed_files(patch: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(patch).unwrap();
    let headers = text
        .lines()
        .filter_map(|line| line.strip_prefix("diff --git a/"));
    headers
        .map(|header| header.split(" b/").next().unwrap().to_owned())
        .collect()
}

fn copy(from: &Path, to: &Path) {
    if from.is_file() {
        fs::copy(from, to).unwrap();
        return;
    }
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        copy(&entry.path(), &to.join(entry.file_name()));
    }
}

/// Runs a command in a folder. If it fails, the test fails with `problem` and the output.
fn run(command: &mut Command, folder: &Path, problem: &str) {
    // Without a limit, git would find the repository around the folder and skip the patch.
    let ceiling = folder.parent().unwrap();
    command
        .current_dir(folder)
        .env("GIT_CEILING_DIRECTORIES", ceiling);
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{problem}:\n{errors}");
}

/// Whether the examples are there. A packaged crate does not contain them.
fn examples_are_packaged() -> bool {
    root().join(".github").exists()
}

#[test]
fn every_example_changes_the_stated_number_of_files() {
    if !examples_are_packaged() {
        return;
    }
    for (name, files) in EXAMPLES {
        let changed = changed_files(&patch(name));
        println!("{name}: {} files: {changed:?}", changed.len());
        assert_eq!(changed.len(), files, "{name} changes {changed:?}");
    }
    let listed = EXAMPLES.map(|(name, _)| patch(name));
    for entry in fs::read_dir(root().join(".github/examples")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension() == Some(OsStr::new("patch")) {
            assert!(
                listed.contains(&path),
                "{} is not in EXAMPLES",
                path.display()
            );
        }
    }
}

#[test]
fn the_examples_compile() {
    if !examples_are_packaged() {
        return;
    }
    // The place is always the same, so that cargo reuses its results.
    let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = temporary.join("contributing");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    // Cargo.toml names the benchmarks, so they must be there.
    for name in ["Cargo.toml", "Cargo.lock", "src", "templates", "benches"] {
        copy(&root().join(name), &folder.join(name));
    }
    // Cargo distinguishes packages of one target folder by their names. With the same name, it would
    // take its results for the copy as those for the original, and not check the original again.
    let manifest = folder.join("Cargo.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    let renamed = text.replacen("name = \"runner\"", "name = \"runner-examples\"", 1);
    assert_ne!(renamed, text);
    fs::write(&manifest, renamed).unwrap();
    for (name, _) in EXAMPLES {
        let mut apply = Command::new("git");
        apply.arg("apply").arg(patch(name));
        run(
            &mut apply,
            &folder,
            &format!("the example {name} does not apply"),
        );
    }
    let mut check = Command::new(env!("CARGO"));
    check
        .args(["check", "--offline", "--lib", "--profile", "test"])
        // The dependencies are shared with the other builds of this folder.
        .env("CARGO_TARGET_DIR", temporary.parent().unwrap());
    run(&mut check, &folder, "the examples do not compile");
}
