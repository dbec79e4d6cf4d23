//! The generated files of `experiments/` are what the types say.

use runner::{config, report};
use std::fs;

/// Compares a file with what it is generated as, or writes it where `UPDATE` is set.
fn assert_generated(path: &str, generated: &str) {
    if std::env::var_os("UPDATE").is_some() {
        fs::write(path, generated).unwrap();
    }
    let committed = fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == generated,
        "{path} is out of date; `UPDATE=1 cargo test --test config_reference` writes it again"
    );
}

#[test]
fn the_schema_is_that_of_the_types() {
    let schema = serde_json::to_string_pretty(&config::json_schema()).unwrap();
    assert_generated("experiments/schema.json", &(schema + "\n"));
}

#[test]
fn the_schema_of_reports_is_that_of_the_types() {
    let schema = serde_json::to_string_pretty(&report::report_schema()).unwrap();
    assert_generated("experiments/report.schema.json", &(schema + "\n"));
}

#[test]
fn the_reference_is_that_of_the_types() {
    assert_generated("experiments/README.md", &config::reference_markdown());
}
