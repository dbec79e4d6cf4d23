use super::conditional_keys::{self, Verdict};
use super::cross_checks::{check, check_schedule};
use super::diagnostic::{Diagnostic, Diagnostics};
use super::durations;
use super::error_kind::Problem;
use super::expected_values;
use super::merge::merge;
use super::overrides;
use super::parse::parse;
use super::spans::{self, FILE, Place, Sources};
use super::tree::{Layer, Node, Value};
use super::validate::validate;
use super::variants::{self, Variant};
use crate::spec::{Data, Experiment, ModelKind, RunSpec, Source};
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

/// An experiment as written, with overrides applied and defaults filled in; each value still knows
/// where it came from.
#[derive(Debug, Clone)]
pub struct Document {
    sources: Arc<Sources>,
    /// Overrides applied.
    tree: Node,
    overrides: Node,
    experiment: Experiment,
}

/// Every run of an experiment.
#[derive(Debug, Clone, PartialEq)]
pub struct Expansion {
    /// Name of the variant that the others are compared with.
    pub baseline: String,
    /// Variants in the order of the file, and within each its seeds.
    pub runs: Vec<RunSpec>,
}

/// Reads an experiment file and writes `path=value` overrides over it.
///
/// # Errors
/// All that is wrong with the structure of the document, together.
pub fn load(path: &Path, overrides: &[String]) -> Result<Document, Diagnostics> {
    let name = path.display().to_string();
    match spans::read(path) {
        Ok(text) => from_text(&name, &text, overrides),
        Err((text, diagnostic)) => {
            let sources = Arc::new(Sources::new(name, text, overrides));
            Err(Diagnostics::new(sources, vec![diagnostic]))
        }
    }
}

/// [`load`] of a text, which errors call `name`.
///
/// # Errors
/// As [`load`].
pub fn from_text(name: &str, text: &str, overrides: &[String]) -> Result<Document, Diagnostics> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let sources = Arc::new(Sources::new(name.to_owned(), text.to_owned(), overrides));
    let mut found = Vec::new();
    match build(&sources, &mut found) {
        Some(document) if found.is_empty() => Ok(document),
        _ => Err(Diagnostics::new(sources, found)),
    }
}

/// The passes of loading. `None` leaves at least one diagnostic in `found`.
fn build(sources: &Arc<Sources>, found: &mut Vec<Diagnostic>) -> Option<Document> {
    let text = &sources.get(FILE).text;
    if text.len() as u64 > spans::MAX_FILE_BYTES {
        found.push(Diagnostic::new(None, Problem::TooLarge));
        return None;
    }
    let file = match parse(text, FILE, 0, found) {
        Ok(Some(file)) => file,
        Ok(None) => {
            found.push(Diagnostic::new(None, Problem::Empty));
            return None;
        }
        Err(diagnostic) => {
            found.push(diagnostic);
            return None;
        }
    };
    let overrides = overrides::tree(sources, &file, found);
    let tree = match file.value {
        Value::Map(_) => merge(&file, &overrides, Layer::Override),
        // For validation to refuse, rather than for overrides to replace.
        _ => file,
    };
    found.extend(validate(&tree, sources));
    if !found.is_empty() {
        return None;
    }
    match typed(&tree) {
        Ok(experiment) => Some(Document {
            sources: Arc::clone(sources),
            tree,
            overrides,
            experiment,
        }),
        Err(diagnostic) => {
            found.push(diagnostic);
            None
        }
    }
}

/// A tree as its type. Validation leaves nothing for serde to refuse; were it to, the error has a
/// place all the same.
fn typed(tree: &Node) -> Result<Experiment, Diagnostic> {
    serde_yaml::from_value(tree.to_yaml()).map_err(|error| {
        let problem = Problem::Other {
            message: error.to_string(),
            help: None,
        };
        Diagnostic::new(tree.place, problem)
    })
}

impl Document {
    /// The experiment with overrides applied and defaults filled in.
    pub fn experiment(&self) -> &Experiment {
        &self.experiment
    }

    /// Every run, resolved.
    ///
    /// # Errors
    /// All that is wrong with the sweep, and with fields against each other, together.
    pub fn expand(&self) -> Result<Expansion, Diagnostics> {
        let mut found = Vec::new();
        let variants = self.variants(&mut found);
        let specs: Vec<_> = variants
            .iter()
            .filter_map(|variant| self.resolve(variant, &mut found))
            .collect();
        found.extend(wasted(&variants));
        self.check_distinct(&variants, &specs, &mut found);
        let baseline = variants::baseline(&self.tree, &variants);
        // A variant that could not be resolved would be taken for an unknown one.
        if specs.len() == variants.len() {
            let expected = &self.experiment.expect;
            expected_values::check(&self.tree, expected, &specs, &baseline, &mut found);
        }
        if !found.is_empty() {
            return Err(self.diagnostics(found));
        }
        let seeds = self.experiment.sweep.clone().unwrap_or_default().seeds;
        let with_seeds = |spec: &RunSpec| {
            let spec = spec.clone();
            let seeded = seeds.iter().map(move |&seed| RunSpec {
                seed,
                ..spec.clone()
            });
            seeded.collect::<Vec<_>>()
        };
        Ok(Expansion {
            baseline,
            runs: specs.iter().flat_map(with_seeds).collect(),
        })
    }

