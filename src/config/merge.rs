//! Merging one tree into another.

use super::tree::{Entry, Layer, Node, Value};
use std::collections::HashMap;

/// Keys whose mapping is replaced as a whole: the checksum in a `source` belongs to its URL.
const NOT_MERGED: [&str; 1] = ["source"];

/// `base` with the values of `over`: mappings are merged, and anything else is replaced. Keys keep
/// the order of `base`, and new keys follow. Entries that come from `over` get the layer `layer`.
pub(super) fn merge(base: &Node, over: &Node, layer: Layer) -> Node {
    let (Value::Map(old), Value::Map(new)) = (&base.value, &over.value) else {
        return with_layer_below(over, layer);
    };
    // The keys of a mapping are distinct, and there can be very many.
    let places = old.iter().enumerate();
    let places: HashMap<&str, usize> = places.map(|(at, old)| (old.key.as_str(), at)).collect();
    let mut entries = old.clone();
    for entry in new {
        match places.get(entry.key.as_str()) {
            Some(&at) => {
                let merged = if NOT_MERGED.contains(&entry.key.as_str()) {
                    with_layer_below(&entry.value, layer)
                } else {
                    merge(&old[at].value, &entry.value, layer)
                };
                entries[at] = Entry {
                    value: merged,
                    ..with_layer(entry, layer)
                };
            }
            None => entries.push(with_layer(entry, layer)),
        }
    }
    Node {
        span: base.span,
        value: Value::Map(entries),
    }
}

fn with_layer(entry: &Entry, layer: Layer) -> Entry {
    Entry {
        key: entry.key.clone(),
        key_span: entry.key_span,
        layer,
        value: with_layer_below(&entry.value, layer),
    }
}

fn with_layer_below(node: &Node, layer: Layer) -> Node {
    let value = match &node.value {
        Value::Map(entries) => {
            let entries = entries.iter().map(|entry| with_layer(entry, layer));
            Value::Map(entries.collect())
        }
        other => other.clone(),
    };
    Node {
        span: node.span,
        value,
    }
}
