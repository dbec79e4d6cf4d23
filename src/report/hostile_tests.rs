//! Names and texts that try to break out of the place where a report shows them.

use super::testing::Folder;
use crate::spec::{Expect, Measure};
use regex::Regex;
use std::collections::BTreeMap;
use std::fs;
use std::sync::LazyLock;

/// Names from somebody else, as a foreign `plan.json` can have them.
fn hostile_names() -> Vec<String> {
    serde_json::from_str(include_str!("hostile_names.json")).unwrap()
}

/// A folder whose variants have these names. All other texts are one of the names, too.
fn folder(names: &[String]) -> Folder {
    let folder = Folder::new("hostile");
    let text = |index: usize| names[index % names.len()].clone();
    for index in 0..names.len() {
        let run = folder.run(&format!("v{index}"), 1);
        let run = run.text(&format!("a\n{}\nb", text(index + 1)));
        run.evaluations(&[(0, 6.0), (500, 1.5 + 0.01 * index as f64)])
            .done();
    }
    folder.run("last", 1).failed(&text(0));
    let mut plan = folder.plan.borrow_mut();
    for (run, name) in plan.runs.iter_mut().zip(names) {
        run.spec.variant.clone_from(name);
    }
    plan.experiment.name = text(1);
    plan.experiment.description = text(2);
    plan.baseline = text(0);
    plan.command = text(3);
    plan.machine = text(4);
    plan.version = text(5);
    plan.corpora[0].source = text(6);
    plan.experiment.expect = (0..names.len())
        .map(|index| Expect {
            variant: Some(text(index)),
            metric: Measure::BitsPerByte,
            step: None,
            value: 1.5,
            tolerance: 0.1,
            tolerance_percent: 0.0,
            source: text(index + 1),
        })
        .collect();
    drop(plan);
    folder.write();
    folder
}

/// The text files of a report, by name.
type Files = BTreeMap<String, String>;

/// The report of the hostile names, and that of as many harmless ones.
static REPORTS: LazyLock<[Files; 2]> = LazyLock::new(|| {
    let hostile = hostile_names();
    let harmless: Vec<String> = (0..hostile.len()).map(|i| format!("name{i}")).collect();
    [hostile, harmless].map(|names| files(&folder(&names)))
});

fn files(folder: &Folder) -> Files {
    let plots = fs::read_dir(folder.path().join("plots")).unwrap();
    let plots = plots.map(|plot| plot.unwrap().file_name().into_string().unwrap());
    let plots = plots.map(|plot| format!("plots/{plot}"));
    let pages = ["report.md", "report.html", "summary.csv"].map(str::to_owned);
    let names = pages.into_iter().chain(plots);
    names
        .map(|name| (name.clone(), folder.read(&name)))
        .chain([("comment.md".to_owned(), folder.comment())])
        .collect()
}

/// A page of both reports.
fn pages(name: &str) -> [&'static str; 2] {
    REPORTS.each_ref().map(|files| files[name].as_str())
}

/// A character that a terminal or a page would carry out instead of showing it.
fn is_raw(character: char) -> bool {
    let is_control = character.is_control() && !matches!(character, '\n' | '\t');
    is_control
        || matches!(character,
            '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{ad}'
            | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            | '\u{feff}' | '\u{fffe}' | '\u{ffff}' | '\u{e0000}'..='\u{e007f}')
}

#[test]
fn no_file_contains_a_raw_control_character() {
    let [hostile, _] = &*REPORTS;
    assert!(hostile.len() > 5, "{:?}", hostile.keys());
    for (file, text) in hostile {
        let raw = text.find(is_raw).map(|at| text[at..].chars().next());
        assert_eq!(raw, None, "{file}");
    }
}

/// The lines of a Markdown page outside of code blocks.
fn outside_of_code_blocks(page: &str) -> Vec<&str> {
    let mut fence: Option<&str> = None;
    let mut lines = Vec::new();
    for line in page.lines() {
        match fence {
            Some(open) if line == open => fence = None,
            Some(_) => {}
            None if line.starts_with("```") => {
                fence = Some(line.trim_end_matches(char::is_alphabetic));
            }
            None => lines.push(line),
        }
    }
    assert_eq!(fence, None, "a code block has no end");
    lines
}

/// A line of Markdown with empty code spans.
fn without_code(line: &str) -> String {
    let runs = Regex::new("`+").unwrap();
    let mut kept = String::new();
    let mut rest = line;
    while let Some(start) = rest.find(['`', '\\']) {
        kept += &rest[..start];
        rest = &rest[start..];
        if rest.starts_with('\\') {
            let escaped = rest.chars().nth(1).map_or(1, |c| 1 + c.len_utf8());
            kept += &rest[..escaped];
            rest = &rest[escaped..];
            continue;
        }
        let ticks = rest.len() - rest.trim_start_matches('`').len();
        let mut ends = runs.find_iter(&rest[ticks..]);
        let end = ends.find(|end| end.len() == ticks);
        let end = end.unwrap_or_else(|| panic!("code without an end: {line}"));
        kept += "``";
        rest = &rest[ticks + end.end()..];
    }
    kept + rest
}

