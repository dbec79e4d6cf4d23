//! Plans for tests.

use crate::results::{CorpusInfo, PlannedRun, SweepPlan};
use crate::spec::{RunPart, RunSpec};

/// The first run of an experiment, given as YAML.
pub(crate) fn spec_of(experiment: &str) -> RunSpec {
    plan_of(experiment).runs.swap_remove(0).spec
}

/// The plan of an experiment, given as YAML, without reading any data.
pub(crate) fn plan_of(experiment: &str) -> SweepPlan {
    let document = crate::config::from_text("x.yaml", experiment, &[]).unwrap();
    let expansion = document.expand().unwrap();
    let runs = expansion.runs.into_iter().zip(expansion.parts);
    let planned = |(spec, part): (RunSpec, RunPart)| PlannedRun {
        name: format!("{}-s{}", spec.variant, spec.seed),
        identity: String::new(),
        corpus: 0,
        params: 0,
        params_non_embedding: 0,
        flops_per_token: 0.0,
        tuned: part.tuned,
        smaller_size: part.smaller_size,
        spec,
    };
    SweepPlan {
        experiment: document.experiment().clone(),
        baseline: "a".to_owned(),
        earlier: Vec::new(),
        matched: Vec::new(),
        command: String::new(),
        version: String::new(),
        config_hash: String::new(),
        machine: String::new(),
        corpora: vec![CorpusInfo {
            key: "plays".to_owned(),
            source: String::new(),
            data_sha256: String::new(),
            tokenizer_sha256: String::new(),
            vocab_size: 65,
            train_bytes: 9000,
            val_bytes: 1000,
            train_tokens: 9000,
            sampled_train_tokens: None,
            val_tokens: 1000,
            val_unknown_tokens: 0,
            lossless: true,
            has_carriage_returns: false,
            floor_bits_per_byte: None,
            bigram_count_loss: None,
        }],
        runs: runs.map(planned).collect(),
    }
}
