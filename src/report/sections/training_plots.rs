use super::Findings;
use crate::report::page_blocks::Block;
use crate::report::plots::Placement;

/// The plots of the course of training.
pub(super) fn blocks(findings: &Findings) -> Vec<Block> {
    let mut blocks: Vec<Block> = findings.figures(Placement::Training).collect();
    let more: Vec<Block> = findings.figures(Placement::MoreTraining).collect();
    if !more.is_empty() {
        blocks.push(Block::Folded {
            summary: "More plots".to_owned(),
            blocks: more,
        });
    }
    if !blocks.is_empty() {
        blocks.insert(0, Block::heading(2, "Training"));
    }
    blocks
}
