use crate::results::{CorpusInfo, SweepPlan};
use crate::text::units::{self, count};
use serde::Serialize;

/// One tokenizer of a sweep and what it does to the text, as formatted values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TokenizerRow {
    /// Kind and size: `bpe 512`.
    pub tokenizer: String,
    /// Names of the variants that use it.
    pub variants: String,
    pub vocab_size: String,
    /// Mean number of bytes per token of the validation split.
    pub bytes_per_token: String,
    /// Share of unknown tokens in the validation split.
    pub unknown: String,
    /// Whether the tokens of the validation split decode to exactly its text.
    pub lossless: bool,
    /// Number of tokens of the training split. With subword regularization, this gives both the
    /// sampled and the plain encoding.
    pub train_tokens: String,
}

/// The tokenizers of a plan in the order of its runs, one row per pair of tokenizer and text.
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
