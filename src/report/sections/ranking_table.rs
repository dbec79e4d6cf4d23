use super::Findings;
use crate::report::page_blocks::Block;
use crate::report::plots::Placement;
use crate::report::ranking_columns;

/// The ranking of the variants, and the plot of their differences.
pub(super) fn blocks(findings: &Findings) -> Vec<Block> {
    let table = ranking_columns::page_table(findings.ranking);
    let mut blocks = vec![Block::heading(2, "Ranking"), Block::Table(table)];
    blocks.extend(findings.figures(Placement::Ranking));
    blocks
}
