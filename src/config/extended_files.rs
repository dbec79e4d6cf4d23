//! The files that an experiment extends, merged below it.

use super::diagnostic::Diagnostic;
use super::error_kind::ErrorKind;
use super::limits::{MAX_FILE_BYTES, MAX_FILES};
use super::merge::merge;
use super::parse::parse_file;
use super::read_file::read;
use super::spans::{SourceText, Span};
use super::tree::{Layer, Node, Value};
use crate::regular_file::is_absent;
use std::cmp::Reverse;
use std::path::{Path, PathBuf};

/// The key that names the extended files.
pub(super) const EXTENDS: &str = "extends";

/// Keys that a file does not take over from the files that it extends: they say what an experiment is called.
const NOT_EXTENDED: [&str; 2] = ["name", "description"];

/// The texts of an experiment, its own file first, and its tree with those of the extended files below it. There is no
/// tree if there are errors that leave nothing to check.
pub(super) fn read_all(
    main: SourceText,
    errors: &mut Vec<Diagnostic>,
) -> (Vec<SourceText>, Option<Node>) {
    let mut reader = Reader {
        texts: Vec::new(),
        errors,
        open: main.path.canonicalize().into_iter().collect(),
    };
    let tree = reader.file(main, 0);
    (reader.texts, tree)
}

struct Reader<'a> {
    texts: Vec<SourceText>,
    errors: &'a mut Vec<Diagnostic>,
    /// The files whose extended files are being read, the outermost first.
    open: Vec<PathBuf>,
}

impl Reader<'_> {
    /// The tree of a file that `depth` files lead to. What it extends is merged below it.
    fn file(&mut self, text: SourceText, depth: usize) -> Option<Node> {
        let source = self.texts.len();
        let (path, yaml) = (text.path.clone(), text.text.clone());
        self.texts.push(text);
        if yaml.len() as u64 > MAX_FILE_BYTES {
            self.errors.push(Diagnostic::new(None, ErrorKind::TooLarge));
            return None;
        }
        let mut tree = parse_file(&yaml, source, self.errors)?;
        let extended = self.extended(&mut tree);
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        let layer = |depth| match depth {
            0 => Layer::Document,
            depth => Layer::Extended(Reverse(depth)),
        };
        let mut merged = Node::empty_map(tree.span);
        for (text, span) in extended {
            let base = self.base(&folder.join(&text), span, depth + 1)?;
            merged = match merged.entries() {
                // Its layers, and those of what it extends, stay apart.
                [] => base,
                _ => merge(&merged, &base, layer(depth + 1)),
            };
        }
        merged.span = tree.span;
        Some(merge(&merged, &tree, layer(depth)))
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
                _ => {
                    let error = Diagnostic::new(path.span, ErrorKind::ExtendsNoPath);
                    self.errors.push(error);
                }
            }
        }
        texts
    }

    /// The tree of an extended file, without what names it. `span` is that of its path.
    fn base(&mut self, path: &Path, span: Span, depth: usize) -> Option<Node> {
        let shown = path.display().to_string();
        let mut fail = |kind| {
            self.errors.push(Diagnostic::new(span, kind));
            None
        };
        if self.texts.len() >= MAX_FILES {
            return fail(ErrorKind::TooManyFiles);
        }
        if is_absent(path) {
            return fail(ErrorKind::MissingExtended(shown));
        }
        let canonical = match path.canonicalize() {
            Ok(canonical) => canonical,
            Err(error) => return fail(ErrorKind::Unreadable(error.to_string())),
        };
        if self.open.contains(&canonical) {
            return fail(ErrorKind::ExtendsItself(shown));
        }
        let text = match read(path, self.texts.len()) {
            Ok(text) => text,
            Err((text, error)) => {
                self.texts.push(SourceText::file(path, text));
                self.errors.push(error.at_least(span));
                return None;
            }
        };
        self.open.push(canonical);
        let tree = self.file(SourceText::file(path, text), depth);
        self.open.pop();
        let mut tree = tree?;
        match &mut tree.value {
            Value::Map(entries) => {
                entries.retain(|entry| !NOT_EXTENDED.contains(&entry.key.as_str()));
                Some(tree)
            }
            _ => {
                let error = Diagnostic::new(tree.span, ErrorKind::ExtendedNoMapping);
                self.errors.push(error);
                None
            }
        }
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

    /// What a file chooses makes keys of the extended file, which do not apply to it, inherited.
    #[test]
    fn keys_that_do_not_apply_are_inherited() {
        let folder = tempfile::tempdir().unwrap();
        let document = load_first(
            folder.path(),
            &[
                (
                    "main.yaml",
                    "name: main\nextends: a.yaml\nmodel: {kind: bigram}",
                ),
                ("a.yaml", "extends: b.yaml\noptimizer: {kind: sgd}"),
                (
                    "b.yaml",
                    "model: {n_layer: 7}\noptimizer: {betas: [0.8, 0.9]}",
                ),
            ],
        );
        document.unwrap().expand().unwrap();
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
