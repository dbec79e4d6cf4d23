use super::canonical_names::{FormerNames, replace_former_names};
use super::conditional_keys::applies_to;
use super::cross_checks::{check, check_schedule, unreached_min_lr};
use super::diagnostic::{AtSize, Diagnostic, Diagnostics};
use super::durations::resolve_duration;
use super::error_kind::ErrorKind;
use super::extended_files::Files;
use super::merge::merge;
use super::overrides;
use super::read_file::read;
use super::spans::{FILE, SourceText, Sources};
use super::tree::{Layer, Node, Value};
use super::validate::validate;
use super::variants::{RunPlace, Variants};
use crate::spec::{Experiment, Match, RunPart, RunSpec, TrainingLength, YamlLine, yaml_lines};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use unicode_width::UnicodeWidthStr;

/// The origin of a value that nothing sets.
const DEFAULT: &str = "default";

/// Widest line whose comment is aligned with those of other lines by [`Document::resolved`].
const MAX_ALIGNED: usize = 48;

/// An experiment with overrides applied and defaults filled in. Each value knows its span, so that
/// an error can show where it comes from.
#[derive(Debug, Clone)]
pub struct Document {
    sources: Arc<Sources>,
    /// The files, merged.
    files: Node,
    /// The files with overrides applied.
    pub(super) tree: Node,
    overrides: Node,
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

    /// The experiment as YAML, with all defaults that have an effect. A comment on each line says where its value comes
    /// from.
    pub fn resolved(&self) -> String {
        let tree = self.without_overridden();
        let experiment = typed(&resolve_duration(&tree, &mut Vec::new()));
        let experiment = experiment.unwrap_or_else(|_| self.experiment.clone());
        let mut lines = yaml_lines(&experiment).expect("an experiment is a mapping");
        lines.retain(|line| self.has_effect(line));
        // A mapping of which nothing is left.
        for at in (0..lines.len()).rev() {
            let depth = lines[at].path.len();
            let inner = lines.get(at + 1).map_or(0, |line| line.path.len());
            if !lines[at].has_value && inner <= depth {
                lines.remove(at);
            }
        }
        let width = lines.iter().filter(|line| line.has_value);
        let width = width
            .map(|line| line.text.width())
            .filter(|&width| width <= MAX_ALIGNED);
        let width = width.max().unwrap_or(0);
        let with_origin = |line: &YamlLine| match line.has_value {
            true => {
                let padding = width.saturating_sub(line.text.width());
                format!(
                    "{}{:padding$}  # {}\n",
                    line.text,
                    "",
                    self.origin(&line.path)
                )
            }
            false => format!("{}\n", line.text),
        };
        lines.iter().map(with_origin).collect()
    }

    /// The tree without the values of variants and sizes that overrides replace.
    fn without_overridden(&self) -> Node {
        let mut tree = self.tree.clone();
        let Some(sweep) = tree.get_mut("sweep") else {
            return tree;
        };
        if let Some(variants) = sweep.get_mut("variants") {
            for variant in variants.values_mut() {
                variant.subtract(&self.overrides);
            }
        }
        if let Some(sizes) = sweep
            .get_mut("scale")
            .and_then(|scale| scale.get_mut("sizes"))
        {
            for size in sizes.values_mut() {
                size.subtract(&self.overrides);
            }
        }
        tree
    }

    /// Whether a line sets something. A default does not if it is an empty mapping, if it does not apply, or if another
    /// key takes its place. A value that an extended file sets does not if it applies to no variant.
    fn has_effect(&self, line: &YamlLine) -> bool {
        if !line.has_value {
            return true;
        }
        let path = line.path.join(".");
        if self.origin(&line.path) != DEFAULT {
            let variants = self.variants().all();
            return variants.is_empty() || variants.iter().any(|v| applies_to(&v.tree, &path));
        }
        let is_set = |path: &&str| {
            let entry = self.tree.at(path);
            entry.is_some_and(|entry| entry.value.value != Value::Null)
        };
        let lengths = TrainingLength::PATHS;
        let is_replaced = lengths.contains(&path.as_str()) && lengths.iter().any(is_set);
        // The default prompt is dropped if the tokenizer cannot encode it, and one that is set is not.
        let is_prompt = path == "sample.prompt";
        let is_empty = line.text.ends_with(" {}");
        !(is_replaced || is_prompt || is_empty) && applies_to(&self.tree, &path)
    }

