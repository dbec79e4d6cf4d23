//! Validation of a configuration that was stored, in `config.yaml` or in a message to a worker, and
//! may have been changed since.

use super::canonical_names::{FormerNames, replace_former_names};
use super::conditional_keys::applicable;
use super::cross_checks::check;
use super::diagnostic::{Diagnostic, Diagnostics};
use super::error_kind::ErrorKind;
use super::parse::parse_file;
use super::read_file::read;
use super::spans::{FILE, Sources};
use super::tree::{Entry, Layer, Node, Value};
use super::validate::validate;
use crate::spec::{Experiment, RunSpec};
use std::path::Path;
use std::sync::Arc;

/// The sections of a stored run. All of them are written.
const SECTIONS: [&str; 6] = ["data", "tokenizer", "model", "optimizer", "train", "sample"];

/// Reads the configuration of a run from its `config.yaml`. It is checked as an experiment file is
/// checked, except for keys that do not apply: a stored run has a value for every key.
///
/// # Errors
/// All values out of range and all contradictions between fields, each at its place in the file.
pub fn load_run(path: &Path) -> Result<RunSpec, Diagnostics> {
    match read(path, FILE) {
        Ok(text) => run_from_text(path, text),
        Err((text, diagnostic)) => {
            let sources = Arc::new(Sources::of_file(path, text));
            Err(Diagnostics::new(sources, vec![diagnostic]))
        }
    }
}

/// Same as [`load_run`], for a text. Errors show it under the name `path`.
fn run_from_text(path: &Path, text: String) -> Result<RunSpec, Diagnostics> {
    let sources = Arc::new(Sources::of_file(path, text));
    let mut errors = Vec::new();
    match checked(&sources, &mut errors) {
        Some(run) if errors.is_empty() => Ok(run),
        _ => Err(Diagnostics::new(sources, errors)),
    }
}

/// Checks a stored run, as [`load_run`] does.
///
/// # Errors
/// The messages of all values out of range and all contradictions between fields, in one line.
pub fn check_run(run: &RunSpec) -> Result<(), String> {
    let yaml = run.to_yaml().map_err(|error| error.to_string())?;
    let sources = Sources::of_file(Path::new(&run.variant), yaml);
    let mut errors = Vec::new();
    checked(&sources, &mut errors);
    in_one_line(&errors)
}

/// Checks the values of an experiment that was stored. Its runs are checked by [`check_run`]. Its name is not a path
/// here and may be any text.
///
/// # Errors
/// The messages of all values out of range, in one line.
pub(super) fn check_experiment(experiment: &Experiment) -> Result<(), String> {
    let experiment = Experiment {
        name: "stored".to_owned(),
        ..experiment.clone()
    };
    let yaml = serde_yaml::to_string(&experiment).map_err(|error| error.to_string())?;
    let sources = Sources::of_file(Path::new(&experiment.name), yaml);
    let mut errors = Vec::new();
    if let Some(mut tree) = parse_file(&sources.get(FILE).text, FILE, &mut errors) {
        remove_empty_maps(&mut tree);
        errors.extend(validate(&applicable(&tree), &sources));
    }
    in_one_line(&errors)
}

/// Removes keys that are not set: a file must not have an empty section.
fn remove_empty_maps(node: &mut Node) {
    let Value::Map(entries) = &mut node.value else {
        return;
    };
    for entry in entries.iter_mut() {
        remove_empty_maps(&mut entry.value);
    }
    entries.retain(|entry| !matches!(&entry.value.value, Value::Map(inner) if inner.is_empty()));
}

fn in_one_line(errors: &[Diagnostic]) -> Result<(), String> {
    if errors.is_empty() {
        return Ok(());
    }
    let messages: Vec<_> = errors.iter().map(Diagnostic::message).collect();
    Err(format!("invalid configuration: {}", messages.join("; ")))
}

/// The run in a text. On `None`, `errors` has at least one error.
fn checked(sources: &Sources, errors: &mut Vec<Diagnostic>) -> Option<RunSpec> {
    let mut tree = parse_file(&sources.get(FILE).text, FILE, errors)?;
    replace_former_names(&mut tree, &mut FormerNames::default(), errors);
    let settings = applicable(&as_experiment(&tree));
    errors.extend(validate(&settings, sources));
    if !errors.is_empty() {
        return None;
    }
    errors.extend(wrong_run_key(&tree));
    if !errors.is_empty() {
        return None;
    }
    match serde_yaml::from_value::<RunSpec>(tree.to_yaml()) {
        Ok(run) => {
            errors.extend(check(&run, &settings));
            Some(run)
        }
        Err(error) => {
            errors.push(other(&tree, error.to_string()));
            None
        }
    }
}

