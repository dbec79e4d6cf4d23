use super::Findings;
use crate::report::loaded_results::{EARLIER_SHARE, Results};
use crate::report::page_blocks::Block;
use crate::report::plots::Placement;

/// The plots of the course of training.
pub(super) fn blocks(findings: &Findings) -> Vec<Block> {
    let mut blocks: Vec<Block> = findings.figures(Placement::Training).collect();
    blocks.extend(unchanged_verdicts(findings.results).map(Block::paragraph));
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

/// Said if the end of training has changed no verdict. That it has changed one is a caution.
fn unchanged_verdicts(results: &Results) -> Option<String> {
    let mut verdicts = results.verdicts().peekable();
    verdicts.peek()?;
    verdicts
        .all(|(_, earlier, now)| earlier == Some(now))
        .then(|| {
            format!(
                "With the losses at {:.0} % of training, all verdicts are the same.",
                100.0 * EARLIER_SHARE
            )
        })
}
