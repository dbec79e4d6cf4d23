//! One tree written over another.

use super::tree::{Entry, Layer, Node, Value};

/// Mappings that are one value and so are replaced as a whole: the checksum of another address is
/// no part of a source.
const WHOLE: [&str; 1] = ["source"];

/// `over` written over `base`: mappings merge, anything else replaces. Keys keep the order of the
/// base, new ones follow. What comes from `over` is of the layer given.
pub(super) fn merge(base: &Node, over: &Node, layer: Layer) -> Node {
    let (Value::Map(old), Value::Map(new)) = (&base.value, &over.value) else {
        return relayered(over, layer);
    };
    let mut entries = old.clone();
    for entry in new {
        match entries.iter_mut().find(|old| old.key == entry.key) {
            Some(old) => {
                let merged = if WHOLE.contains(&entry.key.as_str()) {
                    relayered(&entry.value, layer)
                } else {
                    merge(&old.value, &entry.value, layer)
                };
                *old = Entry {
                    value: merged,
                    ..with_layer(entry, layer)
                };
            }
            None => entries.push(with_layer(entry, layer)),
        }
    }
    Node {
        place: base.place,
        value: Value::Map(entries),
    }
}

fn with_layer(entry: &Entry, layer: Layer) -> Entry {
    Entry {
        key: entry.key.clone(),
        key_place: entry.key_place,
        layer,
        value: relayered(&entry.value, layer),
    }
}

fn relayered(node: &Node, layer: Layer) -> Node {
    let value = match &node.value {
        Value::Map(entries) => {
            let entries = entries.iter().map(|entry| with_layer(entry, layer));
            Value::Map(entries.collect())
        }
        other => other.clone(),
    };
    Node {
        place: node.place,
        value,
    }
}
