use super::Findings;
use crate::report::page_blocks::Block;
use crate::report::plots::Placement;

/// The plots of the loss against model size and training time.
pub(super) fn blocks(findings: &Findings) -> Vec<Block> {
    let mut blocks: Vec<Block> = findings.figures(Placement::Cost).collect();
    if !blocks.is_empty() {
        blocks.insert(0, Block::heading(2, "Cost"));
    }
    blocks
}
