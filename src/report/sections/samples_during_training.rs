use super::Findings;
use crate::report::analysis::generated_text::{Sample, during_training};
use crate::report::page_blocks::{Block, Text};

/// Samples of one model from different steps of its training.
pub(super) fn blocks(findings: &Findings) -> Vec<Block> {
    let samples = during_training(findings.ranking);
    let Some(first) = samples.first() else {
        return Vec::new();
    };
    let intro = Text::new()
        .plain("Samples of ")
        .code(&first.variant)
        .plain(format!(" (seed {}) at different steps.", first.seed));
    let mut blocks = vec![
        Block::heading(3, "Samples during training"),
        Block::paragraph(intro),
    ];
    blocks.extend(samples.into_iter().flat_map(with_title));
    blocks
}

fn with_title(sample: Sample) -> [Block; 2] {
    let mut title = format!("{}:", sample.title);
    if let Some(first) = title.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    let text = sample.text;
    [Block::paragraph(title), Block::Code { text }]
}