    /// An error found later, at the place of a value: of the variant named, or of the document. A
    /// value that is not written is shown by the nearest section that is.
    pub fn error_at(
        &self,
        variant: Option<&str>,
        path: &str,
        message: String,
        help: Option<String>,
    ) -> Diagnostics {
        let variants = self.variants(&mut Vec::new());
        let named = variant.and_then(|name| variants.into_iter().find(|v| v.name == name));
        let tree = named.as_ref().map_or(&self.tree, |variant| &variant.tree);
        let place = tree.nearest(path).map_or(tree.place, |entry| {
            let written = tree.at(path).is_some();
            if written {
                entry.value.place
            } else {
                entry.key_place
            }
        });
        let problem = Problem::Other { message, help };
        self.diagnostics(vec![Diagnostic::new(place, problem)])
    }

    /// What could not be told of a run before its steps were counted.
    pub fn check_counted(&self, spec: &RunSpec) -> Option<Diagnostics> {
        if spec.known_steps().is_some() {
            return None;
        }
        let variants = self.variants(&mut Vec::new());
        let named = variants
            .into_iter()
            .find(|variant| variant.name == spec.variant);
        let tree = named.as_ref().map_or(&self.tree, |variant| &variant.tree);
        let found = check_schedule(spec, spec.train.steps, tree);
        (!found.is_empty()).then(|| self.diagnostics(found))
    }

    fn diagnostics(&self, found: Vec<Diagnostic>) -> Diagnostics {
        Diagnostics::new(Arc::clone(&self.sources), found)
    }

    fn variants(&self, found: &mut Vec<Diagnostic>) -> Vec<Variant> {
        variants::variants(&self.tree, &self.overrides, &self.sources, found)
    }

    /// A variant as a run, its seed still to be set, with its fields checked against each other.
    fn resolve(&self, variant: &Variant, found: &mut Vec<Diagnostic>) -> Option<RunSpec> {
        let tree = durations::one_length(&conditional_keys::applicable(&variant.tree), found);
        let experiment = match typed(&tree) {
            Ok(experiment) => experiment,
            Err(diagnostic) => {
                found.push(diagnostic);
                return None;
            }
        };
        let mut spec = RunSpec {
            variant: variant.name.clone(),
            seed: 0,
            data: experiment.data,
            tokenizer: experiment.tokenizer,
            model: experiment.model,
            optimizer: experiment.optimizer,
            train: experiment.train,
            sample: experiment.sample,
        };
        if spec.data.source != Source::Plays {
            let unused = Data::default();
            spec.data.plays_bytes = unused.plays_bytes;
            spec.data.plays_seed = unused.plays_seed;
        }
        if spec.model.kind == ModelKind::Ngram {
            spec.train.steps = 0;
            spec.train.tokens = None;
            spec.train.epochs = None;
        }
        found.extend(check(&spec, &variant.tree));
        Some(spec)
    }

    /// Two variants that train the same thing would be compared with themselves.
    fn check_distinct(&self, variants: &[Variant], specs: &[RunSpec], found: &mut Vec<Diagnostic>) {
        let mut first_with: HashMap<String, &Variant> = HashMap::new();
        for (variant, spec) in variants.iter().zip(specs) {
            let mut anonymous = spec.anonymous();
            anonymous.data.max_bytes = 0; // it does not change what is computed either
            let Ok(config) = serde_json::to_string(&anonymous) else {
                continue;
            };
            let Some(first) = first_with.get(&config) else {
                first_with.insert(config, variant);
                continue;
            };
            let problem = Problem::SameVariants {
                first: first.name.clone(),
                second: variant.name.clone(),
                overridden: !self.overrides.entries().is_empty(),
            };
            let diagnostic = Diagnostic::new(variant.place, problem);
            found.push(diagnostic.related(first.place, "the same as this one"));
        }
    }
}

