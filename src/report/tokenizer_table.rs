use crate::results::{CorpusInfo, SweepPlan};
use crate::text::units::{self, count};
use serde::Serialize;

/// What is known of one tokenizer of a sweep, as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TokenizerRow {
    /// `bpe 512`.
    pub tokenizer: String,
    /// The variants that have it.
    pub variants: String,
    pub vocab_size: String,
    /// Of the validation split.
    pub bytes_per_token: String,
    /// Share of the tokens of the validation split that stand in for what is unknown.
    pub unknown: String,
    /// Whether the tokens of the validation split decode to its text.
    pub lossless: bool,
    /// Tokens of the training split, for one that is sampled in training as well as plain.
    pub train_tokens: String,
}

/// The tokenizers of a plan, in the order in which its runs come to them: one line each for every
/// text that it is used on.
pub fn tokenizers(plan: &SweepPlan) -> Vec<TokenizerRow> {
    let mut seen: Vec<(usize, Vec<&str>)> = Vec::new();
    for run in &plan.runs {
        let variant = run.spec.variant.as_str();
        match seen.iter_mut().find(|(corpus, _)| *corpus == run.corpus) {
            Some((_, variants)) if variants.contains(&variant) => {}
            Some((_, variants)) => variants.push(variant),
            None => seen.push((run.corpus, vec![variant])),
        }
    }
    let row = |(corpus, variants): (usize, Vec<&str>)| {
        let run = plan.runs.iter().find(|run| run.corpus == corpus)?;
        let name = run.spec.tokenizer.to_string();
        Some(row(name, &variants, &plan.corpora[corpus]))
    };
    seen.into_iter().filter_map(row).collect()
}

fn row(tokenizer: String, variants: &[&str], corpus: &CorpusInfo) -> TokenizerRow {
    let plain = count(corpus.train_tokens as f64);
    TokenizerRow {
        tokenizer,
        variants: variants.join(", "),
        vocab_size: units::exact(corpus.vocab_size as u64),
        bytes_per_token: format!("{:.2}", corpus.bytes_per_token()),
        unknown: units::share(corpus.val_unknown_tokens as f64 / corpus.val_tokens as f64),
        lossless: corpus.lossless,
        train_tokens: match corpus.sampled_train_tokens {
            Some(sampled) => format!("{} sampled, {plain} plain", count(sampled as f64)),
            None => plain,
        },
    }
}