/// Number of pipes that separate cells.
fn separators(row: &str) -> usize {
    let before = row
        .chars()
        .scan(' ', |before, c| Some(std::mem::replace(before, c)));
    let pipes = row.chars().zip(before);
    pipes
        .filter(|(c, before)| *c == '|' && *before != '\\')
        .count()
}

#[test]
fn no_name_changes_the_structure_of_the_markdown_page() {
    check_structure(REPORTS.each_ref().map(|files| files["report.md"].clone()));
}

#[test]
fn no_name_changes_the_structure_of_the_comment() {
    // The only lines with tags.
    let tag =
        "<!-- runner-report: [A-Za-z0-9._-]+ -->|<details><summary>[^<]+</summary>|</details>";
    let tag = Regex::new(&format!("(?m)^(?:{tag})$")).unwrap();
    check_structure(
        REPORTS
            .each_ref()
            .map(|files| tag.replace_all(&files["comment.md"], "").into_owned()),
    );
}

/// Checks that a page with hostile names has the lines, cells and links of the one with harmless names.
fn check_structure(pages: [String; 2]) {
    let [hostile, harmless] = pages.each_ref().map(|page| outside_of_code_blocks(page));
    let cells = |lines: &[&str]| -> Vec<usize> {
        let rows = lines.iter().filter(|line| line.starts_with("| "));
        rows.map(|row| separators(row)).collect()
    };
    assert_eq!(cells(&hostile), cells(&harmless));
    // What a line is follows from its first character.
    let kinds = |lines: &[&str]| -> Vec<char> {
        let starts = lines.iter().filter_map(|line| line.chars().next());
        starts.filter(|c| "#|->+=".contains(*c)).collect()
    };
    assert_eq!(kinds(&hostile), kinds(&harmless));
    for line in hostile.into_iter().map(without_code) {
        assert!(!line.contains('<') && !line.contains("://"), "{line}");
        let links = line.match_indices("](").map(|(at, _)| line.split_at(at));
        let mut links = links.filter(|(before, _)| !before.ends_with('\\'));
        assert!(
            links.all(|(_, link)| link.starts_with("](plots/")),
            "{line}"
        );
    }
}

#[test]
fn no_name_adds_a_tag_to_the_html_page() {
    let tag = Regex::new("<[^>]*>").unwrap();
    let plot = Regex::new("(?s)<svg.*?</svg>").unwrap();
    let data = Regex::new("data-plot=\"[^\"]*\"").unwrap();
    let label = Regex::new("data-label=\"[^\"]*\"").unwrap();
    let [hostile, harmless] = pages("report.html").map(|page| {
        let page = plot.replace_all(page, "");
        let page = data.replace_all(&page, "data");
        let page = label.replace_all(&page, "label");
        // A long name can break into lines at its own places.
        let page = page.replace("<wbr>", "");
        let tags = tag.find_iter(&page).map(|tag| tag.as_str().to_owned());
        tags.collect::<Vec<_>>()
    });
    assert_eq!(hostile, harmless);
    let scripts = hostile.iter().filter(|tag| tag.starts_with("<script"));
    assert_eq!(scripts.collect::<Vec<_>>(), ["<script>"]);
}

/// Panics if a text is not well-formed XML of the few kinds of tags that a plot has.
fn assert_well_formed(xml: &str, name: &str) {
    let tag = Regex::new(r#"<(/?)([a-z]+)((?: [a-zA-Z:-]+="[^"<]*")*)(/?)>"#).unwrap();
    let reference = Regex::new("&(?:amp|lt|gt|quot|apos);").unwrap();
    let mut open: Vec<String> = Vec::new();
    let mut end = 0;
    for found in tag.captures_iter(xml) {
        let whole = found.get(0).unwrap();
        let text = reference.replace_all(&xml[end..whole.start()], "");
        assert!(!text.contains(['<', '&']), "{name}: {text}");
        let attributes = reference.replace_all(&found[3], "");
        assert!(!attributes.contains('&'), "{name}: {attributes}");
        end = whole.end();
        let kind = found[2].to_owned();
        let known = "svg title style text line polyline polygon rect circle";
        assert!(
            known.split(' ').any(|known| known == kind),
            "{name}: {kind}"
        );
        match (&found[1], &found[4]) {
            ("/", "") => assert_eq!(open.pop(), Some(kind), "{name}"),
            ("", "") => open.push(kind),
            ("", "/") => {}
            other => panic!("{name}: {other:?}"),
        }
    }
    assert!(open.is_empty() && xml[end..].trim().is_empty(), "{name}");
}

#[test]
fn plots_stay_well_formed() {
    let [hostile, _] = &*REPORTS;
    let plots = hostile.iter().filter(|(file, _)| file.ends_with(".svg"));
    for (file, plot) in plots {
        assert_well_formed(plot, file);
    }
}
