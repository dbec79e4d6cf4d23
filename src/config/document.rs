use super::canonical_names::{FormerNames, replace_former_names};
use super::cross_checks::{check, check_schedule, unreached_min_lr};
use super::diagnostic::{AtSize, Diagnostic, Diagnostics};
use super::error_kind::ErrorKind;
use super::extended_files::Files;
use super::merge::merge;
use super::overrides;
use super::read_file::read;
use super::spans::{FILE, SourceText, Sources};
use super::tree::{Layer, Node, Value};
use super::validate::validate;
use super::variants::{RunPlace, Variants};
use crate::spec::{Experiment, Match, RunPart, RunSpec};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// An experiment with overrides applied and defaults filled in. Each value knows its span, so that
/// an error can show where it comes from.
#[derive(Debug, Clone)]
pub struct Document {
    pub(super) sources: Arc<Sources>,
    /// The files, merged.
    files: Node,
    /// The files with overrides applied.
    pub(super) tree: Node,
    pub(super) overrides: Node,
    pub(super) experiment: Experiment,
    former_names: FormerNames,
    /// Computed on first use, once: a sweep may have thousands of variants.
    variants: OnceLock<Arc<Variants>>,
}

/// Reads an experiment file with the files that it extends, and applies `path=value` overrides.
///
/// # Errors
/// All errors in the structure of the document.
pub fn load(path: &Path, overrides: &[String]) -> Result<Document, Diagnostics> {
    match read(path, FILE) {
        Ok(text) => from_file(SourceText::file(path, text), overrides),
        Err((text, diagnostic)) => {
            let sources = Arc::new(Sources::of_file(path, text));
            Err(Diagnostics::new(sources, vec![diagnostic]))
        }
    }
}

/// Same as [`load`], for a text. Errors show it under the name `name`.
///
/// # Errors
/// As [`load`].
pub fn from_text(name: &str, text: &str, overrides: &[String]) -> Result<Document, Diagnostics> {
    from_file(
        SourceText::file(Path::new(name), text.to_owned()),
        overrides,
    )
}

fn from_file(file: SourceText, overrides: &[String]) -> Result<Document, Diagnostics> {
    let mut errors = Vec::new();
    let files = Files::read(file, &mut errors);
    let sources = Arc::new(Sources::new(files.texts, overrides));
    match files.tree {
        Some(tree) => build(sources, tree, files.former_names, errors),
        None => Err(Diagnostics::new(sources, errors)),
    }
}

/// The document of a tree with the overrides of `sources`, if there are no `errors`.
fn build(
    sources: Arc<Sources>,
    files: Node,
    mut former_names: FormerNames,
    mut errors: Vec<Diagnostic>,
) -> Result<Document, Diagnostics> {
    let mut overrides = overrides::tree(&sources, &files, &mut errors);
    replace_former_names(&mut overrides, &mut former_names, &mut errors);
    let tree = match files.value {
        Value::Map(_) => merge(&files, &overrides, Layer::Override),
        // Validation reports it; merging would replace it by the overrides.
        _ => files.clone(),
    };
    errors.extend(validate(&tree, &sources));
    if !errors.is_empty() {
        return Err(Diagnostics::new(sources, errors));
    }
    match typed(&tree) {
        Ok(experiment) => Ok(Document {
            sources,
            files,
            tree,
            overrides,
            experiment,
            former_names,
            variants: OnceLock::new(),
        }),
        Err(diagnostic) => Err(Diagnostics::new(sources, vec![diagnostic])),
    }
}

/// A tree as its type. After validation serde has nothing left to reject; if it does, the error
/// still has a span.
pub(super) fn typed(tree: &Node) -> Result<Experiment, Diagnostic> {
    serde_yaml::from_value(tree.to_yaml()).map_err(|error| {
        let kind = ErrorKind::Other {
            message: error.to_string(),
            help: None,
        };
        Diagnostic::new(tree.span, kind)
    })
}

