//! Results folders from somebody else, whose names may be meant to harm.

use crate::support::{Lab, TINY};
use serde_json::{Value, json};
use std::fs;
use unicode_width::UnicodeWidthStr;

/// Whether a character would be carried out by a terminal instead of being shown.
fn is_raw(character: char) -> bool {
    let is_control = character.is_control() && !matches!(character, '\n' | '\t');
    is_control
        || matches!(character,
            '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A finished run whose `plan.json` has a variant for each hostile name. All of them have this run.
fn foreign_results(names: &[String]) -> Lab {
    let lab = Lab::new(TINY);
    lab.run("sweep tiny.yaml --only bigram-s1-*").exits(0);
    let path = lab.path("results/tiny/plan.json");
    let mut plan: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let run = plan["runs"][0].clone();
    let of_variant = |name: &String| {
        let mut run = run.clone();
        run["spec"]["variant"] = json!(name);
        run
    };
    plan["runs"] = names.iter().map(of_variant).collect();
    plan["baseline"] = json!(names[0]);
    plan["experiment"]["name"] = json!(names[1]);
    plan["experiment"]["description"] = json!(names[2]);
    plan["experiment"]["report"]["template"] = json!("/etc/passwd\u{1b}[2J");
    for key in ["command", "machine", "version"] {
        plan[key] = json!("\u{1b}]0;title\u{7}\u{202e}");
    }
    // The digest does not agree with the changes, so it is left out.
    plan.as_object_mut().unwrap().remove("sha256").unwrap();
    fs::write(path, plan.to_string()).unwrap();
    lab
}

#[test]
fn no_name_of_a_foreign_plan_reaches_the_terminal_raw() {
    let names: Vec<String> =
        serde_json::from_str(include_str!("../../src/report/hostile_names.json")).unwrap();
    let lab = foreign_results(&names);
    let shown = lab.run("report results/tiny").exits(0);
    for text in [&shown.stdout, &shown.stderr] {
        let raw = text.find(is_raw).map(|at| text[at..].chars().next());
        assert_eq!(raw, None, "{text}");
    }
    // The table has one row for each variant, whose columns are aligned.
    let mut lines = shown.stdout.lines();
    let header = lines
        .find(|line| line.trim_start().starts_with("# "))
        .unwrap();
    let rows: Vec<&str> = lines.take_while(|line| !line.is_empty()).collect();
    assert_eq!(rows.len(), names.len(), "{}", shown.stdout);
    for row in rows {
        assert_eq!(row.width(), header.width(), "{row}");
    }
    for file in [
        "report.md",
        "report.html",
        "summary.csv",
        "plots/difference.svg",
    ] {
        let text = fs::read_to_string(lab.path("results/tiny").join(file)).unwrap();
        let raw = text.find(is_raw).map(|at| text[at..].chars().next());
        assert_eq!(raw, None, "{file}");
    }
    // A template can read files, so that of a plan is not opened.
    let report = fs::read_to_string(lab.path("results/tiny/report.md")).unwrap();
    assert!(!report.contains("root:") && report.contains("## Ranking"));
}
