//! Which keys apply to which choices. A key inherited by a variant that chose otherwise is left out
//! of its runs; one written where it can have no effect is an error.

use super::error_kind::Problem;
use super::schema;
use super::spans::Place;
use super::tree::{Entry, Layer, Node, Value};

/// Keys of a section that apply with some values of a choice alone.
pub(super) struct Rule {
    pub(super) section: &'static str,
    pub(super) keys: &'static [&'static str],
    /// Path of the choice.
    pub(super) choice: &'static str,
    pub(super) values: &'static [&'static str],
}

/// All keys that depend on a choice.
pub(super) const RULES: &[Rule] = &[
    Rule {
        section: "",
        keys: &["optimizer", "train"],
        choice: "model.kind",
        values: &["gpt", "bigram"],
    },
    Rule {
        section: "model",
        keys: &["block_size", "init"],
        choice: "model.kind",
        values: &["gpt", "bigram"],
    },
    Rule {
        section: "model",
        keys: &["order"],
        choice: "model.kind",
        values: &["ngram"],
    },
    Rule {
        section: "tokenizer",
        keys: &["vocab_size"],
        choice: "tokenizer.kind",
        values: &["bpe", "wordpiece", "unigram"],
    },
    Rule {
        section: "tokenizer",
        keys: &["alpha", "nbest"],
        choice: "tokenizer.kind",
        values: &["unigram"],
    },
    Rule {
        section: "tokenizer",
        keys: &["dropout"],
        choice: "tokenizer.kind",
        values: &["bpe"],
    },
    Rule {
        section: "tokenizer",
        keys: &["encoding"],
        choice: "tokenizer.kind",
        values: &["tiktoken"],
    },
    Rule {
        section: "tokenizer",
        keys: &["path"],
        choice: "tokenizer.kind",
        values: &["file"],
    },
    Rule {
        section: "model",
        keys: &[
            "n_layer",
            "n_head",
            "n_kv_head",
            "n_embd",
            "positions",
            "window",
            "qk_norm",
            "norm",
            "norm_position",
            "parallel",
            "mlp",
            "mlp_hidden",
            "tie_weights",
            "scale_embedding",
            "logit_soft_cap",
            "bias",
            "bias_in",
            "dropout",
            "embedding_dropout",
            "attention_dropout",
        ],
        choice: "model.kind",
        values: &["gpt"],
    },
    Rule {
        section: "model",
        keys: &["norm_position"],
        choice: "model.norm",
        values: &["layernorm", "rmsnorm"],
    },
    Rule {
        section: "model.positions",
        keys: &["base", "fraction"],
        choice: "model.positions.kind",
        values: &["rotary"],
    },
    Rule {
        section: "model.bias_in",
        keys: &["norm"],
        choice: "model.norm",
        values: &["layernorm"],
    },
    Rule {
        section: "model.init",
        keys: &["kind", "std", "residual_scaling"],
        choice: "model.kind",
        values: &["gpt"],
    },
    Rule {
        section: "model.init",
        keys: &["std", "residual_scaling"],
        choice: "model.init.kind",
        values: &["normal"],
    },
    Rule {
        section: "optimizer",
        keys: &["betas"],
        choice: "optimizer.kind",
        values: &["adamw", "adam", "lion", "muon"],
    },
    Rule {
        section: "optimizer",
        keys: &["eps"],
        choice: "optimizer.kind",
        values: &["adamw", "adam", "rmsprop", "muon"],
    },
    Rule {
        section: "optimizer",
        keys: &["momentum", "nesterov"],
        choice: "optimizer.kind",
        values: &["sgd"],
    },
    Rule {
        section: "optimizer",
        keys: &["alpha"],
        choice: "optimizer.kind",
        values: &["rmsprop"],
    },
    Rule {
        section: "optimizer",
        keys: &["muon"],
        choice: "optimizer.kind",
        values: &["muon"],
    },
    Rule {
        section: "optimizer.schedule",
        keys: &["min_lr"],
        choice: "optimizer.schedule.kind",
        values: &["linear", "cosine", "wsd"],
    },
    Rule {
        section: "optimizer.schedule",
        keys: &["decay_fraction"],
        choice: "optimizer.schedule.kind",
        values: &["wsd"],
    },
];

