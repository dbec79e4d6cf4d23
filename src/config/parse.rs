//! YAML text to a tree, within limits that no honest experiment meets.

use super::diagnostic::Diagnostic;
use super::error_kind::{Problem, shortened};
use super::scalar;
use super::spans::Place;
use super::tree::{Entry, Layer, Node, Value};
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, Tag};
use std::collections::HashMap;

/// Deepest nesting accepted. It bounds every recursion over a tree.
pub(super) const MAX_DEPTH: usize = 64;

/// Most values accepted, aliases written out. It bounds what an alias bomb can unfold to.
pub(super) const MAX_VALUES: usize = 100_000;

/// Parses one document.
///
/// `text` lies at byte `offset` of the source numbered `source`. Mistakes after which the rest
/// still makes sense go to `found`; `None` is a document without a value, which is for the caller
/// to judge.
///
/// # Errors
/// A mistake that makes the rest of the text meaningless.
pub(super) fn parse(
    text: &str,
    source: usize,
    offset: usize,
    found: &mut Vec<Diagnostic>,
) -> Result<Option<Node>, Diagnostic> {
    let places = Places::new(text, source, offset);
    if let Some((at, c)) = text.char_indices().find(|(_, c)| is_unprintable(*c)) {
        let place = Place {
            source,
            start: offset + at,
            end: offset + at + c.len_utf8(),
        };
        return Err(Diagnostic::new(place, Problem::ControlCharacter(c as u32)));
    }
    let mut builder = Builder {
        places: &places,
        found,
        stack: Vec::new(),
        anchors: HashMap::new(),
        values: 0,
        documents: 0,
        root: None,
    };
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| {
            let place = places.at(*error.marker());
            let before = &text[..place.start - offset];
            Diagnostic::new(place, syntax_problem(error.info(), before))
        })?;
        builder.event(event, span)?;
    }
    Ok(builder.root)
}

/// YAML 1.2.2, section 5.1. The parser takes a NUL for the end of the text, so that what follows
/// one would be dropped in silence.
fn is_unprintable(c: char) -> bool {
    c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{85}')
}

/// What the parser found, after the text `before`.
fn syntax_problem(info: &str, before: &str) -> Problem {
    if info.contains("recursion limit") {
        return Problem::TooDeep;
    }
    let info = info.to_owned();
    let line = before.rsplit('\n').next().unwrap_or_default();
    let key = line.trim_start();
    // A word alone before the colon of an indented line is a key rather than text.
    let alone = !key.is_empty() && key.len() < line.len() && !key.contains([' ', ':', ',', '{']);
    if alone && info.contains("mapping values are not allowed") {
        let key = shortened(key);
        return Problem::MisplacedKey { info, key };
    }
    Problem::Syntax(info)
}

/// Turns the parser's positions, in characters, into places, in bytes.
struct Places {
    source: usize,
    offset: usize,
    /// Byte of each character; empty for ASCII, where they are the same.
    bytes: Vec<usize>,
    len: usize,
}

impl Places {
    fn new(text: &str, source: usize, offset: usize) -> Self {
        let bytes = if text.is_ascii() {
            Vec::new()
        } else {
            text.char_indices().map(|(byte, _)| byte).collect()
        };
        Self {
            source,
            offset,
            bytes,
            len: text.len(),
        }
    }

    fn byte(&self, marker: Marker) -> usize {
        let index = marker.index();
        let byte = if self.bytes.is_empty() {
            index.min(self.len)
        } else {
            self.bytes.get(index).copied().unwrap_or(self.len)
        };
        self.offset + byte
    }

    fn at(&self, marker: Marker) -> Place {
        let start = self.byte(marker);
        Place {
            source: self.source,
            start,
            end: start,
        }
    }

    fn span(&self, span: Span) -> Place {
        Place {
            end: self.byte(span.end).max(self.byte(span.start)),
            ..self.at(span.start)
        }
    }
}

/// A list or mapping that is still being read.
struct Frame {
    place: Place,
    anchor: usize,
    /// Whether it started by a bracket or brace, and so ends by one.
    flow: bool,
    content: Content,
}

enum Content {
    Seq(Vec<Node>),
    Map {
        entries: Vec<Entry>,
        /// The keys so far, which makes looking for a duplicate cheap in a mapping of any length.
        seen: HashMap<String, Place>,
        key: Key,
        /// Values of `<<`, whose keys fill in what the mapping itself does not have.
        merged: Vec<Node>,
    },
}

/// What a mapping expects next.
enum Key {
    /// A key.
    Awaited,
    /// The value of this key.
    Read(String, Place),
    /// The value of `<<`.
    Merge,
    /// The value of a key that was refused.
    Refused,
}

struct Builder<'a> {
    places: &'a Places,
    found: &'a mut Vec<Diagnostic>,
    stack: Vec<Frame>,
    anchors: HashMap<usize, Node>,
    values: usize,
    documents: usize,
    root: Option<Node>,
}