impl Document {
    /// The experiment with overrides applied and defaults filled in.
    pub fn experiment(&self) -> &Experiment {
        &self.experiment
    }

    /// How variants are matched to the baseline, if they are.
    pub fn matching(&self) -> Option<Match> {
        self.experiment.sweep.as_ref()?.matching
    }

    /// Path of the template of the report. A path in a file is relative to the folder of the file, and one
    /// on the command line to the current folder.
    pub fn template(&self) -> Option<PathBuf> {
        let template = self.experiment.report.template.as_deref()?;
        let source = self.tree.at("report.template")?.value.span.source;
        let folder = self.sources.get(source).path.parent();
        Some(folder.unwrap_or(Path::new("")).join(template))
    }

    /// Warnings about what is valid and hardly meant, for runs whose steps are counted.
    pub fn warnings<'a>(
        &self,
        runs: impl Iterator<Item = (&'a RunSpec, RunPart)>,
    ) -> Option<Diagnostics> {
        let warning = |(spec, part): (&RunSpec, RunPart)| {
            let variant = &spec.variant;
            let (tree, size) = self.tree_of(RunPlace { variant, part });
            Some(unreached_min_lr(spec, tree)?.at_size(size))
        };
        let list: Vec<_> = runs.filter_map(warning).collect();
        (!list.is_empty()).then(|| Diagnostics::warnings(Arc::clone(&self.sources), list))
    }

    /// One line for each former name that the experiment uses, with the name to use instead.
    pub fn notes(&self) -> Vec<String> {
        self.former_names.notes(&self.sources)
    }

    /// An error that was found after expansion, at the value of a path in the settings of a run, or
    /// in the document. For a value that is not set, the nearest section that is set is shown.
    pub fn error_at(
        &self,
        run: Option<RunPlace>,
        path: &str,
        message: String,
        help: Option<String>,
    ) -> Diagnostics {
        let (tree, size) = run.map_or((&self.tree, None), |run| self.tree_of(run));
        let span = tree.nearest(path).map_or(tree.span, |entry| {
            let is_set = tree.at(path).is_some();
            if is_set {
                entry.value.span
            } else {
                entry.key_span
            }
        });
        let kind = ErrorKind::Other { message, help };
        self.diagnostics(vec![Diagnostic::new(span, kind).at_size(size)])
    }

    /// An error that was found after expansion, at the part of the file that asks for a variant.
    pub fn error_of_variant(&self, run: RunPlace, message: String, help: String) -> Diagnostics {
        let variant = self.variants().of_run(run);
        let span = variant.map_or(self.tree.span, |variant| variant.span);
        let size = variant.and_then(|variant| self.variants().size_of(variant));
        let help = Some(help);
        let kind = ErrorKind::Other { message, help };
        self.diagnostics(vec![Diagnostic::new(span, kind).at_size(size)])
    }

    /// An error of a size of `sweep.scale` that was found after expansion.
    pub fn error_of_size(&self, size: usize, message: String, help: String) -> Diagnostics {
        let span = self.variants().sizes().get(size).copied();
        let help = Some(help);
        let kind = ErrorKind::Other { message, help };
        self.diagnostics(vec![Diagnostic::new(span.unwrap_or(self.tree.span), kind)])
    }

    /// Whether the value of a path is set for a run, and so is not the default.
    pub fn is_set(&self, run: RunPlace, path: &str) -> bool {
        self.tree_of(run).0.at(path).is_some()
    }

    /// Whether the size of a run sets a value of a section.
    pub fn is_set_by_size(&self, run: RunPlace, section: &str) -> bool {
        let entry = self.tree_of(run).0.at(section);
        entry.is_some_and(|entry| entry.comes_from(Layer::Size))
    }

    /// The checks of a run that need its number of steps, for a run whose steps were counted after
    /// expansion because its length is in epochs or FLOPs.
    pub fn check_counted(&self, spec: &RunSpec, part: RunPart) -> Option<Diagnostics> {
        if spec.known_steps().is_some() {
            return None;
        }
        let variant = &spec.variant;
        let (tree, size) = self.tree_of(RunPlace { variant, part });
        let errors = check_schedule(spec, spec.train.planned_steps()?, tree);
        self.errors_at(size, errors)
    }

