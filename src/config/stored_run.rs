//! Validation of a configuration that was stored, in `config.yaml` or in a message to a worker, and
//! may have been changed since.

use super::conditional_keys::applicable;
use super::cross_checks::check;
use super::diagnostic::Diagnostic;
use super::error_kind::ErrorKind;
use super::parse::parse;
use super::spans::{FILE, Sources};
use super::tree::{Node, Value};
use super::validate::validate;
use crate::spec::RunSpec;

/// Checks a stored run as an experiment file is checked, except for keys that do not apply: a stored
/// run has a value for every key.
///
/// # Errors
/// The messages of all values out of range and all contradictions between fields, in one line.
pub fn check_run(run: &RunSpec) -> Result<(), String> {
    let yaml = serde_yaml::to_string(run).expect("a run has string keys only");
    let text = format!("name: stored\n{yaml}");
    let sources = Sources::new(&run.variant, text, &[]);
    let mut errors = Vec::new();
    match parse(&sources.get(FILE).text, FILE, 0, &mut errors) {
        Ok(Some(mut tree)) => {
            if let Value::Map(entries) = &mut tree.value {
                entries.retain(|entry| !matches!(entry.key.as_str(), "variant" | "seed"));
            }
            check_tree(run, &applicable(&tree), &sources, &mut errors);
        }
        Ok(None) => errors.push(Diagnostic::new(None, ErrorKind::Empty)),
        Err(diagnostic) => errors.push(diagnostic),
    }
    match errors.is_empty() {
        true => Ok(()),
        false => {
            let messages: Vec<_> = errors.iter().map(Diagnostic::message).collect();
            Err(format!("invalid configuration: {}", messages.join("; ")))
        }
    }
}

fn check_tree(run: &RunSpec, tree: &Node, sources: &Sources, errors: &mut Vec<Diagnostic>) {
    errors.extend(validate(tree, sources));
    if errors.is_empty() {
        errors.extend(check(run, tree));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::from_text;

    fn run(text: &str) -> RunSpec {
        let document = from_text("test.yaml", text, &[]).unwrap_or_else(|e| panic!("{e}"));
        let runs = document.expand().unwrap_or_else(|e| panic!("{e}")).runs;
        runs.into_iter().next().unwrap()
    }

    #[test]
    fn what_an_experiment_expands_to_is_valid() {
        for text in [
            "name: test",
            "name: test\nmodel: {kind: bigram}",
            "name: test\nmodel: {kind: ngram}",
            "name: test\nmodel: {dropout: 0.1}\ndata: {source: names}",
            "name: test\noptimizer: {kind: muon}\ntrain: {epochs: 2, eval_every: 1 epoch}",
            "name: test\ntrain: {flops: 1e13, eval_every: 1 epoch}",
            "name: test\ntrain: {seconds: 60}\noptimizer: {schedule: {kind: wsd, warmup_steps: 600}}",
        ] {
            let mut run = run(text);
            check_run(&run).unwrap_or_else(|e| panic!("{e}"));
            run.count_steps(100_000, 1e6);
            check_run(&run).unwrap_or_else(|e| panic!("{e}"));
        }
    }

    /// Each of these would divide by zero or allocate without bound.
    #[test]
    fn a_stored_run_that_was_changed_is_rejected() {
        type Change = fn(&mut RunSpec);
        let changes: [(&str, Change); 4] = [
            ("`model.n_head`", |run| run.model.n_head = 0),
            ("`sample.num_samples`", |run| run.sample.num_samples = 0),
            ("`train.batch_size`", |run| run.train.batch_size = 0),
            ("must be divisible by", |run| run.model.n_head = 3),
        ];
        for (expected, change) in changes {
            let mut run = run("name: test");
            change(&mut run);
            let error = check_run(&run).unwrap_err();
            assert!(error.contains(expected), "{error}");
            // What a report computes from it does not panic either.
            let _ = (
                run.model.head_size(),
                run.tokens_per_step(),
                run.identity("text"),
            );
        }
    }
}
