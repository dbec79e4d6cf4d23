use crate::results::{CorpusInfo, PlannedRun, SweepPlan};
use crate::text::units::{self, count};
use serde::Serialize;
use std::collections::{HashMap, HashSet};

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

/// The tokenizers of a plan at its largest size, in the order of its runs, one row per pair of tokenizer and text.
pub fn tokenizers(plan: &SweepPlan) -> Vec<TokenizerRow> {
    // The position of each corpus in `rows`, with the first run that uses it and its variants.
    let mut positions: HashMap<usize, usize> = HashMap::new();
    let mut rows: Vec<(&PlannedRun, Vec<&str>)> = Vec::new();
    let mut seen: HashSet<(usize, &str)> = HashSet::new();
    for run in plan.runs.iter().filter(|run| run.smaller_size.is_none()) {
        let variant = run.spec.variant.as_str();
        if seen.insert((run.corpus, variant)) {
            let position = *positions.entry(run.corpus).or_insert_with(|| {
                rows.push((run, Vec::new()));
                rows.len() - 1
            });
            rows[position].1.push(variant);
        }
    }
    rows.into_iter()
        .map(|(run, variants)| {
            let name = run.spec.tokenizer.to_string();
            row(name, &variants, &plan.corpora[run.corpus])
        })
        .collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::{Folder, corpus, variant};

    /// A plan with a run of each variant for each corpus and each of two seeds.
    fn plan(variants: usize, corpora: usize) -> SweepPlan {
        let folder = Folder::new("tokenizers");
        variant(&folder, "gpt", 1, 1.5, |run| run);
        let mut plan = folder.plan.borrow().clone();
        plan.corpora = vec![corpus(); corpora];
        let run = plan.runs.remove(0);
        for number in 0..2 * variants * corpora {
            let mut run = run.clone();
            run.spec.variant = format!("variant-{:06}", number / 2 / corpora);
            run.corpus = (number + 1) % corpora;
            plan.runs.push(run);
        }
        plan
    }

    #[test]
    fn rows_are_in_the_order_of_the_runs() {
        let rows = tokenizers(&plan(3, 2));
        let variants = "variant-000000, variant-000001, variant-000002";
        assert_eq!(rows.len(), 2);
        assert!(rows.iter().all(|row| row.variants == variants));
    }
}
