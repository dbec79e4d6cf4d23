//! The experiments that come with the project.

use runner::config::{self, Expansion};
use runner::model;
use runner::spec::{Measure, Mlp, Model, ModelKind, Norm, PositionKind, RunSpec};
use std::collections::HashSet;
use std::fs;
use std::path::Path;

fn expand(file: &str, overrides: &[&str]) -> Expansion {
    let overrides: Vec<_> = overrides.iter().map(|text| (*text).to_owned()).collect();
    let document = config::load(Path::new(file), &overrides).unwrap_or_else(|e| panic!("{e}"));
    document.expand().unwrap_or_else(|e| panic!("{e}"))
}

fn variant<'a>(expansion: &'a Expansion, name: &str) -> &'a RunSpec {
    let mut runs = expansion.runs.iter();
    runs.find(|run| run.variant == name).unwrap()
}

#[test]
fn the_ablation_changes_one_thing_at_a_time() {
    let expansion = expand("experiments/ablation.yaml", &[]);
    assert_eq!(expansion.baseline, "gpt");
    let names: Vec<_> = expansion
        .runs
        .iter()
        .map(|run| (run.variant.as_str(), run.seed))
        .collect();
    // Each of three learning rates has a seed of the search and up to eight of the comparison.
    assert_eq!(names[..3], [("gpt", 1001), ("gpt", 1), ("gpt", 2)]);
    assert_eq!(names.len(), 6 * 3 * (1 + 8));

    let gpt = variant(&expansion, "gpt");
    let changed = |name: &str, change: &dyn Fn(&mut RunSpec)| {
        let mut expected = gpt.clone();
        name.clone_into(&mut expected.variant);
        change(&mut expected);
        assert_eq!(*variant(&expansion, name), expected);
    };
    changed("rmsnorm", &|run| run.model.norm = Norm::Rmsnorm);
    changed("swiglu", &|run| run.model.mlp = Mlp::Swiglu);
    let rotary = |run: &mut RunSpec| run.model.positions.kind = PositionKind::Rotary;
    changed("rope", &rotary);
    changed("llama", &|run| {
        run.model.norm = Norm::Rmsnorm;
        run.model.mlp = Mlp::Swiglu;
        rotary(run);
    });
    // What does not apply to a bigram has its default.
    changed("bigram", &|run| {
        run.model = Model {
            kind: ModelKind::Bigram,
            block_size: run.model.block_size,
            ..Model::default()
        };
    });
}

#[test]
fn the_quickstart_is_a_few_small_runs() {
    let expansion = expand("experiments/quickstart.yaml", &[]);
    assert_eq!(expansion.baseline, "bigram");
    assert_eq!(expansion.runs.len(), 6);
    assert!(expansion.runs.iter().all(|run| run.train.steps <= 600));
}

#[test]
fn a_change_that_does_not_apply_to_a_kind_leaves_its_identity_alone() {
    let identity = |overrides: &[&str], name: &str| {
        let expansion = expand("experiments/ablation.yaml", overrides);
        variant(&expansion, name).identity("data")
    };
    let deeper = ["model.n_layer=6", "model.n_head=8", "model.dropout=0.1"];
    assert_eq!(identity(&[], "bigram"), identity(&deeper, "bigram"));
    assert_ne!(identity(&[], "gpt"), identity(&deeper, "gpt"));
}

#[test]
fn runs_of_a_plan_have_identities_of_their_own() {
    let expansion = expand("experiments/ablation.yaml", &[]);
    let names: HashSet<_> = expansion
        .runs
        .iter()
        .map(|run| run.run_name(&run.identity("data")))
        .collect();
    assert_eq!(names.len(), expansion.runs.len());
}

#[test]
fn every_experiment_expands() {
    for entry in fs::read_dir("experiments").unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "yaml") {
            let expansion = expand(path.to_str().unwrap(), &[]);
            assert!(!expansion.runs.is_empty(), "{}", path.display());
        }
    }
}

/// The published numbers of parameters of these models, with their vocabularies.
#[test]
fn published_sizes_are_met_to_the_last_parameter() {
    for (file, vocab_size, published) in [
        ("bigram-shakespeare", 65, 4_225),
        ("gpt-shakespeare", 65, 10_788_929),
        ("names-gpt", 27, 50_688),
        ("subword-bigram", 5_000, 25_000_000),
        ("own-text", 50_281, 30_598_761),
    ] {
        let path = format!("experiments/{file}.yaml");
        let document = config::load(Path::new(&path), &[]).unwrap_or_else(|e| panic!("{e}"));
        let expansion = document.expand().unwrap_or_else(|e| panic!("{e}"));
        let spec = variant(&expansion, &expansion.baseline);
        let size = model::size(&spec.model, vocab_size, spec.sequence_length());
        assert_eq!(size.params, published, "{file}");
        let mut expected = document.experiment().expect.iter();
        assert!(
            expected.any(|e| e.metric == Measure::Params && e.is_met_by(published as f64)),
            "{file} says so itself"
        );
    }
}
