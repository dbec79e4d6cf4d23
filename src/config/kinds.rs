//! Which keys apply to which kinds. A key inherited by a variant of another kind is left out of its
//! runs; one written where it can have no effect is an error.

use super::problem::Problem;
use super::schema;
use super::source::Place;
use super::tree::{Entry, Layer, Node, Value};

/// Keys of a section that apply to some of its kinds alone.
pub(super) struct Rule {
    pub(super) section: &'static str,
    pub(super) keys: &'static [&'static str],
    pub(super) kinds: &'static [&'static str],
}

impl Rule {
    /// The kinds in words, for what stands in backticks: ``a` or `b``.
    pub(super) fn kinds_in_words(&self) -> String {
        self.kinds.join("` or `")
    }
}

/// All keys that depend on a kind.
pub(super) const RULES: [Rule; 5] = [
    Rule {
        section: "tokenizer",
        keys: &["vocab_size"],
        kinds: &["bpe"],
    },
    Rule {
        section: "model",
        keys: &[
            "n_layer",
            "n_head",
            "n_embd",
            "norm",
            "mlp",
            "mlp_hidden",
            "tie_weights",
            "bias",
            "dropout",
        ],
        kinds: &["gpt"],
    },
    Rule {
        section: "optimizer",
        keys: &["betas", "eps"],
        kinds: &["adamw"],
    },
    Rule {
        section: "optimizer",
        keys: &["momentum"],
        kinds: &["sgd"],
    },
    Rule {
        section: "optimizer.schedule",
        keys: &["min_lr"],
        kinds: &["cosine"],
    },
];

/// What a variant makes of a key that depends on a kind.
pub(super) enum Verdict {
    /// It applies.
    Used,
    /// It does not apply, since the kind was changed over it.
    Inherited,
    /// It does not apply, and was written over the kind that it does not apply to.
    Wasted(Problem),
}

/// A verdict on each key of a variant that depends on a kind, with the key's place.
pub(super) fn verdicts(variant: &Node) -> Vec<(Place, Verdict)> {
    let mut verdicts = Vec::new();
    for rule in &RULES {
        let Some(section) = variant.at(rule.section) else {
            continue;
        };
        let (kind, kind_layer) = kind_of(&section.value, rule.section);
        for entry in section.value.entries() {
            if !rule.keys.contains(&entry.key.as_str()) {
                continue;
            }
            let verdict = if rule.kinds.contains(&kind) {
                Verdict::Used
            } else if entry.layer < kind_layer {
                Verdict::Inherited
            } else {
                Verdict::Wasted(Problem::NoEffect {
                    key: entry.key.clone(),
                    kind_path: format!("{}.kind", rule.section),
                    kind: kind.to_owned(),
                    applies_to: rule.kinds_in_words(),
                })
            };
            verdicts.push((entry.key_place, verdict));
        }
    }
    verdicts
}

/// The variant without the keys that do not apply to its kinds, so that they take their defaults
/// and make no difference between runs.
pub(super) fn applicable(variant: &Node) -> Node {
    without(variant, "")
}

fn without(node: &Node, path: &str) -> Node {
    let Value::Map(entries) = &node.value else {
        return node.clone();
    };
    let rules = RULES.iter().filter(|rule| rule.section == path);
    let (kind, _) = kind_of(node, path);
    let dropped: Vec<_> = rules
        .filter(|rule| !rule.kinds.contains(&kind))
        .flat_map(|rule| rule.keys)
        .collect();
    let kept = entries
        .iter()
        .filter(|entry| !dropped.contains(&&entry.key.as_str()));
    let kept = kept.map(|entry| {
        let inner = if path.is_empty() {
            entry.key.clone()
        } else {
            format!("{path}.{}", entry.key)
        };
        Entry {
            value: without(&entry.value, &inner),
            ..entry.clone()
        }
    });
    Node {
        place: node.place,
        value: Value::Map(kept.collect()),
    }
}

/// The kind that a section has, and the layer that chose it.
fn kind_of<'a>(section: &'a Node, path: &str) -> (&'a str, Layer) {
    if let Some(entry) = section.entry("kind")
        && let Some(kind) = entry.value.as_str()
    {
        return (kind, entry.layer);
    }
    let default = schema::default_of(&format!("{path}.kind"));
    let default = default.and_then(serde_json::Value::as_str);
    (default.unwrap_or_default(), Layer::Default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_name_keys_and_kinds_that_exist() {
        for rule in &RULES {
            let kind = schema::at(&format!("{}.kind", rule.section)).unwrap();
            let kinds = schema::choices(kind).unwrap();
            for name in rule.kinds {
                assert!(kinds.iter().any(|(kind, _)| kind == name), "{name}");
            }
            for key in rule.keys {
                let path = format!("{}.{key}", rule.section);
                assert!(schema::at(&path).is_some(), "{path}");
            }
        }
    }
}