/// The sections of a run as those of an experiment, which has a name instead of a variant and a seed.
fn as_experiment(run: &Node) -> Node {
    let mut experiment = run.clone();
    if let Value::Map(entries) = &mut experiment.value {
        entries.retain(|entry| !matches!(entry.key.as_str(), "variant" | "seed"));
        let name = Entry {
            key: "name".to_owned(),
            key_span: run.span,
            layer: Layer::Default,
            value: Node {
                span: run.span,
                value: Value::Str("stored".to_owned()),
            },
        };
        entries.push(name);
    }
    experiment
}

/// The error of a key that only a run has, or that only a run must have.
fn wrong_run_key(run: &Node) -> Option<Diagnostic> {
    let variant = run.get("variant").filter(|node| node.as_str().is_none());
    if let Some(variant) = variant {
        return Some(other(variant, "`variant` must be a string".to_owned()));
    }
    let is_seed = |node: &&Node| match node.value {
        Value::Int(seed) => u64::try_from(seed).is_ok(),
        _ => false,
    };
    if let Some(seed) = run.get("seed").filter(|node| !is_seed(node)) {
        let message = format!("`seed` must be an integer from 0 to {}", u64::MAX);
        return Some(other(seed, message));
    }
    let mut keys = ["variant", "seed"].into_iter().chain(SECTIONS);
    let missing = keys.find(|key| run.get(key).is_none())?;
    Some(other(run, format!("missing key `{missing}` in the run")))
}

fn other(node: &Node, message: String) -> Diagnostic {
    let help =
        "the file is damaged or was changed; `runner sweep` with --restart trains the run again";
    let kind = ErrorKind::Other {
        message,
        help: Some(help.to_owned()),
    };
    Diagnostic::new(node.span, kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::from_text;
    use proptest::prelude::*;

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

    /// Each of these would divide by zero, loop without end or allocate without bound.
    #[test]
    fn a_changed_value_is_an_error_at_its_place() {
        let yaml = run("name: test").to_yaml().unwrap();
        for (key, value) in [
            ("n_head", "0"),
            ("block_size", "18446744073709551615"),
            ("sliding_window", "0"),
            ("n_layer", "1e9"),
            ("n_layer", "1000000000"),
            ("tokens", "18446744073709551615"),
            ("temperature", ".nan"),
            ("top_p", "-1"),
            ("repetition_penalty", ".inf"),
            ("lr", "text"),
            ("seed", "-1"),
            ("seed", "1e30"),
            ("variant", "[]"),
            ("model", "gpt"),
        ] {
            let mut lines: Vec<&str> = yaml.lines().collect();
            // `train.tokens` comes before `sample.tokens`.
            let is_key = |line: &&str| line.trim_start().starts_with(&format!("{key}:"));
            let number = lines.iter().rposition(is_key).expect(key);
            let indent = lines[number].len() - lines[number].trim_start().len();
            let changed = format!("{}{key}: {value}", " ".repeat(indent));
            lines[number] = &changed;
            if key == "model" {
                lines.retain(|line| !line.starts_with("  "));
            }
            let line = lines.iter().position(|line| *line == changed).unwrap() + 1;
            let text = lines.join("\n");
            let error = run_from_text(Path::new("config.yaml"), text).expect_err(&changed);
            let error = error.to_string();
            assert!(error.contains(&format!("config.yaml:{line}:")), "{error}");
            assert!(
                error.contains(&format!("`{key}`")) || error.contains(&format!(".{key}`")),
                "{error}"
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(prompt in any::<String>(), lr in 1e-30..1.0) {
            let mut written = run("name: test\nsample: {temperature: 0.7}");
            written.sample.prompt = prompt;
            written.optimizer.lr = lr;
            let yaml = written.to_yaml().unwrap();
            prop_assert_eq!(run_from_text(Path::new("config.yaml"), yaml).unwrap(), written);
        }
    }

    #[test]
    fn a_missing_section_is_an_error() {
        let yaml = run("name: test").to_yaml().unwrap();
        let error = run_from_text(Path::new("config.yaml"), yaml.replace("\nseed: 1\n", "\n"));
        let error = error.unwrap_err().to_string();
        assert!(error.contains("missing key `seed`"), "{error}");
        let mappings = ["", "[1]", "text", "variant: a\nseed: 1"];
        assert!(
            mappings
                .iter()
                .all(|text| run_from_text(Path::new("x"), (*text).to_owned()).is_err())
        );
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
