//! The files that an experiment extends, merged below it.

use super::canonical_names::{FormerNames, replace_former_names};
use super::diagnostic::Diagnostic;
use super::error_kind::ErrorKind;
use super::limits::{MAX_FILE_BYTES, MAX_FILES};
use super::merge::merge;
use super::parse::parse_file;
use super::read_file::read;
use super::spans::{SourceText, Span};
use super::tree::{Layer, Node, Value};
use crate::regular_file::is_absent;
use std::path::{Path, PathBuf};

/// The key that names the extended files.
pub(super) const EXTENDS: &str = "extends";

/// Keys that a file does not take over from the files that it extends: they say what an experiment is called.
const NOT_EXTENDED: [&str; 2] = ["name", "description"];

/// The files of an experiment, as they were read.
pub(super) struct Files {
    /// The file of the experiment, then those that it extends.
    pub(super) texts: Vec<SourceText>,
    /// The file of the experiment, merged over the others. `None` if one of them has an error that leaves nothing to
    /// check.
    pub(super) tree: Option<Node>,
    pub(super) former_names: FormerNames,
}

impl Files {
    /// Reads the files that a file extends. What is wrong is added to `errors`.
    pub(super) fn read(main: SourceText, errors: &mut Vec<Diagnostic>) -> Self {
        let mut reader = Reader {
            texts: Vec::new(),
            former_names: FormerNames::default(),
            errors,
            open: Vec::new(),
            read: Vec::new(),
            trees: Vec::new(),
            has_failed: false,
        };
        reader.open.extend(main.path.canonicalize());
        reader.file(main);
        let tree = (!reader.has_failed).then(|| merged(reader.trees));
        Self {
            texts: reader.texts,
            tree,
            former_names: reader.former_names,
        }
    }
}

/// Trees merged over those before them. Each has its own layer.
fn merged(mut trees: Vec<Node>) -> Node {
    let main = trees.pop().expect("the file of the experiment was read");
    if trees.is_empty() {
        return main;
    }
    let below = trees.iter().enumerate();
    let below = below.fold(Node::empty_map(main.span), |below, (at, tree)| {
        merge(&below, tree, Layer::Extended(at))
    });
    merge(&below, &main, Layer::Document)
}

struct Reader<'a> {
    texts: Vec<SourceText>,
    former_names: FormerNames,
    errors: &'a mut Vec<Diagnostic>,
    /// The files whose extended files are being read, the outermost first.
    open: Vec<PathBuf>,
    /// The extended files so far. One that is reached again is not merged again: it would undo what was merged over it.
    read: Vec<PathBuf>,
    /// The trees of all files, in the order in which they are merged.
    trees: Vec<Node>,
    /// Whether a tree is missing.
    has_failed: bool,
}

