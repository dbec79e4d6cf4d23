use super::Findings;
use crate::report::loaded_results::Results;
use crate::report::page_blocks::{Block, Text};
use crate::results::CorpusInfo;
use crate::text::{escape, units};
use serde::Serialize;

/// One value that is needed to reproduce the results.
#[derive(Debug, Serialize)]
pub(in crate::report) struct ReproductionField {
    name: &'static str,
    value: String,
}

/// What is needed to reproduce the results.
pub(super) fn blocks(findings: &Findings) -> Vec<Block> {
    let fields = ReproductionField::all(findings.results);
    let item = |field: ReproductionField| {
        let name = format!("{}: ", field.name);
        Text::new().plain(name).code(field.value)
    };
    let items = fields.into_iter().map(item).collect();
    vec![Block::heading(2, "Reproduce"), Block::List { items }]
}

impl ReproductionField {
    fn new(name: &'static str, value: impl Into<String>) -> Self {
        let value = value.into();
        Self { name, value }
    }

    pub(in crate::report) fn all(results: &Results) -> Vec<Self> {
        let plan = &results.plan;
        let mut fields = vec![
            Self::new("Command", &plan.command),
            Self::new("Config hash", &plan.config_hash),
        ];
        for (index, corpus) in plan.corpora.iter().enumerate() {
            // Several tokenizers of one text share its hash.
            let same_text = |other: &CorpusInfo| hash(other) == hash(corpus);
            if plan.corpora[..index].iter().any(same_text) {
                continue;
            }
            // A plan from somebody else can hold any numbers.
            let bytes = corpus.train_bytes.saturating_add(corpus.val_bytes) as f64;
            let size = units::bytes(bytes);
            fields.push(Self::new("Data", format!("{}, {size}", corpus.source)));
            fields.push(Self::new("Data hash", hash(corpus)));
        }
        fields.push(Self::new("Version", &plan.version));
        fields.push(Self::new("Machine", escape::visible(&plan.machine)));
        fields
    }
}

fn hash(corpus: &CorpusInfo) -> &str {
    &corpus.data_sha256
}
