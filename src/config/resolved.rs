//! An experiment as one YAML document, with the place that each value comes from.

use super::conditional_keys::applies_to;
use super::document::{Document, typed};
use super::durations::resolve_duration;
use super::tree::{Node, Value};
use crate::spec::{TrainingLength, YamlLine, yaml_lines};
use unicode_width::UnicodeWidthStr;

/// The origin of a value that nothing sets.
const DEFAULT: &str = "default";

/// Widest line whose comment is aligned with those of other lines by [`Document::resolved`].
const MAX_ALIGNED: usize = 48;

impl Document {
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
        set_at.map_or(DEFAULT.to_owned(), |span| self.sources.place(span))
    }
}

#[cfg(test)]
mod tests {
    use crate::config::testing::document;
    use crate::config::{Document, from_text, load};

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
}
