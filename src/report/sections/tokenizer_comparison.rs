use super::Findings;
use crate::report::analysis::tokenizer_table::{TokenizerRow, tokenizers};
use crate::report::page_blocks::{Block, Column, Row, Table};

/// The tokenizers, where there is more than one.
pub(super) fn blocks(findings: &Findings) -> Vec<Block> {
    let tokenizers = tokenizers(&findings.results.plan);
    if tokenizers.len() < 2 {
        return Vec::new();
    }
    let columns = vec![
        Column::left("Tokenizer"),
        Column::left("Variants"),
        Column::right("Vocabulary"),
        Column::right("Bytes per token"),
        Column::right("Unknown tokens"),
        Column::left("Lossless"),
        Column::left("Training tokens"),
    ];
    let row = |row: TokenizerRow| {
        let lossless = if row.lossless { "yes" } else { "no" };
        Row::new(vec![
            row.tokenizer.into(),
            row.variants.into(),
            row.vocab_size.into(),
            row.bytes_per_token.into(),
            row.unknown.into(),
            lossless.into(),
            row.train_tokens.into(),
        ])
    };
    let rows = tokenizers.into_iter().map(row).collect();
    vec![
        Block::heading(3, "Tokenizers"),
        Block::Table(Table { columns, rows }),
        Block::paragraph(
            "Bytes per token and unknown tokens are measured on the validation split. A tokenizer is lossless if its tokens decode to exactly this text.",
        ),
    ]
}
