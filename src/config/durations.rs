//! The length of a run, which several keys can say and one does.

use super::diagnostic::Diagnostic;
use super::error_kind::Problem;
use super::tree::{Entry, Node, Value};

/// Keys of `train` of which one says how long a run trains.
const KEYS: [&str; 3] = ["steps", "tokens", "epochs"];

/// A variant in which one key at most says how long it trains: that of the last layer, which is
/// written over what the others say. Two of one layer are reported, and the first counts.
pub(super) fn one_length(variant: &Node, found: &mut Vec<Diagnostic>) -> Node {
    let train = variant.entry("train").map(|entry| &entry.value);
    let lengths: Vec<&Entry> = train
        .map_or(&[][..], Node::entries)
        .iter()
        .filter(|entry| KEYS.contains(&entry.key.as_str()) && entry.value.value != Value::Null)
        .collect();
    let last = lengths.iter().map(|entry| entry.layer).max();
    let mut of_last = lengths.iter().filter(|entry| Some(entry.layer) == last);
    let Some(kept) = of_last.next() else {
        return variant.clone();
    };
    for second in of_last {
        let problem = Problem::TwoLengths {
            first: kept.key.clone(),
            second: second.key.clone(),
        };
        let diagnostic = Diagnostic::new(second.key_place, problem);
        found.push(diagnostic.related(kept.key_place, "the other"));
    }
    let counts = |entry: &&Entry| entry.key == kept.key || !KEYS.contains(&entry.key.as_str());
    without(variant, "train", &counts)
}

/// A tree in which a section has those of its entries that `counts` says.
fn without(tree: &Node, section: &str, counts: &dyn Fn(&&Entry) -> bool) -> Node {
    let entries = tree.entries().iter().map(|entry| {
        let mut entry = entry.clone();
        if entry.key == section {
            let inner = entry.value.entries().iter().filter(counts).cloned();
            entry.value.value = Value::Map(inner.collect());
        }
        entry
    });
    Node {
        place: tree.place,
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
    fn the_last_layer_says_how_long() {
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
        let none = train("train: {steps: 9, epochs: null}", &[]);
        assert_eq!(length(none), (9, None, None));
    }
}