impl Reader<'_> {
    /// Adds the trees of the files that a file extends, and then its own.
    fn file(&mut self, mut text: SourceText) {
        if let Some(without_mark) = text.text.strip_prefix('\u{feff}') {
            text.text = without_mark.to_owned();
        }
        let source = self.texts.len();
        let (path, yaml) = (text.path.clone(), text.text.clone());
        self.texts.push(text);
        if yaml.len() as u64 > MAX_FILE_BYTES {
            return self.fail(None, ErrorKind::TooLarge);
        }
        let Some(mut tree) = parse_file(&yaml, source, self.errors) else {
            self.has_failed = true;
            return;
        };
        let is_extended = source > 0;
        let extended = self.extended(&mut tree);
        match &mut tree.value {
            Value::Map(entries) if is_extended => {
                entries.retain(|entry| !NOT_EXTENDED.contains(&entry.key.as_str()));
            }
            Value::Map(_) => {}
            _ if is_extended => return self.fail(tree.span, ErrorKind::ExtendedNoMapping),
            // Validation reports it.
            _ => {}
        }
        replace_former_names(&mut tree, &mut self.former_names, self.errors);
        let folder = path.parent().unwrap_or(Path::new(""));
        for (text, span) in extended {
            self.base(&folder.join(text), span);
        }
        self.trees.push(tree);
    }

    /// The paths that the key `extends` of a file lists, with their places. The key is removed.
    fn extended(&mut self, tree: &mut Node) -> Vec<(String, Span)> {
        let Value::Map(entries) = &mut tree.value else {
            return Vec::new();
        };
        let Some(at) = entries.iter().position(|entry| entry.key == EXTENDS) else {
            return Vec::new();
        };
        let value = entries.remove(at).value;
        let paths = match &value.value {
            Value::Seq(items) => items.iter().collect(),
            _ => vec![&value],
        };
        let mut texts = Vec::new();
        for path in paths {
            match path.as_str() {
                Some(text) if !text.is_empty() => texts.push((text.to_owned(), path.span)),
                _ => self.fail(path.span, ErrorKind::ExtendsNoPath),
            }
        }
        texts
    }

    /// Adds the trees of an extended file, unless it was read before. `span` is that of its path.
    fn base(&mut self, path: &Path, span: Span) {
        if is_absent(path) {
            let shown = path.display().to_string();
            return self.fail(span, ErrorKind::MissingExtended(shown));
        }
        let canonical = match path.canonicalize() {
            Ok(canonical) => canonical,
            Err(error) => return self.fail(span, ErrorKind::Unreadable(error.to_string())),
        };
        if let Some(start) = self.open.iter().position(|open| *open == canonical) {
            let circle = self.open[start..].iter().chain([&canonical]);
            let names = circle.map(|path| path.file_name().unwrap_or_default().to_string_lossy());
            let names: Vec<_> = names.collect();
            return self.fail(span, ErrorKind::ExtendsItself(names.join(" → ")));
        }
        if self.read.contains(&canonical) {
            return;
        }
        if self.texts.len() >= MAX_FILES {
            return self.fail(span, ErrorKind::TooManyFiles);
        }
        self.read.push(canonical.clone());
        match read(path, self.texts.len()) {
            Ok(text) => {
                self.open.push(canonical);
                self.file(SourceText::file(path, text));
                self.open.pop();
            }
            Err((text, error)) => {
                self.texts.push(SourceText::file(path, text));
                self.errors.push(error.at_least(span));
                self.has_failed = true;
            }
        }
    }

    fn fail(&mut self, span: impl Into<Option<Span>>, kind: ErrorKind) {
        self.errors.push(Diagnostic::new(span, kind));
        self.has_failed = true;
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Document, load};
    use std::fs;
    use std::path::Path;

    /// Writes files, and loads the first.
    fn load_first(folder: &Path, files: &[(&str, &str)]) -> Result<Document, String> {
        for (name, text) in files {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let error = |text: String| text.replace(folder.to_str().unwrap(), "DIR");
        load(&folder.join(files[0].0), &[]).map_err(|found| error(found.to_string()))
    }

    #[test]
    fn a_file_is_merged_over_those_that_it_extends() {
        let folder = tempfile::tempdir().unwrap();
        let document = load_first(
            folder.path(),
            &[
                (
                    "main.yaml",
                    "name: main\nextends: [base/a.yaml, base/b.yaml]\ntrain: {steps: 3}",
                ),
                (
                    "base/a.yaml",
                    "name: a\nextends: c.yaml\nmodel: {n_embd: 64, n_head: 2}\ntrain: {steps: 1, batch_size: 5}",
                ),
                ("base/b.yaml", "description: of b\nmodel: {n_head: 8}"),
                (
                    "base/c.yaml",
                    "model: {n_embd: 32, n_layer: 7}\nsweep: {seeds: 3}",
                ),
            ],
        );
        let document = document.unwrap();
        let experiment = document.experiment();
        assert_eq!(
            (experiment.name.as_str(), experiment.description.as_str()),
            ("main", "")
        );
        let model = &experiment.model;
        assert_eq!((model.n_embd, model.n_head, model.n_layer), (64, 8, 7));
        assert_eq!(
            (experiment.train.steps, experiment.train.batch_size),
            (3, 5)
        );
        assert_eq!(document.expand().unwrap().runs.len(), 3);
    }

    /// What a file chooses makes keys of the files below it, which do not apply to it, inherited.
    #[test]
    fn keys_that_do_not_apply_are_inherited() {
        for bases in ["[a.yaml]", "[b.yaml, a.yaml]"] {
            let folder = tempfile::tempdir().unwrap();
            let main = format!("name: main\nextends: {bases}\nmodel: {{kind: bigram}}");
            let document = load_first(
                folder.path(),
                &[
                    ("main.yaml", main.as_str()),
                    (
                        "a.yaml",
                        "extends: b.yaml\noptimizer: {kind: sgd}\ntrain: {epochs: 2}",
                    ),
                    (
                        "b.yaml",
                        "model: {n_layer: 7}\noptimizer: {betas: [0.8, 0.9]}\ntrain: {steps: 5}",
                    ),
                ],
            );
            let runs = document.unwrap().expand().unwrap().runs;
            assert_eq!(runs[0].train.epochs, Some(2.0), "{bases}");
        }
    }

    /// Merging `base.yaml` again would undo what `size.yaml` sets.
    #[test]
    fn a_file_that_is_reached_twice_is_merged_once() {
        let folder = tempfile::tempdir().unwrap();
        let document = load_first(
            folder.path(),
            &[
                ("main.yaml", "name: main\nextends: [size.yaml, norm.yaml]"),
                ("size.yaml", "extends: base.yaml\nmodel: {n_layer: 7}"),
                ("norm.yaml", "extends: base.yaml\nmodel: {norm: rmsnorm}"),
                ("base.yaml", "model: {n_layer: 1, n_head: 2}"),
            ],
        );
        let document = document.unwrap();
        let model = &document.experiment().model;
        assert_eq!((model.n_layer, model.n_head), (7, 2));
        assert_eq!(model.norm, crate::spec::Norm::Rmsnorm);
    }

    #[test]
    fn former_names_and_byte_order_marks_are_those_of_each_file() {
        for (key, base_key) in [("window", "sliding_window"), ("sliding_window", "window")] {
            let folder = tempfile::tempdir().unwrap();
            let main = format!("name: main\nextends: base.yaml\nmodel: {{{key}: 4}}");
            let base = format!("\u{feff}model: {{{base_key}: 8}}");
            let document = load_first(
                folder.path(),
                &[("main.yaml", main.as_str()), ("base.yaml", base.as_str())],
            );
            let document = document.unwrap();
            assert_eq!(document.experiment().model.sliding_window, Some(4));
            assert_eq!(document.notes().len(), 1);
        }
    }

    /// Where a template is relative to, and what the error about identical variants loads again.
    #[test]
    fn what_depends_on_the_files_knows_all_of_them() {
        let folder = tempfile::tempdir().unwrap();
        let files = [
            ("main.yaml", "name: main\nextends: in/base.yaml"),
            (
                "in/base.yaml",
                "report: {template: my.j2}\nsweep: {variants: {a: {}, b: {train: {steps: 9}}}}",
            ),
        ];
        let document = load_first(folder.path(), &files).unwrap();
        let template = document.template().unwrap();
        assert_eq!(template, folder.path().join("in/my.j2"));
        let overrides = ["train.steps=5".to_owned()];
        let document = load(&folder.path().join("main.yaml"), &overrides).unwrap();
        let error = document.expand().unwrap_err().to_string();
        assert!(
            error.contains("`train.steps=5` on the command line"),
            "{error}"
        );
    }

    #[test]
    fn errors_name_the_file_that_has_the_mistake() {
        let folder = tempfile::tempdir().unwrap();
        let error = |files: &[(&str, &str)]| {
            let loaded = load_first(folder.path(), files);
            let error = loaded.and_then(|document| document.expand().map_err(|e| e.to_string()));
            let error = error.unwrap_err();
            error.replace(folder.path().to_str().unwrap(), "DIR")
        };
        let main = ("main.yaml", "name: main\nextends: base.yaml");
        let with_base = |base: &str| error(&[main, ("base.yaml", base)]);
        insta::assert_snapshot!(
            [
                error(&[("main.yaml", "name: main\nextends: none.yaml")]),
                error(&[("main.yaml", "name: main\nextends: 5")]),
                error(&[("main.yaml", "name: main\nextends: main.yaml")]),
                with_base("\n\nmodel: {n_layers: 3}"),
                with_base("model: {n_head: 3, n_embd: 10}"),
                with_base("extends: main.yaml"),
                with_base("model: ["),
                with_base("- 1"),
                with_base(""),
            ]
            .join("\n\n")
        );
        fs::write(folder.path().join("base.yaml"), b"model: {mlp: \xff}").unwrap();
        assert!(error(&[main]).contains("--> DIR/base.yaml:1:14"));
        let files: Vec<String> = (0..40).map(|i| format!("f{i}.yaml")).collect();
        let texts: Vec<String> = (0..40)
            .map(|i| format!("extends: [f{0}.yaml, f{0}.yaml]", i + 1))
            .collect();
        let mut all: Vec<(&str, &str)> = vec![("main.yaml", "name: x\nextends: f0.yaml")];
        all.extend(
            files
                .iter()
                .zip(&texts)
                .map(|(f, t)| (f.as_str(), t.as_str())),
        );
        assert!(error(&all).contains("more than 32 files"));
    }
}