/// Keys that no variant has a use for, although they were written for it.
fn wasted(variants: &[Variant]) -> Vec<Diagnostic> {
    let mut used: HashSet<Place> = HashSet::new();
    let mut wasted: HashMap<Place, Problem> = HashMap::new();
    for variant in variants {
        for (place, verdict) in conditional_keys::verdicts(&variant.tree) {
            match verdict {
                Verdict::Used => {
                    used.insert(place);
                }
                Verdict::Inherited => {}
                Verdict::Wasted(problem) => {
                    wasted.entry(place).or_insert(problem);
                }
            }
        }
    }
    let unused = wasted
        .into_iter()
        .filter(|(place, _)| !used.contains(place));
    unused
        .map(|(place, problem)| Diagnostic::new(place, problem))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Model;

    fn document(text: &str, overrides: &[&str]) -> Document {
        let overrides: Vec<_> = overrides.iter().map(|text| (*text).to_owned()).collect();
        from_text("test.yaml", text, &overrides).unwrap_or_else(|e| panic!("{e}"))
    }

    #[test]
    fn a_variant_of_another_kind_inherits_nothing_that_does_not_apply() {
        let text = "name: test
model: {kind: gpt, n_layer: 7, block_size: 32}
optimizer: {kind: adamw, betas: [0.8, 0.9]}
sweep: {variants: {gpt: {}, bigram: {model: {kind: bigram}, optimizer: {kind: sgd}}}}";
        let runs = document(text, &[]).expand().unwrap().runs;
        assert_eq!(runs[0].model.n_layer, 7);
        let expected = Model {
            kind: ModelKind::Bigram,
            block_size: 32,
            ..Model::default()
        };
        assert_eq!(runs[1].model, expected);
        assert_eq!(runs[1].optimizer.betas, [0.9, 0.99]);
    }

    #[test]
    fn a_kind_set_by_an_override_makes_other_keys_inherited() {
        let text = "name: test\nmodel: {kind: gpt, n_layer: 7}";
        let runs = document(text, &["model.kind=bigram"])
            .expand()
            .unwrap()
            .runs;
        assert_eq!(runs[0].model.n_layer, Model::default().n_layer);
    }

    #[test]
    fn a_key_is_not_wasted_while_one_variant_uses_it() {
        let text = "name: test
optimizer: {momentum: 0.5}
sweep: {variants: {adamw: {}, sgd: {optimizer: {kind: sgd}}}}";
        let runs = document(text, &["optimizer.betas=[0.1, 0.2]"])
            .expand()
            .unwrap()
            .runs;
        assert_eq!(
            (runs[0].optimizer.momentum, runs[1].optimizer.momentum),
            (0.9, 0.5)
        );
        assert_eq!(runs[0].optimizer.betas, [0.1, 0.2]);
    }

    #[test]
    fn what_other_sources_ignore_makes_no_difference() {
        let text = "name: test\ndata: {source: names, plays_seed: 5}\n\
                    sweep: {variants: {a: {}, b: {data: {plays_seed: 6}}}}";
        let error = document(text, &[]).expand().unwrap_err();
        assert!(error.to_string().contains("are the same"), "{error}");
    }

    #[test]
    fn what_does_not_change_the_result_makes_no_difference() {
        let text = "name: test
sweep: {variants: {a: {}, b: {train: {checkpoint_every: 7}, data: {max_bytes: 5000000}}}}";
        let error = document(text, &[]).expand().unwrap_err();
        assert!(error.to_string().contains("are the same"), "{error}");
    }

    #[test]
    fn errors_found_later_point_at_the_value() {
        let text = "name: test
model: {block_size: 9}
sweep:
  variants:
    a: {}
    b: {data: {source: missing.txt}, model: {block_size: 8}}
    c: {data: {source: names}}";
        let document = document(text, &["train.batch_size=3"]);
        let at = |variant, path| {
            let error = document.error_at(variant, path, "no".to_owned(), None);
            let text = error.to_string();
            let place = text.split("--> ").nth(1).unwrap();
            place.lines().next().unwrap().to_owned()
        };
        assert_eq!(at(Some("b"), "data.source"), "test.yaml:6:24");
        assert_eq!(at(Some("b"), "model.block_size"), "test.yaml:6:58");
        assert_eq!(at(Some("a"), "model.block_size"), "test.yaml:2:21");
        assert_eq!(at(None, "model.n_layer"), "test.yaml:2:1");
        assert_eq!(at(None, "data.source"), "test.yaml:1:1");
        assert_eq!(at(None, "train.batch_size"), "command line:1:18");
        assert_eq!(at(Some("nobody"), "sample.prompt"), "test.yaml:1:1");
    }

    #[test]
    fn the_experiment_has_overrides_and_defaults() {
        let document = document("name: test\nsweep: {seeds: [4]}", &["train.steps=5"]);
        let experiment = document.experiment();
        assert_eq!(
            (experiment.train.steps, experiment.train.batch_size),
            (5, 12)
        );
        assert_eq!(experiment.sweep.as_ref().unwrap().seeds, [4]);
    }

    #[test]
    fn numbers_keep_their_values() {
        let text = "name: test
optimizer: {lr: 1e-3, weight_decay: 1, grad_clip: 0x10}
sample: {temperature: .8}
sweep: {seeds: [18446744073709551615]}";
        let document = document(text, &[]);
        let experiment = document.experiment();
        assert_eq!(experiment.optimizer.lr, 1e-3);
        assert_eq!(experiment.optimizer.weight_decay, Some(1.0));
        assert_eq!(experiment.optimizer.grad_clip, 16.0);
        assert_eq!(experiment.sample.temperature, 0.8);
        assert_eq!(experiment.sweep.as_ref().unwrap().seeds, [u64::MAX]);
    }
}
