use super::Findings;
use crate::report::page_blocks::Block;
use crate::report::plots::Place;

/// The plots of the loss against model size and training time.
pub(super) fn blocks(findings: &Findings) -> Vec<Block> {
    let mut blocks: Vec<Block> = findings.figures(Place::Cost).collect();
    if !blocks.is_empty() {
        blocks.insert(0, Block::heading(2, "Cost"));
    }
    blocks
}
