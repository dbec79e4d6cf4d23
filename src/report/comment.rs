//! The report as one comment of a pull request: the verdict first, and details folded.

use super::ReportError;
use super::page_blocks::Block;
use super::plots::{mermaid_chart, text_forest};
use super::sections::{self, Findings, Section};
use super::{pages, ranking_columns};
use crate::text::units;

/// Most characters of a comment. GitHub accepts 65,536.
const MAX_CHARS: usize = 60_000;

/// Most rows of a table, and most items of a list, that are not folded.
const MAX_ROWS: usize = 30;

/// Longest question that is repeated.
const MAX_QUESTION: usize = 2000;

/// The sections of the page that a comment shows folded, in the order of their importance.
const FOLDED: &[&str] = &[
    "scaling",
    "variants",
    "factors",
    "failed_runs",
    "tuning",
    "tokenizers",
    "samples",
    "glossary",
    "reproduce",
];

/// The comment, of at most [`MAX_CHARS`] characters. What does not fit is named at its end. A marker that is not
/// shown lets a workflow find its earlier comment.
pub(super) fn comment(findings: &Findings) -> Result<String, ReportError> {
    let mut sections = sections::build(findings);
    let mut take = |name: &str| {
        let position = sections.iter().position(|section| section.name == name)?;
        Some(sections.remove(position).blocks)
    };
    let mut parts = vec![
        ("answer", overview(take("overview").unwrap_or_default())),
        ("differences", differences(findings)),
        ("ranking", ranking(findings)),
        ("test split", take("test_split").unwrap_or_default()),
        ("claims", take("claims").unwrap_or_default()),
        ("expected values", take("checks").unwrap_or_default()),
        ("curves", curves(findings)),
    ];
    parts.extend(FOLDED.iter().filter_map(|&name| {
        let mut blocks = take(name)?;
        let Block::Heading { text, .. } = blocks.remove(0) else {
            return None;
        };
        let folded = Block::Folded {
            summary: text,
            blocks,
        };
        Some((name, vec![folded]))
    }));
    let mut text = format!("{}\n", marker(&findings.results.plan.experiment.name));
    /// Room for the last sentence.
    const RESERVED: usize = 300;
    let mut left = MAX_CHARS - RESERVED - text.chars().count();
    let mut omitted = Vec::new();
    for (name, blocks) in parts {
        if blocks.is_empty() {
            continue;
        }
        let section = Section { name, blocks };
        let part = format!("\n{}\n", pages::comment_section(section)?.trim_end());
        match left.checked_sub(part.chars().count()) {
            Some(rest) => {
                text += &part;
                left = rest;
            }
            None => omitted.push(name.replace('_', " ")),
        }
    }
    if !omitted.is_empty() {
        text += &format!(
            "\nToo long for a comment: {}. They are in report.md and report.html.\n",
            units::list(&omitted)
        );
    }
    Ok(text)
}

/// A line that is not shown.
fn marker(experiment: &str) -> String {
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || "._-".contains(*c);
    let name = experiment
        .chars()
        .map(|c| if is_plain(&c) { c } else { '-' });
    format!("<!-- runner-report: {} -->", name.collect::<String>())
}

/// The overview with a bounded number of items.
fn overview(blocks: Vec<Block>) -> Vec<Block> {
    let is_short = |block: &Block| match block {
        Block::Question { text } => text.without_intervals().chars().count() <= MAX_QUESTION,
        _ => true,
    };
    let mut blocks: Vec<Block> = blocks.into_iter().filter(is_short).collect();
    for block in &mut blocks {
        if let Block::List { items } = block
            && items.len() > MAX_ROWS
        {
            let more = items.len() - MAX_ROWS;
            items.truncate(MAX_ROWS);
            items.push(format!("and {more} more").into());
        }
    }
    blocks
}

fn differences(findings: &Findings) -> Vec<Block> {
    let Some(forest) = text_forest(findings.ranking, MAX_ROWS) else {
        return Vec::new();
    };
    vec![
        Block::Code { text: forest.text },
        Block::paragraph(forest.caption),
    ]
}

fn ranking(findings: &Findings) -> Vec<Block> {
    let mut table = ranking_columns::page_table(findings.ranking);
    let more = table.rows.len().saturating_sub(MAX_ROWS);
    table.rows.truncate(MAX_ROWS);
    let mut blocks = vec![Block::Table(table)];
    if more > 0 {
        let variants = units::plural(more, "more variant");
        blocks.push(Block::paragraph(format!("{variants} not shown.")));
    }
    blocks
}

fn curves(findings: &Findings) -> Vec<Block> {
    let Some(chart) = mermaid_chart(findings.ranking) else {
        return Vec::new();
    };
    vec![
        Block::Mermaid {
            source: chart.source,
        },
        Block::paragraph(chart.caption),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::{Folder, ablation, unhashed, variant};

    #[test]
    fn comment_of_an_ablation() {
        let folder = ablation();
        let comment = folder.comment();
        insta::assert_snapshot!(unhashed(&comment));
    }

    /// An experiment whose report is longer than a comment may be.
    #[test]
    fn a_comment_has_a_limit() {
        let folder = Folder::new("many");
        let sample = "They say the pallid sermon stole the lonely mound. ".repeat(40);
        for index in 0..150 {
            let end = 1.7 - 0.001 * f64::from(index);
            variant(
                &folder,
                &format!("model.n_embd={}", 64 + index),
                2,
                end,
                |run| run.text(&sample),
            );
        }
        let plan = |question: &str| {
            let question = question.to_owned();
            folder.plan.borrow_mut().experiment.description = question;
        };
        plan("Does width help?");
        let comment = folder.comment();
        assert!(comment.chars().count() <= MAX_CHARS);
        assert!(comment.contains("> Does width help?"), "{comment}");
        assert!(
            comment.contains("120 more variants not shown."),
            "{comment}"
        );
        for tag in ["details", "summary"] {
            let count = |tag: String| comment.matches(&tag).count();
            assert_eq!(count(format!("<{tag}>")), count(format!("</{tag}>")));
        }
        plan(&"Does width help? ".repeat(10_000));
        let comment = folder.comment();
        assert!(comment.chars().count() <= MAX_CHARS);
        assert!(!comment.contains("Does width help?"));
    }

    #[test]
    fn one_run_has_a_comment_without_a_comparison() {
        let folder = Folder::new("one");
        folder.run("gpt", 1).curve(1.5).done();
        let comment = folder.comment();
        assert!(
            !comment.contains('●') && !comment.contains("mermaid"),
            "{comment}"
        );
        assert!(comment.contains("| gpt |"), "{comment}");
    }
}
