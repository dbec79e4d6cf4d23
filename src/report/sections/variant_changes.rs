use super::Findings;
use crate::report::analysis::config_diff::{Change, changes};
use crate::report::analysis::matched_variants::remaining_difference;
use crate::report::analysis::ranking::Variant;
use crate::report::page_blocks::{Block, Text};

/// The configuration values in which each variant differs from the baseline.
pub(super) fn blocks(findings: &Findings) -> Vec<Block> {
    let ranking = findings.ranking;
    let Some(baseline) = ranking.baseline().filter(|_| ranking.has_comparison()) else {
        return Vec::new();
    };
    let mut variants: Vec<&Variant> = ranking.variants.iter().collect();
    variants.sort_by_key(|variant| variant.position);
    let item = |variant: &Variant| {
        let text = Text::new().code(variant.name).plain(": ");
        let changes = changes(variant.spec(), baseline.spec());
        let text = match (variant.is_baseline, changes.is_empty()) {
            (true, _) => text.plain("the baseline"),
            (false, true) => text.plain("no change"),
            (false, false) => list(text, &changes),
        };
        match remaining_difference(&findings.results.plan, variant.name) {
            Some(remaining) => text.plain(format!(" ({remaining})")),
            None => text,
        }
    };
    let items = variants.into_iter().map(item).collect();
    vec![
        Block::heading(3, "What each variant changes"),
        Block::List { items },
    ]
}

fn list(mut text: Text, changes: &[Change]) -> Text {
    for (index, change) in changes.iter().enumerate() {
        let separator = if index == 0 { "" } else { ", " };
        text = text
            .plain(separator)
            .code(&change.path)
            .plain(" is ")
            .code(&change.value)
            .plain(" instead of ")
            .code(&change.baseline);
    }
    text
}
