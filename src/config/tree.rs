//! A YAML document as a tree in which every key and every value knows its span.

use super::spans::Span;
use serde_yaml::{Mapping, Number};

/// A value and its span.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) span: Span,
    pub(super) value: Value,
}

/// A value in the core schema of YAML 1.2.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Str(String),
    Seq(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key of a mapping with its value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_span: Span,
    /// Where it comes from, which distinguishes an inherited key from one that is set.
    pub(super) layer: Layer,
    pub(super) value: Node,
}

/// The size of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    /// Number of values, including lists and mappings.
    pub(super) values: usize,
    /// Bytes of all keys.
    pub(super) key_bytes: usize,
    /// Bytes of all strings.
    pub(super) string_bytes: usize,
    /// Number of lists and mappings around the innermost value.
    pub(super) depth: usize,
}

impl Size {
    fn add_child(&mut self, child: &Node) {
        let child = child.size();
        self.values += child.values;
        self.key_bytes += child.key_bytes;
        self.string_bytes += child.string_bytes;
        self.depth = self.depth.max(1 + child.depth);
    }
}

/// The layers of a variant, in the order in which they are merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Layer {
    Default,
    /// A file that the document extends. Files are merged in this order.
    Extended(usize),
    Document,
    /// A size of `sweep.scale`.
    Size,
    Variant,
    Grid,
    Override,
}

impl Entry {
    /// Whether a value in it comes from a layer.
    pub(super) fn comes_from(&self, layer: Layer) -> bool {
        let entries = self.value.entries();
        match entries.is_empty() {
            true => self.layer == layer,
            false => entries.iter().any(|entry| entry.comes_from(layer)),
        }
    }
}

impl Node {
    /// A mapping without keys.
    pub(super) fn empty_map(span: Span) -> Self {
        Self {
            span,
            value: Value::Map(Vec::new()),
        }
    }

    /// The keys of a mapping; none for anything else.
    pub(super) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a list; none for anything else.
    pub(super) fn items(&self) -> &[Node] {
        match &self.value {
            Value::Seq(items) => items,
            _ => &[],
        }
    }

    pub(super) fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The entry under a key of a mapping.
    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// The value under a key of a mapping.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// [`Self::get`] with mutable access.
    pub(super) fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        let Value::Map(entries) = &mut self.value else {
            return None;
        };
        let entry = entries.iter_mut().find(|entry| entry.key == key);
        entry.map(|entry| &mut entry.value)
    }

    /// The values of a mapping or of a list.
    pub(super) fn values_mut(&mut self) -> Vec<&mut Node> {
        match &mut self.value {
            Value::Map(entries) => entries.iter_mut().map(|entry| &mut entry.value).collect(),
            Value::Seq(items) => items.iter_mut().collect(),
            _ => Vec::new(),
        }
    }

    /// Removes the values that another tree would replace when it is merged over this one.
    pub(super) fn subtract(&mut self, over: &Node) {
        let Value::Map(entries) = &mut self.value else {
            return;
        };
        entries.retain_mut(|entry| {
            let Some(over) = over.get(&entry.key) else {
                return true;
            };
            let are_mappings = [&entry.value, over].map(|node| matches!(node.value, Value::Map(_)));
            if are_mappings != [true, true] {
                return false;
            }
            entry.value.subtract(over);
            !entry.value.entries().is_empty()
        });
    }

    /// The entry at a path such as `optimizer.schedule.kind`, whose keys have no dots.
    pub(super) fn at(&self, path: &str) -> Option<&Entry> {
        let (parents, key) = path.rsplit_once('.').unwrap_or(("", path));
        let parents = parents.split('.').filter(|parent| !parent.is_empty());
        let section = parents.into_iter().try_fold(self, |at, key| at.get(key))?;
        section.entry(key)
    }

    /// The entry at a path, or its nearest parent that exists.
    pub(super) fn nearest(&self, path: &str) -> Option<&Entry> {
        let mut path = path;
        loop {
            if let Some(entry) = self.at(path) {
                return Some(entry);
            }
            path = path.rsplit_once('.')?.0;
        }
    }

    /// The size of the tree.
    pub(super) fn size(&self) -> Size {
        let mut size = Size {
            values: 1,
            key_bytes: 0,
            string_bytes: 0,
            depth: 0,
        };
        match &self.value {
            Value::Str(text) => size.string_bytes = text.len(),
            Value::Seq(items) => {
                size.depth = 1;
                items.iter().for_each(|item| size.add_child(item));
            }
            Value::Map(entries) => {
                size.depth = 1;
                for entry in entries {
                    size.key_bytes += entry.key.len();
                    size.add_child(&entry.value);
                }
            }
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => {}
        }
        size
    }

    /// Whether two trees have the same values. Spans are ignored, and `1` equals `1.0`.
    pub(super) fn same_value(&self, other: &Self) -> bool {
        match (&self.value, &other.value) {
            (Value::Int(int), Value::Float(float)) | (Value::Float(float), Value::Int(int)) => {
                *int as f64 == *float
            }
            (Value::Seq(a), Value::Seq(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same_value(b))
            }
            (Value::Map(a), Value::Map(_)) => {
                a.len() == other.entries().len()
                    && a.iter().all(|entry| {
                        let twin = other.get(&entry.key);
                        twin.is_some_and(|twin| entry.value.same_value(twin))
                    })
            }
            (a, b) => a == b,
        }
    }

    /// The tree without spans, for serde.
    pub(super) fn to_yaml(&self) -> serde_yaml::Value {
        match &self.value {
            Value::Null => serde_yaml::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Int(value) => serde_yaml::Value::Number(match u64::try_from(*value) {
                Ok(value) => Number::from(value),
                // Negative, or larger than any field, which validation has rejected.
                Err(_) => i64::try_from(*value).map_or_else(|_| (*value as f64).into(), Into::into),
            }),
            Value::Float(value) => (*value).into(),
            Value::Str(value) => value.as_str().into(),
            Value::Seq(items) => items.iter().map(Self::to_yaml).collect(),
            Value::Map(entries) => {
                let pairs = entries.iter();
                let pairs = pairs.map(|entry| (entry.key.as_str().into(), entry.value.to_yaml()));
                serde_yaml::Value::Mapping(pairs.collect::<Mapping>())
            }
        }
    }
}
