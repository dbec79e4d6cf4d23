//! Former names of keys and choices, replaced by today's names before anything is validated.

use super::diagnostic::Diagnostic;
use super::error_kind::ErrorKind;
use super::schema::join;
use super::spans::{Sources, Span};
use super::tree::{Entry, Node, Value};
use crate::spec::{RenamedChoice, RenamedKey};
use std::collections::HashMap;

/// The former names that an experiment uses.
#[derive(Debug, Clone, Default)]
pub(super) struct FormerNames {
    /// Each name once.
    names: Vec<FormerName>,
    /// The keys and values that were replaced, by their place.
    replaced: HashMap<Span, String>,
}

/// A former name and its first place, with the path of the key.
#[derive(Debug, Clone, PartialEq)]
struct FormerName {
    old: String,
    new: String,
    span: Span,
}

impl FormerNames {
    /// One line for the user per name.
    pub(super) fn notes(&self, sources: &Sources) -> Vec<String> {
        self.names.iter().map(|name| name.note(sources)).collect()
    }

    /// The name of a key or choice as the file has it, if that is a former name.
    pub(super) fn as_written<'a>(&'a self, name: &'a str, span: Span) -> &'a str {
        let written = self.replaced.get(&span);
        written.map_or(name, |path| path.rsplit('.').next().unwrap_or(path))
    }
}

impl FormerName {
    fn note(&self, sources: &Sources) -> String {
        let Self { old, new, span } = self;
        let place = sources.place(*span);
        format!("note: `{old}` is now `{new}` ({place})")
    }
}

/// Replaces the former names of a document, or of overrides in the form of a document, and
/// records them in `former`.
pub(super) fn replace_former_names(
    document: &mut Node,
    former: &mut FormerNames,
    errors: &mut Vec<Diagnostic>,
) {
    Replacer { former, errors }.document(document);
}

struct Replacer<'a> {
    former: &'a mut FormerNames,
    errors: &'a mut Vec<Diagnostic>,
}