    /// The file and the line that set a value, or what else set it.
    fn origin(&self, path: &[String]) -> String {
        let mut node = &self.tree;
        let mut set_at = None;
        for key in path {
            match node.entry(key) {
                Some(entry) => {
                    set_at = Some(entry.key_span);
                    node = &entry.value;
                }
                // A value that the file writes in a shorter form.
                None if !matches!(node.value, Value::Map(_)) => break,
                None => return DEFAULT.to_owned(),
            }
        }
        let Some(span) = set_at else {
            return DEFAULT.to_owned();
        };
        let name = &self.sources.get(span.source).name;
        match self.sources.is_file(span.source) {
            true => format!("{name}:{}", self.sources.line_number(span)),
            false => name.clone(),
        }
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
    fn the_resolved_document_says_where_each_value_comes_from() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let main = "extends: base.yaml\nname: main\nmodel:\n  n_layer: 2\nsweep:\n  seeds: 2\n  variants: {a: {}, b: {model: {norm: rmsnorm}}}\n";
        std::fs::write(at("main.yaml"), main).unwrap();
        std::fs::write(at("base.yaml"), "model: {n_layer: 3, n_head: 2}\n").unwrap();
        let document = load(&at("main.yaml"), &["train.steps=5".to_owned()]).unwrap();
        let resolved = document.resolved();
        let resolved = resolved.replace(folder.path().to_str().unwrap(), "DIR");
        for line in [
            "  n_layer: 2  # DIR/main.yaml:4",
            "  n_head: 2  # DIR/base.yaml:1",
            "  n_embd: 128  # default",
            "  steps: 5  # command line",
            "  seeds: 2  # DIR/main.yaml:6",
            "    a: {}  # DIR/main.yaml:7",
            "        norm: rmsnorm  # DIR/main.yaml:7",
        ] {
            let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
            let found = resolved.lines().any(|found| words(found) == words(line));
            assert!(found, "{line}\n{resolved}");
        }
        // It is an experiment file, and the same experiment.
        let again = from_text("again.yaml", &resolved, &[]).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(again.expand().unwrap(), document.expand().unwrap());
    }

    #[test]
    fn a_resolved_document_is_the_same_experiment() {
        let with = |document: &Document| {
            let resolved = document.resolved();
            let again = from_text("again.yaml", &resolved, &[]);
            let again = again.unwrap_or_else(|e| panic!("{e}"));
            let again = again.expand().unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(again, document.expand().unwrap(), "{resolved}");
        };
        let files = std::fs::read_dir("experiments").unwrap();
        let files = files.map(|entry| entry.unwrap().path());
        for file in files.filter(|file| file.extension().is_some_and(|end| end == "yaml")) {
            with(&load(&file, &[]).unwrap());
        }
        let sweep = "sweep: {variants: {a: {}, b: {model: {n_layer: 4, norm: rmsnorm}}}}";
        for (text, overrides) in [
            (sweep, "model.n_layer=1"),
            (sweep, "model={n_layer: 1, n_head: 2}"),
            ("train: {epochs: 1}", "train.tokens=5000"),
            ("optimizer: {betas: [0.8, 0.9]}", "optimizer.kind=sgd"),
            ("model: {}\noptimizer: {schedule: {}}", "sweep.seeds=3"),
            (
                "sweep: {scale: {sizes: [{model: {n_layer: 1}}, {model: {n_layer: 2, n_embd: 64}}]}, variants: {a: {}, b: {model: {norm: rmsnorm}}}}",
                "model.n_embd=32",
            ),
        ] {
            with(&document(&format!("name: x\n{text}"), &[overrides]));
        }
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
