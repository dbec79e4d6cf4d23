//! The forms of a report, and whether its files are up to date.

use crate::support::{Lab, TINY};
use serde_json::Value;
use std::fs;

#[test]
fn a_form_of_the_report_is_printed() {
    let lab = Lab::new(TINY);
    lab.run("sweep tiny.yaml").exits(0);
    let folder = lab.path("results/tiny");
    let printed = |format: &str| {
        let ran = lab.run(&format!("report results/tiny --format {format}"));
        ran.exits(0).stdout
    };
    for (format, file) in [
        ("md", "report.md"),
        ("html", "report.html"),
        ("json", "report.json"),
    ] {
        let written = fs::read_to_string(folder.join(file)).unwrap();
        assert!(printed(format) == written, "{format}");
        fs::remove_file(folder.join(file)).unwrap();
        printed(format);
        assert!(!folder.join(file).exists(), "{format}");
    }
    let comment = printed("pr");
    assert!(
        comment.starts_with("<!-- runner-report: tiny -->\n\n# tiny\n"),
        "{comment}"
    );
    let json: Value = serde_json::from_str(&printed("json")).unwrap();
    assert_eq!(json["complete"], true);
    lab.run("report results/tiny --format xml").exits(2);
}

#[test]
fn an_outdated_report_is_found() {
    let lab = Lab::new(TINY);
    lab.run("sweep tiny.yaml").exits(0);
    let check = || lab.run("report results/tiny --check");
    check().exits(0).shows("The report is up to date.");
    let page = lab.path("results/tiny/report.md");
    let text = fs::read_to_string(&page).unwrap();
    fs::write(&page, text.replace("bigram", "unigram")).unwrap();
    check()
        .exits(1)
        .shows("Not up to date: report.md")
        .shows("`runner report results/tiny` writes the report again.");
    assert!(fs::read_to_string(&page).unwrap().contains("unigram"));
    lab.run("report results/tiny").exits(0);
    check().exits(0);
    assert_eq!(fs::read_to_string(&page).unwrap(), text);
    // A run that ends later.
    let status = lab.run_folder("gpt-s2").unwrap().join("status.json");
    fs::remove_file(status).unwrap();
    check().exits(1).shows("report.md").shows("summary.csv");
    lab.run("report results/tiny --check --format md").exits(2);
}