impl Replacer<'_> {
    fn document(&mut self, document: &mut Node) {
        let Value::Map(entries) = &mut document.value else {
            return;
        };
        for entry in entries {
            match entry.key.as_str() {
                "sweep" => self.sweep(&mut entry.value),
                section => self.value(&mut entry.value, section),
            }
        }
    }

    fn sweep(&mut self, sweep: &mut Node) {
        for entry in entries(sweep) {
            match entry.key.as_str() {
                "variants" => {
                    let variants = entries(&mut entry.value);
                    variants.for_each(|variant| self.document(&mut variant.value));
                }
                "scale" => {
                    let keys = entries(&mut entry.value).filter(|entry| entry.key == "sizes");
                    for sizes in keys {
                        items(&mut sizes.value).for_each(|size| self.document(size));
                    }
                }
                "random" => {
                    for entry in entries(&mut entry.value).filter(|entry| entry.key == "settings") {
                        self.paths(&mut entry.value);
                    }
                }
                "grid" | "zip" => {
                    self.paths(&mut entry.value);
                    for axis in entries(&mut entry.value) {
                        items(&mut axis.value).for_each(|item| self.value(item, &axis.key));
                    }
                }
                "tune" => self.sweep(&mut entry.value), // it has a grid
                "include" | "exclude" => {
                    for combination in items(&mut entry.value) {
                        self.paths(combination);
                        for entry in entries(combination) {
                            self.value(&mut entry.value, &entry.key);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// The value at a path of a run.
    fn value(&mut self, node: &mut Node, path: &str) {
        match &mut node.value {
            Value::Map(_) => {
                self.keys(
                    node,
                    &|key| RenamedKey::with_old(path, key).map(|renamed| renamed.new.to_owned()),
                    path,
                );
                for entry in entries(node) {
                    self.value(&mut entry.value, &join(path, &entry.key));
                }
            }
            Value::Seq(items) => {
                let path = format!("{path}[]");
                items.iter_mut().for_each(|item| self.value(item, &path));
            }
            Value::Str(text) => {
                if let Some(renamed) = RenamedChoice::with_old(path, text) {
                    let path = path.replace("[]", "");
                    let [old, new] =
                        [renamed.old, renamed.new].map(|name| format!("{path}: {name}"));
                    self.note(old, new, node.span);
                    self.former.replaced.insert(node.span, text.clone());
                    renamed.new.clone_into(text);
                }
            }
            _ => {}
        }
    }

    /// The keys of a mapping that are paths of a run.
    fn paths(&mut self, node: &mut Node) {
        self.keys(
            node,
            &|path| Some(today(path)).filter(|today| today != path),
            "",
        );
    }

    /// Replaces the keys for which there is a new name. A key that is set under both names is an
    /// error, and loses the former one.
    fn keys(&mut self, node: &mut Node, new_name: &dyn Fn(&str) -> Option<String>, path: &str) {
        let Value::Map(entries) = &mut node.value else {
            return;
        };
        let mut index = 0;
        while index < entries.len() {
            let Some(new) = new_name(&entries[index].key) else {
                index += 1;
                continue;
            };
            let old = entries[index].key.clone();
            let span = entries[index].key_span;
            if let Some(other) = entries.iter().find(|entry| entry.key == new) {
                let related = other.key_span;
                let kind = ErrorKind::BothNames { old, new };
                let diagnostic = Diagnostic::new(span, kind).related(related, "also set here");
                self.errors.push(diagnostic);
                entries.remove(index);
                continue;
            }
            self.note(join(path, &old), join(path, &new), span);
            self.former.replaced.insert(span, old);
            entries[index].key = new;
            index += 1;
        }
    }

    fn note(&mut self, old: String, new: String, span: Span) {
        let names = &mut self.former.names;
        if names.iter().all(|known| known.old != old) {
            names.push(FormerName { old, new, span });
        }
    }
}

/// A path of a run with today's names.
fn today(path: &str) -> String {
    path.split('.').fold(String::new(), |section, key| {
        let renamed = RenamedKey::with_old(&section, key);
        join(&section, renamed.map_or(key, |renamed| renamed.new))
    })
}

fn entries(node: &mut Node) -> impl Iterator<Item = &mut Entry> {
    let entries = match &mut node.value {
        Value::Map(entries) => &mut entries[..],
        _ => &mut [],
    };
    entries.iter_mut()
}

fn items(node: &mut Node) -> impl Iterator<Item = &mut Node> {
    let items = match &mut node.value {
        Value::Seq(items) => &mut items[..],
        _ => &mut [],
    };
    items.iter_mut()
}

#[cfg(test)]
mod tests {
    use crate::config::from_text;
    use crate::config::testing::document;
    use crate::spec::{Experiment, Mlp, RENAMED_CHOICES, RENAMED_KEYS, RunSpec};

    fn runs(text: &str) -> Vec<RunSpec> {
        let expansion = document(text, &[]).expand();
        expansion.unwrap_or_else(|e| panic!("{e}")).runs
    }

    #[test]
    fn grid_variants_keep_the_names_of_the_file_however_they_are_written() {
        for grid in [
            r#"{model.mlp: ["gelu" , relu]}"#,
            "\n    model.mlp:\n      - \"gelu\"   # tanh\n      - relu",
            "\n    model.mlp:\n      - >-\n        gelu\n      - relu",
            r#"{model.mlp: ["\x67elu", relu]}"#,
            "{model.mlp: [&g gelu, relu]}",
        ] {
            let runs = runs(&format!("name: test\nsweep:\n  grid: {grid}\n"));
            assert_eq!(runs[0].variant, "gelu", "{grid}");
        }
        let runs = runs("name: test\nsweep: {grid: {\"model.window\" : [3, 4]}}\n");
        assert_eq!(runs[0].variant, "window-3");
    }

    const OLD: &str = "name: test
model: {window: 8, positions: {kind: rotary, base: 100}, bias_in: {qkv: true}}
train: {accumulate: 2}
sweep:
  variants: {a: {}, b: {train: {accumulate: 4}}}
  grid:
    model.mlp: [gelu, relu]
    model.bias_in.head: [true, false]
  include: [{model.window: 5}]
  exclude: [{model.bias_in.head: true, model.mlp: gelu}]";

    const NEW: &str = "name: test
model: {sliding_window: 8, positions: {kind: rotary, rope_theta: 100}, bias_overrides: {qkv: true}}
train: {gradient_accumulation_steps: 2}
sweep:
  variants: {a: {}, b: {train: {gradient_accumulation_steps: 4}}}
  grid:
    model.mlp: [gelu_tanh, relu]
    model.bias_overrides.head: [true, false]
  include: [{model.sliding_window: 5}]
  exclude: [{model.bias_overrides.head: true, model.mlp: gelu_tanh}]";

    #[test]
    fn former_names_mean_the_same_everywhere_in_a_document() {
        let anonymous = |text: &str| -> Vec<_> {
            let runs = runs(text).into_iter();
            runs.map(|run| RunSpec {
                variant: String::new(),
                ..run
            })
            .collect()
        };
        assert_eq!(anonymous(OLD), anonymous(NEW));
        assert_eq!(anonymous(NEW).len(), 8);
    }

    #[test]
    fn names_of_combinations_are_made_from_the_names_in_the_file() {
        let text = "name: test\nsweep: {grid: {model.mlp: [gelu, 'relu'], \"model.window\": [3]}}";
        let names: Vec<_> = runs(text).into_iter().map(|run| run.variant).collect();
        assert_eq!(names, ["gelu+window-3", "relu+window-3"]);
        let text = "name: test\nsweep: {grid: {model.mlp: [gelu_tanh], model.sliding_window: [3]}}";
        assert_eq!(runs(text)[0].variant, "gelu_tanh+sliding_window-3");
    }

    #[test]
    fn each_former_name_is_noted_once() {
        let text = "name: test
train: {accumulate: 2, batch_size: 3}
sweep:
  variants:
    a: {model: {mlp: gelu_exact}}
    b: {train: {accumulate: 4}}";
        let document = document(text, &["sample.num=2", "train.accumulate=5"]);
        assert_eq!(
            document.notes(),
            [
                "note: `train.accumulate` is now `train.gradient_accumulation_steps` (test.yaml:2)",
                "note: `model.mlp: gelu_exact` is now `model.mlp: gelu_erf` (test.yaml:5)",
                "note: `sample.num` is now `sample.num_samples` (command line)",
            ]
        );
        let run = &document.experiment().train;
        assert_eq!(run.gradient_accumulation_steps, 5);
        assert!(self::document("name: test", &[]).notes().is_empty());
    }

    /// A file that says `gelu` means the tanh approximation, as it did when it was written.
    #[test]
    fn a_former_choice_keeps_its_meaning() {
        let mlp = |name: &str| {
            runs(&format!("name: test\nmodel: {{mlp: {name}}}"))[0]
                .model
                .mlp
        };
        assert_eq!(
            (mlp("gelu"), mlp("gelu_tanh")),
            (Mlp::GeluTanh, Mlp::GeluTanh)
        );
        assert_eq!(
            (mlp("gelu_exact"), mlp("gelu_erf")),
            (Mlp::GeluErf, Mlp::GeluErf)
        );
    }

    /// Configurations that were stored by an earlier version are read by serde alone.
    #[test]
    fn serde_reads_every_former_name() {
        let default = from_text("test.yaml", "name: test", &[]).unwrap();
        let stored = serde_json::to_value(default.experiment()).unwrap();
        for key in RENAMED_KEYS {
            let mut stored = stored.clone();
            let pointer = format!("/{}", key.section.replace('.', "/"));
            let section = stored
                .pointer_mut(&pointer)
                .unwrap()
                .as_object_mut()
                .unwrap();
            let value = section.remove(key.new).expect(key.new);
            section.insert(key.old.to_owned(), value);
            let read: Experiment = serde_json::from_value(stored).unwrap();
            assert_eq!(read, *default.experiment(), "{}", key.old);
        }
        for choice in RENAMED_CHOICES {
            let written = |name: &str| match choice.path {
                "expect[].metric" => {
                    format!(
                        "{{\"name\": \"x\", \"expect\": [{{\"metric\": \"{name}\", \"value\": 1}}]}}"
                    )
                }
                path => {
                    let (section, key) = path.split_once('.').unwrap();
                    format!("{{\"name\": \"x\", \"{section}\": {{\"{key}\": \"{name}\"}}}}")
                }
            };
            let read = |name: &str| serde_json::from_str::<Experiment>(&written(name)).unwrap();
            assert_eq!(read(choice.old), read(choice.new), "{}", choice.old);
        }
    }
}
