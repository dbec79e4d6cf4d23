//! The exact text of errors, for each file in a folder of files with errors, and the limits that
//! protect against hostile files.

use runner::config::{self, Diagnostics};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// All errors of a file: those of loading it, or otherwise those of expanding it. A first line
/// `# overrides:` lists overrides, separated by bars.
fn errors(path: &Path) -> Diagnostics {
    let text = fs::read_to_string(path).unwrap();
    let overrides: Vec<String> = text
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("# overrides: "))
        .map(|list| list.split(" | ").map(str::to_owned).collect())
        .unwrap_or_default();
    match config::load(path, &overrides) {
        Err(errors) => errors,
        Ok(document) => document
            .expand()
            .expect_err("the file is in a folder of bad ones"),
    }
}

/// Snapshots of errors that are not those of a file in `tests/bad`.
const OTHER_SNAPSHOTS: [&str; 3] = ["no_file_at_all", "no_file_but_a_folder", "not_utf_8"];

#[test]
fn every_bad_file_has_its_errors() {
    let mut files: Vec<PathBuf> = fs::read_dir("tests/bad")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let names = files
        .iter()
        .map(|file| file.file_stem().unwrap().to_str().unwrap());
    let names: Vec<_> = names.collect();
    for (name, file) in names.iter().zip(&files) {
        insta::assert_snapshot!(*name, errors(file).to_string());
    }
    let snapshots: BTreeSet<String> = fs::read_dir("tests/snapshots")
        .unwrap()
        .filter_map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let name = name
                .strip_prefix("config_errors__")?
                .strip_suffix(".snap")?;
            Some(name.to_owned())
        })
        .collect();
    let expected: BTreeSet<String> = names
        .iter()
        .chain(&OTHER_SNAPSHOTS)
        .map(|&name| name.to_owned())
        .collect();
    assert_eq!(
        snapshots, expected,
        "a file without a snapshot, or a snapshot without its file"
    );
}

/// Time limit. An input is handled in less than a second, or in a few seconds next to other tests. If
/// its cost grew without bound, it would take longer.
const LIMIT: Duration = Duration::from_secs(10);

/// Errors of a text within the time limit, with `FILE` for the name of the file.
fn errors_of(bytes: &[u8]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hostile.yaml");
    fs::write(&path, bytes).unwrap();
    let start = Instant::now();
    let errors = errors(&path).to_string();
    let taken = start.elapsed();
    assert!(taken < LIMIT, "took {taken:?}");
    errors.replace(&path.display().to_string(), "FILE")
}

fn first_line(errors: &str) -> &str {
    errors.lines().next().unwrap()
}

#[test]
fn what_is_no_file_says_so() {
    let load = |path: &str| config::load(Path::new(path), &[]).unwrap_err().to_string();
    insta::assert_snapshot!("no_file_but_a_folder", load("tests"));
    insta::assert_snapshot!("no_file_at_all", load("tests/none.yaml"));
}

#[test]
fn a_file_that_is_not_utf_8_names_the_byte() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("latin1.yaml");
    fs::write(&path, b"name: bad\ndescription: \xc3\xa4 \xe4\n").unwrap();
    let errors = config::load(&path, &[]).unwrap_err().to_string();
    insta::assert_snapshot!(
        "not_utf_8",
        errors.replace(&path.display().to_string(), "FILE")
    );
}

#[test]
fn a_large_file_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("large.yaml");
    // A sparse file needs no space on the disk, but reading it would take long.
    fs::File::create(&path).unwrap().set_len(100 << 30).unwrap();
    let start = Instant::now();
    let errors = config::load(&path, &[]).unwrap_err().to_string();
    assert!(start.elapsed() < LIMIT);
    assert_eq!(first_line(&errors), "error: the file is larger than 1 MiB");
}

#[cfg(unix)]
#[test]
fn a_device_is_not_read() {
    let errors = config::load(Path::new("/dev/zero"), &[])
        .unwrap_err()
        .to_string();
    let expected = "it is not a regular file";
    assert!(first_line(&errors).ends_with(expected), "{errors}");
}

#[test]
fn deep_nesting_is_an_error() {
    let deep = "error: values are nested more than 64 levels deep";
    for text in [
        "[".repeat(100_000),
        "{a: ".repeat(100_000),
        "- ".repeat(100_000),
        "? ".repeat(100_000),
        "[".repeat(65) + &"]".repeat(65),
    ] {
        assert_eq!(first_line(&errors_of(text.as_bytes())), deep);
    }
    let mut lines = String::new();
    for depth in 0..1000 {
        let _ = writeln!(lines, "{}a:", " ".repeat(depth));
    }
    assert_eq!(first_line(&errors_of(lines.as_bytes())), deep);
}

#[test]
fn a_chain_of_aliases_cannot_nest_deeper_either() {
    let mut text = "a0: &a0 [x]\n".to_owned();
    for link in 1..5000 {
        let _ = writeln!(text, "a{link}: &a{link} [*a{}]", link - 1);
    }
    let errors = errors_of(text.as_bytes());
    let deep = "error: values are nested more than 64 levels deep";
    assert_eq!(first_line(&errors), deep);
}