    /// The checks of a run, for one that was changed after expansion to match the baseline.
    pub fn check_matched(&self, spec: &RunSpec, part: RunPart) -> Option<Diagnostics> {
        let variant = &spec.variant;
        let (tree, size) = self.tree_of(RunPlace { variant, part });
        let mut errors = check(spec, tree);
        if let Some(steps) = spec.train.planned_steps() {
            errors.extend(check_schedule(spec, steps, tree));
        }
        self.errors_at(size, errors)
    }

    fn errors_at(&self, size: Option<AtSize>, errors: Vec<Diagnostic>) -> Option<Diagnostics> {
        let errors = errors.into_iter().map(|error| error.at_size(size));
        let errors: Vec<_> = errors.collect();
        (!errors.is_empty()).then(|| self.diagnostics(errors))
    }

    /// The overrides in the order of the command line.
    pub(super) fn overrides(&self) -> Vec<String> {
        let overrides = self.sources.overrides();
        overrides.map(|(_, text)| text.to_owned()).collect()
    }

    /// The document with other overrides. `None` if it would have errors.
    pub(super) fn with_overrides(&self, overrides: &[String]) -> Option<Self> {
        let sources = Arc::new(self.sources.with_overrides(overrides));
        let former_names = self.former_names.clone();
        build(sources, self.files.clone(), former_names, Vec::new()).ok()
    }

    pub(super) fn diagnostics(&self, errors: Vec<Diagnostic>) -> Diagnostics {
        Diagnostics::new(Arc::clone(&self.sources), errors)
    }

    pub(super) fn variants(&self) -> &Variants {
        self.variants.get_or_init(|| {
            let variants = Variants::of(
                &self.tree,
                &self.overrides,
                &self.sources,
                &self.former_names,
            );
            Arc::new(variants)
        })
    }

    /// The tree of a run and its size, or the tree of the document if there is no variant of that name.
    fn tree_of(&self, run: RunPlace) -> (&Node, Option<AtSize>) {
        let variants = self.variants();
        match variants.of_run(run) {
            Some(variant) => (&variant.tree, variants.size_of(variant)),
            None => (&self.tree, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::document;

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
        let at = |variant: Option<&str>, path| {
            let part = RunPart::default();
            let run = variant.map(|variant| RunPlace { variant, part });
            let error = document.error_at(run, path, "no".to_owned(), None);
            let text = error.to_string();
            let span = text.split("--> ").nth(1).unwrap();
            span.lines().next().unwrap().to_owned()
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
        assert_eq!(experiment.sweep.as_ref().unwrap().seeds.all(), [4]);
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
        assert_eq!(experiment.sweep.as_ref().unwrap().seeds.all(), [u64::MAX]);
    }

    /// Planning checks every run after its steps are counted. If each check expanded the sweep
    /// again, this test would take hours.
    #[test]
    fn a_sweep_is_expanded_once() {
        let rates: Vec<_> = (1..=2000).map(|n| format!("{n}e-6")).collect();
        let text = format!(
            "name: test\ntrain: {{epochs: 1}}\nsweep: {{seeds: [1, 2, 3, 4, 5], grid: \
             {{optimizer.lr: [{}]}}}}",
            rates.join(", ")
        );
        let document = document(&text, &[]);
        let mut runs = document.expand().unwrap().runs;
        let part = RunPart::default();
        assert_eq!(runs.len(), 10_000);
        let variants: *const Variants = document.variants();
        for run in &mut runs {
            run.count_steps(100_000, 1e6);
            assert!(document.check_counted(run, part).is_none());
            let variant = &run.variant;
            let run = RunPlace { variant, part };
            document.error_at(Some(run), "data.source", String::new(), None);
        }
        assert!(std::ptr::eq(variants, document.variants()));
    }
}
