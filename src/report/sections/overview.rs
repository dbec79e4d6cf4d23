use super::Findings;
use crate::report::page_blocks::{Block, Text};

/// Title, question, answer and what limits the answer.
pub(super) fn blocks(findings: &Findings) -> Vec<Block> {
    let experiment = &findings.results.plan.experiment;
    let mut blocks = vec![Block::heading(1, &experiment.name)];
    let question = experiment.description.trim();
    if !question.is_empty() {
        let text = question.into();
        blocks.push(Block::Question { text });
    }
    if let Some((first, others)) = findings.answer.split_first() {
        let text = Text::new().strong(first);
        blocks.push(Block::Answer { text });
        if !others.is_empty() {
            let items = others.iter().map(|text| text.into()).collect();
            blocks.push(Block::List { items });
        }
    }
    if !findings.cautions.is_empty() {
        blocks.push(Block::heading(2, "Caveats"));
        let items = findings.cautions.iter().map(|text| text.into()).collect();
        blocks.push(Block::List { items });
    }
    blocks
}
