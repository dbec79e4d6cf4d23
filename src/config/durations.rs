//! The length of training, which one of several keys sets.

use super::diagnostic::Diagnostic;
use super::error_kind::ErrorKind;
use super::tree::{Entry, Node, Value};
use crate::spec::TrainingLength;

/// Whether a key of `train` sets the length of training.
fn is_length(key: &str) -> bool {
    let mut paths = TrainingLength::PATHS.iter();
    paths.any(|path| path.strip_prefix("train.") == Some(key))
}

/// A variant in which at most one key sets the length of training: the one of the last layer, which
/// replaces those of earlier layers. Two keys of one layer are an error; the first is kept.
pub(super) fn resolve_duration(variant: &Node, errors: &mut Vec<Diagnostic>) -> Node {
    let train = variant.entry("train").map(|entry| &entry.value);
    let lengths: Vec<&Entry> = train
        .map_or(&[][..], Node::entries)
        .iter()
        .filter(|entry| is_length(&entry.key) && entry.value.value != Value::Null)
        .collect();
    let last = lengths.iter().map(|entry| entry.layer).max();
    let mut of_last = lengths.iter().filter(|entry| Some(entry.layer) == last);
    let Some(kept) = of_last.next() else {
        return variant.clone();
    };
    for second in of_last {
        let kind = ErrorKind::TwoDurations {
            first: kept.key.clone(),
            second: second.key.clone(),
        };
        let diagnostic = Diagnostic::new(second.key_span, kind);
        errors.push(diagnostic.related(kept.key_span, "set here"));
    }
    let keep = |entry: &&Entry| entry.key == kept.key || !is_length(&entry.key);
    without(variant, "train", &keep)
}

/// A tree in which a section has only those entries for which `keep` holds.
fn without(tree: &Node, section: &str, keep: &dyn Fn(&&Entry) -> bool) -> Node {
    let entries = tree.entries().iter().map(|entry| {
        let mut entry = entry.clone();
        if entry.key == section {
            let inner = entry.value.entries().iter().filter(keep).cloned();
            entry.value.value = Value::Map(inner.collect());
        }
        entry
    });
    Node {
        span: tree.span,
        value: Value::Map(entries.collect()),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::from_text;
    use crate::spec::Train;

    fn train(text: &str, overrides: &[&str]) -> Train {
        let text = format!("name: test\n{text}");
        let overrides: Vec<_> = overrides.iter().map(|text| (*text).to_owned()).collect();
        let document = from_text("test.yaml", &text, &overrides).unwrap();
        let runs = document.expand().unwrap_or_else(|e| panic!("{e}")).runs;
        runs.into_iter().next().unwrap().train
    }

    #[test]
    fn the_last_layer_sets_the_length() {
        let length = |train: Train| (train.steps, train.tokens, train.epochs);
        let sweep = "sweep: {variants: {a: {train: {epochs: 2}}}}";
        assert_eq!(
            length(train("train: {tokens: 7}", &[])),
            (500, Some(7), None)
        );
        let text = format!("train: {{steps: 9}}\n{sweep}");
        assert_eq!(length(train(&text, &[])), (500, None, Some(2.0)));
        let steps = train(&text, &["train.steps=3"]);
        assert_eq!(length(steps), (3, None, None));
        let flops = train(&text, &["train.flops=1e9"]);
        assert_eq!((flops.flops, length(flops)), (Some(1e9), (500, None, None)));
        let none = train("train: {steps: 9, epochs: null}", &[]);
        assert_eq!(length(none), (9, None, None));
    }
}