#[test]
fn copies_of_a_long_text_cannot_fill_the_memory() {
    let long = "x".repeat(900_000);
    let first = |text: String| first_line(&errors_of(text.as_bytes())).to_owned();
    for aliases in ["*a, ".repeat(4000), "{*a : 1}, ".repeat(1000)] {
        let text = format!("name: bad\ndescription: &a {long}\nexpect: [{aliases}]\n");
        assert_eq!(first(text), "error: aliases copy more than 8 MiB of text");
    }
    let numbers: Vec<String> = (1..=2000).map(|number| number.to_string()).collect();
    let numbers = numbers.join(", ");
    let sweep = format!("sweep: {{grid: {{train.steps: [{numbers}]}}}}");
    for text in [
        format!("name: bad\nsample: {{prompt: {long}}}\n{sweep}"),
        format!(
            "name: bad\nsweep: {{grid: {{train.steps: [{numbers}], sample.prompt: [{long}, b]}}}}"
        ),
        format!("name: bad\nsample: {{prompt: {long}}}\nsweep: {{seeds: 100}}"),
        format!(
            "name: bad\nsample: {{prompt: {long}}}\nsweep: {{tune: {{grid: {{train.steps: [{numbers}]}}}}}}"
        ),
    ] {
        assert_eq!(
            first(text),
            "error: the runs of the sweep have more than 32 MiB of text"
        );
    }
    // Runs have no copy of what is about the whole experiment.
    let text = format!("name: long\ndescription: {long}\n{sweep}");
    let document = config::from_text("long.yaml", &text, &[]).unwrap();
    assert_eq!(document.expand().unwrap().runs.len(), 2000);
}

/// Each value that names an unknown variant is compared with known names.
#[test]
fn thousands_of_values_for_thousands_of_variants_end_soon() {
    let variants: String = (1..=5000)
        .map(|n| format!("    v{n}: {{train: {{steps: {n}}}}}\n"))
        .collect();
    let names = |prefix: &str| -> String {
        let item = |n| format!("  - {{variant: {prefix}{n}, metric: params, value: 1}}\n");
        (1..=5000).map(item).collect()
    };
    let text = |prefix: &str| {
        format!(
            "name: bad\nsweep:\n  variants:\n{variants}expect:\n{}",
            names(prefix)
        )
    };
    let errors = errors_of(text("unknown").as_bytes());
    assert!(
        errors.ends_with("FILE: at least 1000 errors; the first 20 are shown"),
        "{errors}"
    );
    let start = Instant::now();
    let document = config::from_text("large.yaml", &text("v"), &[]).unwrap();
    assert_eq!(document.expand().unwrap().runs.len(), 5000);
    assert!(start.elapsed() < LIMIT);
}

#[test]
fn large_files_of_mistakes_end_soon() {
    let unknown: String = (0..40_000).map(|n| format!("key_{n}: 1\n")).collect();
    let errors = errors_of(unknown.as_bytes());
    assert!(
        errors.ends_with("FILE: at least 1000 errors; the first 20 are shown"),
        "{errors}"
    );

    let variants: String = (0..15_000)
        .map(|n| format!("    v{n}: {{model: {{n_layer: {}}}}}\n", n % 1000 + 1))
        .collect();
    let errors = errors_of(format!("name: bad\nsweep:\n  variants:\n{variants}").as_bytes());
    assert_eq!(
        first_line(&errors),
        "error: the sweep has 15000 runs; the limit is 10000"
    );

    let long_line = format!("name: \"{}", "x".repeat(1_000_000));
    errors_of(long_line.as_bytes());
    errors_of(format!("name: {}", "é".repeat(500_000)).as_bytes());
    errors_of("a: b: c\n".repeat(100_000).as_bytes());
    errors_of("&a ".repeat(300_000).as_bytes());
    errors_of("a, ".repeat(300_000).as_bytes());
    errors_of(format!("name: bad\ntrain: [{}]", "1,".repeat(90_000)).as_bytes());
}

#[test]
fn a_sweep_as_large_as_allowed_expands_soon() {
    let numbers = |n: u32| {
        (1..=n)
            .map(|n| n.to_string())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let text = format!(
        "name: large\nsweep:\n  grid: {{model.n_layer: [{}], train.steps: [{}]}}",
        numbers(100),
        numbers(100)
    );
    let start = Instant::now();
    let document = config::from_text("large.yaml", &text, &[]).unwrap();
    assert_eq!(document.expand().unwrap().runs.len(), 10_000);
    assert!(start.elapsed() < LIMIT);
}

#[test]
fn line_ends_and_byte_order_marks_do_not_move_places() {
    for text in [
        "name: bad\r\nmodel: {norm: x}\r\n",
        "\u{feff}name: bad\nmodel: {norm: x}\n",
        "name: bad # ロマン\nmodel: {norm: x}",
    ] {
        let errors = config::from_text("FILE", text, &[]).unwrap_err();
        assert!(errors.to_string().contains("--> FILE:2:15"), "{errors}");
    }
}
