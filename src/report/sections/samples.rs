use super::Findings;
use crate::report::analysis::generated_text::{Sample, of_all_variants, side_by_side};
use crate::report::analysis::ranking::Ranking;
use crate::report::page_blocks::{Block, Text, TitledText};
use crate::spec::ModelKind;
use crate::text::units;

/// Samples of the most interesting models, with the losses of bigram model and transformer.
pub(super) fn blocks(findings: &Findings) -> Vec<Block> {
    let ranking = findings.ranking;
    let bigram = bigram_against_transformer(ranking);
    let heading = match bigram {
        Some(_) => "Bigram against transformer",
        None => "Samples",
    };
    let mut blocks: Vec<Block> = bigram.map(Block::paragraph).into_iter().collect();
    let shown = side_by_side(ranking);
    if let Some(first) = shown.first().filter(|sample| !sample.prompt.is_empty()) {
        let text = Text::new().plain("The models continue the prompt ");
        blocks.push(Block::paragraph(text.code(&first.prompt).plain(".")));
    }
    match shown.as_slice() {
        [] => {}
        [left, right, ..] => blocks.push(Block::SideBySide {
            left: titled(left),
            right: titled(right),
        }),
        [sample] => {
            let seed = format!(" (seed {}):", sample.seed);
            let title = Text::new().code(&sample.variant).plain(seed);
            blocks.push(Block::paragraph(title));
            blocks.push(Block::Code {
                text: sample.text.clone(),
            });
        }
    }
    let all = of_all_variants(ranking);
    if all.len() > shown.len() {
        blocks.push(Block::Folded {
            summary: "Samples of all variants".to_owned(),
            blocks: all.iter().flat_map(with_title).collect(),
        });
    }
    if !blocks.is_empty() {
        blocks.insert(0, Block::heading(2, heading));
    }
    blocks
}

fn titled(sample: &Sample) -> TitledText {
    TitledText {
        title: format!("{}, seed {}", sample.variant, sample.seed),
        text: sample.text.clone(),
    }
}

fn with_title(sample: &Sample) -> [Block; 2] {
    let details = format!(" (seed {}, {})", sample.seed, sample.title);
    let title = Text::new().strong(&sample.variant).plain(details);
    let text = sample.text.clone();
    [Block::paragraph(title), Block::Code { text }]
}

/// Where a sweep has both, the losses of its best bigram model and its best transformer.
fn bigram_against_transformer(ranking: &Ranking) -> Option<String> {
    let bigram = ranking.best_of(ModelKind::Bigram)?;
    let transformer = ranking.best_of(ModelKind::Gpt)?;
    let bits = |nats: f64| bigram.corpus.bits_per_byte(nats);
    let counted = bigram.corpus.bigram_count_loss.map(bits);
    let counted = counted.map_or(String::new(), |counted| {
        format!(
            "Counting pairs of tokens in the training text reaches {}, which is about the best that a bigram model can do. ",
            units::loss(counted)
        )
    });
    Some(format!(
        "A bigram model predicts the next token from the current token alone. {} reaches {} bits per byte. {counted}{}, which sees its whole context, reaches {}.",
        bigram.name,
        units::loss(bigram.mean_bits_per_byte()?),
        transformer.name,
        units::loss(transformer.mean_bits_per_byte()?),
    ))
}