impl Rule {
    /// The rules that a key has to meet, all of them.
    pub(super) fn of(section: &str, key: &str) -> impl Iterator<Item = &'static Self> {
        let concerns = move |rule: &&Self| rule.section == section && rule.keys.contains(&key);
        RULES.iter().filter(concerns)
    }

    /// Whether its keys apply to a document that says nothing.
    pub(super) fn holds_by_default(&self) -> bool {
        self.values.contains(&default(self.choice))
    }

    /// Whether its keys apply to a document.
    fn holds(&self, document: &Node) -> bool {
        self.values.contains(&chosen(document, self.choice).0)
    }
}

/// What a variant makes of a key that depends on a choice.
pub(super) enum Verdict {
    /// It applies.
    Used,
    /// It does not apply, since the choice was changed over it.
    Inherited,
    /// It does not apply, and was written over the choice that it does not apply to.
    Wasted(Problem),
}

/// A verdict on each key of a variant that depends on a choice, with the key's place.
pub(super) fn verdicts(variant: &Node) -> Vec<(Place, Verdict)> {
    let mut verdicts = Vec::new();
    collect(variant, variant, "", &mut verdicts);
    verdicts
}

fn collect(variant: &Node, section: &Node, path: &str, verdicts: &mut Vec<(Place, Verdict)>) {
    for entry in section.entries() {
        let mut rules = Rule::of(path, &entry.key).peekable();
        if rules.peek().is_some() {
            let broken = rules.find(|rule| !rule.holds(variant));
            let verdict = broken.map_or(Verdict::Used, |rule| rule.verdict(variant, entry));
            verdicts.push((entry.key_place, verdict));
        }
        collect(variant, &entry.value, &join(path, &entry.key), verdicts);
    }
}

impl Rule {
    /// On a key that does not apply.
    fn verdict(&self, variant: &Node, entry: &Entry) -> Verdict {
        let (value, layer) = chosen(variant, self.choice);
        if entry.layer < layer {
            return Verdict::Inherited;
        }
        Verdict::Wasted(Problem::NoEffect {
            key: entry.key.clone(),
            choice: self.choice.to_owned(),
            value: value.to_owned(),
            applies_to: self.values,
        })
    }
}

/// The variant without the keys that do not apply to its choices, so that they take their defaults
/// and make no difference between runs.
pub(super) fn applicable(variant: &Node) -> Node {
    without(variant, variant, "")
}

fn without(variant: &Node, node: &Node, path: &str) -> Node {
    let Value::Map(entries) = &node.value else {
        return node.clone();
    };
    let applies = |entry: &&Entry| Rule::of(path, &entry.key).all(|rule| rule.holds(variant));
    let kept = entries.iter().filter(applies).map(|entry| Entry {
        value: without(variant, &entry.value, &join(path, &entry.key)),
        ..entry.clone()
    });
    Node {
        place: node.place,
        value: Value::Map(kept.collect()),
    }
}

fn join(path: &str, key: &str) -> String {
    match path {
        "" => key.to_owned(),
        _ => format!("{path}.{key}"),
    }
}

/// The value of a choice, and the layer that chose it.
fn chosen<'a>(document: &'a Node, choice: &str) -> (&'a str, Layer) {
    if let Some(entry) = document.at(choice)
        && let Some(value) = entry.value.as_str()
    {
        return (value, entry.layer);
    }
    (default(choice), Layer::Default)
}

fn default(choice: &str) -> &'static str {
    let default = schema::default_of(choice);
    default
        .and_then(serde_json::Value::as_str)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_name_keys_and_values_that_exist() {
        for rule in RULES {
            let choice = schema::at(rule.choice).unwrap();
            let choices = schema::choices(choice).unwrap();
            for value in rule.values {
                assert!(choices.iter().any(|(name, _)| name == value), "{value}");
            }
            for key in rule.keys {
                let path = join(rule.section, key);
                assert!(schema::at(&path).is_some(), "{path}");
            }
        }
    }
}