impl Builder<'_> {
    fn event(&mut self, event: Event, span: Span) -> Result<(), Diagnostic> {
        let place = self.places.span(span);
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(Diagnostic::new(place, Problem::SeveralDocuments));
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                let node = self.scalar(&text, style, tag.as_deref(), place);
                let plain_merge = style == ScalarStyle::Plain && text == "<<";
                self.finish(node, anchor, plain_merge)?;
            }
            Event::SequenceStart(anchor, tag) => {
                tag.iter().for_each(|tag| self.refuse_tag(tag, place));
                self.open(place, anchor, Content::Seq(Vec::new()))?;
            }
            Event::MappingStart(anchor, tag) => {
                tag.iter().for_each(|tag| self.refuse_tag(tag, place));
                let content = Content::Map {
                    entries: Vec::new(),
                    seen: HashMap::new(),
                    key: Key::Awaited,
                    merged: Vec::new(),
                };
                self.open(place, anchor, content)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(place)?,
            Event::Alias(anchor) => self.alias(anchor, place)?,
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, place: Place) -> Node {
        let is_str = |tag: &Tag| tag.is_yaml_core_schema() && tag.suffix == "str";
        let value = match tag {
            None if style == ScalarStyle::Plain => scalar::resolve(text),
            None => Value::Str(text.to_owned()),
            Some(tag) if is_str(tag) => Value::Str(text.to_owned()),
            Some(tag) => {
                self.refuse_tag(tag, place);
                scalar::resolve(text)
            }
        };
        // The place of a value that is not there is that of its key.
        let place = match self.stack.last() {
            Some(Frame {
                content:
                    Content::Map {
                        key: Key::Read(_, key_place),
                        ..
                    },
                ..
            }) if value == Value::Null && place.start == place.end => *key_place,
            _ => place,
        };
        Node { place, value }
    }

    fn refuse_tag(&mut self, tag: &Tag, place: Place) {
        let written = if tag.is_yaml_core_schema() {
            format!("!!{}", tag.suffix)
        } else {
            tag.to_string()
        };
        let problem = Problem::Tag(written);
        self.found.push(Diagnostic::new(place, problem));
    }

    fn open(&mut self, place: Place, anchor: usize, content: Content) -> Result<(), Diagnostic> {
        if self.stack.len() >= MAX_DEPTH {
            return Err(Diagnostic::new(place, Problem::TooDeep));
        }
        self.stack.push(Frame {
            place,
            anchor,
            flow: place.end > place.start,
            content,
        });
        Ok(())
    }

    fn close(&mut self, end: Place) -> Result<(), Diagnostic> {
        let Some(frame) = self.stack.pop() else {
            return Ok(());
        };
        let (value, last) = match frame.content {
            Content::Seq(items) => {
                let last = items.last().map(|item| item.place);
                (Value::Seq(items), last)
            }
            Content::Map {
                mut entries,
                mut seen,
                merged,
                ..
            } => {
                let last = entries.last().map(|entry| entry.value.place);
                for entry in merged.iter().flat_map(Node::entries) {
                    if seen.insert(entry.key.clone(), entry.key_place).is_none() {
                        entries.push(entry.clone());
                    }
                }
                (Value::Map(entries), last)
            }
        };
        let last = if frame.flow { Some(end) } else { last };
        let place = last.map_or(frame.place, |last| frame.place.to(last));
        self.finish(Node { place, value }, frame.anchor, false)
    }

    fn alias(&mut self, anchor: usize, place: Place) -> Result<(), Diagnostic> {
        let Some(node) = self.anchors.get(&anchor).cloned() else {
            return Err(Diagnostic::new(place, Problem::AliasOfItself));
        };
        let (size, depth) = node.size_and_depth();
        if self.stack.len() + depth > MAX_DEPTH {
            return Err(Diagnostic::new(place, Problem::TooDeep));
        }
        self.count(size - 1, place)?;
        self.finish(node, 0, false)
    }

    fn count(&mut self, values: usize, place: Place) -> Result<(), Diagnostic> {
        self.values += values;
        if self.values > MAX_VALUES {
            return Err(Diagnostic::new(place, Problem::TooManyValues));
        }
        Ok(())
    }

    /// Puts a complete value where it belongs: in the list or mapping that is being read, or at
    /// the root.
    fn finish(&mut self, node: Node, anchor: usize, plain_merge: bool) -> Result<(), Diagnostic> {
        self.count(1, node.place)?;
        if anchor > 0 {
            // The copy kept for aliases counts too, or nested anchors would hold 64 of each value.
            self.count(node.size_and_depth().0, node.place)?;
            self.anchors.insert(anchor, node.clone());
        }
        let Some(frame) = self.stack.last_mut() else {
            let empty = node.value == Value::Null && node.place.start == node.place.end;
            self.root = (!empty).then_some(node);
            return Ok(());
        };
        match &mut frame.content {
            Content::Seq(items) => items.push(node),
            Content::Map {
                entries,
                seen,
                key,
                merged,
            } => {
                let ready = std::mem::replace(key, Key::Awaited);
                match ready {
                    Key::Awaited if plain_merge => *key = Key::Merge,
                    Key::Awaited => *key = read_key(node, seen, self.found),
                    Key::Read(name, key_place) => entries.push(Entry {
                        key: name,
                        key_place,
                        layer: Layer::Document,
                        value: node,
                    }),
                    Key::Merge => merge_values(node, merged, self.found),
                    Key::Refused => {}
                }
            }
        }
        Ok(())
    }
}

fn read_key(node: Node, seen: &mut HashMap<String, Place>, found: &mut Vec<Diagnostic>) -> Key {
    let Value::Str(key) = node.value else {
        found.push(Diagnostic::new(node.place, Problem::KeyNotString));
        return Key::Refused;
    };
    if let Some(first) = seen.get(&key) {
        let diagnostic = Diagnostic::new(node.place, Problem::DuplicateKey(key));
        found.push(diagnostic.related(*first, "first written here"));
        return Key::Refused;
    }
    seen.insert(key.clone(), node.place);
    Key::Read(key, node.place)
}

fn merge_values(node: Node, merged: &mut Vec<Node>, found: &mut Vec<Diagnostic>) {
    match node.value {
        Value::Map(_) => merged.push(node),
        Value::Seq(items) if items.iter().all(|item| matches!(item.value, Value::Map(_))) => {
            merged.extend(items);
        }
        _ => found.push(Diagnostic::new(node.place, Problem::MergeOfScalar)),
    }
}
