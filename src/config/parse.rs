//! YAML text to a tree whose keys and values know their spans.

use super::diagnostic::Diagnostic;
use super::error_kind::{ErrorKind, shortened};
use super::limits::{MAX_COPIED_BYTES, MAX_DEPTH, MAX_VALUES};
use super::scalar;
use super::spans::{FILE, Span, start_of};
use super::syntax_errors::{other_version, syntax_error};
use super::tree::{Entry, Layer, Node, Size, Value};
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span as ParserSpan, Tag};
use std::collections::HashMap;

/// Parses a file, the source with this index. On `None`, `errors` has at least one error.
pub(super) fn parse_file(text: &str, source: usize, errors: &mut Vec<Diagnostic>) -> Option<Node> {
    let error = match parse(text, source, 0, errors) {
        Ok(Some(tree)) => return Some(tree),
        Ok(None) if source == FILE => Diagnostic::new(start_of(source), ErrorKind::Empty),
        Ok(None) => Diagnostic::new(start_of(source), ErrorKind::ExtendedNoMapping),
        Err(diagnostic) => diagnostic,
    };
    errors.push(error);
    None
}

/// Parses one document.
///
/// `text` starts at byte `offset` of the source with index `source`. Mistakes after which parsing
/// can continue are added to `errors`. `None` is a document without a value.
///
/// # Errors
/// A mistake after which parsing cannot continue.
pub(super) fn parse(
    text: &str,
    source: usize,
    offset: usize,
    errors: &mut Vec<Diagnostic>,
) -> Result<Option<Node>, Diagnostic> {
    let spans = SpanMap::new(text, source, offset);
    if let Some((at, c)) = text.char_indices().find(|(_, c)| is_unprintable(*c)) {
        let span = Span {
            source,
            start: offset + at,
            end: offset + at + c.len_utf8(),
        };
        return Err(Diagnostic::new(span, ErrorKind::ControlCharacter(c as u32)));
    }
    errors.extend(other_version(text, source, offset));
    let mut builder = Builder {
        spans: &spans,
        errors,
        stack: Vec::new(),
        anchors: HashMap::new(),
        values: 0,
        copied_bytes: 0,
        documents: 0,
        root: None,
    };
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| {
            let span = spans.at(*error.marker());
            syntax_error(error.info(), text, span, offset)
        })?;
        builder.event(event, span)?;
    }
    Ok(builder.root)
}

/// Whether YAML does not allow a character (YAML 1.2.2, section 5.1). The parser takes a NUL for the
/// end of the text and would silently drop what follows it.
fn is_unprintable(c: char) -> bool {
    c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{85}')
}

/// Converts the parser's positions, in characters, into spans, in bytes.
struct SpanMap {
    source: usize,
    offset: usize,
    /// Byte offset of each character; empty for ASCII, where the two are equal.
    bytes: Vec<usize>,
    len: usize,
}

impl SpanMap {
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

    fn at(&self, marker: Marker) -> Span {
        let start = self.byte(marker);
        Span {
            source: self.source,
            start,
            end: start,
        }
    }

    fn between(&self, span: ParserSpan) -> Span {
        Span {
            end: self.byte(span.end).max(self.byte(span.start)),
            ..self.at(span.start)
        }
    }
}

/// A list or mapping that is still being read.
struct Frame {
    span: Span,
    anchor: usize,
    /// Whether it is written with brackets or braces.
    flow: bool,
    content: Content,
}

enum Content {
    Seq(Vec<Node>),
    Map {
        entries: Vec<Entry>,
        /// The keys so far, so that a duplicate is found in constant time.
        seen: HashMap<String, Span>,
        key: Key,
        /// Values of `<<`. Their keys are added unless the mapping has them itself.
        merged: Vec<Node>,
    },
}

/// What a mapping expects next.
enum Key {
    /// A key.
    Expected,
    /// The value of this key.
    Read(String, Span),
    /// The value of `<<`.
    Merge,
    /// The value of an invalid key.
    Invalid,
}

struct Builder<'a> {
    spans: &'a SpanMap,
    errors: &'a mut Vec<Diagnostic>,
    stack: Vec<Frame>,
    anchors: HashMap<usize, Node>,
    values: usize,
    /// Bytes of keys and strings in the copies that are kept for aliases or made by them.
    copied_bytes: usize,
    documents: usize,
    root: Option<Node>,
}

impl Builder<'_> {
    fn event(&mut self, event: Event, span: ParserSpan) -> Result<(), Diagnostic> {
        let span = self.spans.between(span);
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(Diagnostic::new(span, ErrorKind::SeveralDocuments));
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                let node = self.scalar(&text, style, tag.as_deref(), span);
                let plain_merge = style == ScalarStyle::Plain && text == "<<";
                self.finish(node, anchor, plain_merge)?;
            }
            Event::SequenceStart(anchor, tag) => {
                tag.iter().for_each(|tag| self.report_tag(tag, span));
                self.open(span, anchor, Content::Seq(Vec::new()))?;
            }
            Event::MappingStart(anchor, tag) => {
                tag.iter().for_each(|tag| self.report_tag(tag, span));
                let content = Content::Map {
                    entries: Vec::new(),
                    seen: HashMap::new(),
                    key: Key::Expected,
                    merged: Vec::new(),
                };
                self.open(span, anchor, content)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span)?,
            Event::Alias(anchor) => self.alias(anchor, span)?,
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, span: Span) -> Node {
        let is_str = |tag: &Tag| tag.is_yaml_core_schema() && tag.suffix == "str";
        let value = match tag {
            None if style == ScalarStyle::Plain => scalar::resolve(text),
            None => Value::Str(text.to_owned()),
            Some(tag) if is_str(tag) => Value::Str(text.to_owned()),
            Some(tag) => {
                self.report_tag(tag, span);
                scalar::resolve(text)
            }
        };
        // A missing value gets the span of its key.
        let span = match self.stack.last() {
            Some(Frame {
                content:
                    Content::Map {
                        key: Key::Read(_, key_span),
                        ..
                    },
                ..
            }) if value == Value::Null && span.start == span.end => *key_span,
            _ => span,
        };
        Node { span, value }
    }

    fn report_tag(&mut self, tag: &Tag, span: Span) {
        let written = if tag.is_yaml_core_schema() {
            format!("!!{}", tag.suffix)
        } else {
            tag.to_string()
        };
        let kind = ErrorKind::Tag(shortened(&written));
        self.errors.push(Diagnostic::new(span, kind));
    }

    fn open(&mut self, span: Span, anchor: usize, content: Content) -> Result<(), Diagnostic> {
        if self.stack.len() >= MAX_DEPTH {
            return Err(Diagnostic::new(span, ErrorKind::TooDeep));
        }
        self.stack.push(Frame {
            span,
            anchor,
            flow: span.end > span.start,
            content,
        });
        Ok(())
    }

    fn close(&mut self, end: Span) -> Result<(), Diagnostic> {
        let Some(frame) = self.stack.pop() else {
            return Ok(());
        };
        let (value, last) = match frame.content {
            Content::Seq(items) => {
                let last = items.last().map(|item| item.span);
                (Value::Seq(items), last)
            }
            Content::Map {
                mut entries,
                mut seen,
                merged,
                ..
            } => {
                let last = entries.last().map(|entry| entry.value.span);
                for entry in merged.iter().flat_map(Node::entries) {
                    if seen.insert(entry.key.clone(), entry.key_span).is_none() {
                        entries.push(entry.clone());
                    }
                }
                (Value::Map(entries), last)
            }
        };
        let last = if frame.flow { Some(end) } else { last };
        let span = last.map_or(frame.span, |last| frame.span.to(last));
        self.finish(Node { span, value }, frame.anchor, false)
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), Diagnostic> {
        let Some(node) = self.anchors.get(&anchor).cloned() else {
            return Err(Diagnostic::new(span, ErrorKind::AliasOfItself));
        };
        let size = node.size();
        if self.stack.len() + size.depth > MAX_DEPTH {
            return Err(Diagnostic::new(span, ErrorKind::TooDeep));
        }
        // `finish` counts the outermost value.
        let inner = Size {
            values: size.values - 1,
            ..size
        };
        self.count_copy(inner, span)?;
        self.finish(node, 0, false)
    }

    fn count(&mut self, values: usize, span: Span) -> Result<(), Diagnostic> {
        self.values += values;
        if self.values > MAX_VALUES {
            return Err(Diagnostic::new(span, ErrorKind::TooManyValues));
        }
        Ok(())
    }

    fn count_copy(&mut self, size: Size, span: Span) -> Result<(), Diagnostic> {
        self.count(size.values, span)?;
        self.copied_bytes += size.key_bytes + size.string_bytes;
        if self.copied_bytes > MAX_COPIED_BYTES {
            return Err(Diagnostic::new(span, ErrorKind::TooMuchCopied));
        }
        Ok(())
    }

    /// Adds a complete value to the list or mapping that is being read, or makes it the root.
    fn finish(&mut self, node: Node, anchor: usize, plain_merge: bool) -> Result<(), Diagnostic> {
        self.count(1, node.span)?;
        if anchor > 0 {
            // The copy kept for aliases counts as well: nested anchors keep up to 64 of each value.
            self.count_copy(node.size(), node.span)?;
            self.anchors.insert(anchor, node.clone());
        }
        let Some(frame) = self.stack.last_mut() else {
            let empty = node.value == Value::Null && node.span.start == node.span.end;
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
                let ready = std::mem::replace(key, Key::Expected);
                match ready {
                    Key::Expected if plain_merge => *key = Key::Merge,
                    Key::Expected => *key = read_key(node, seen, self.errors),
                    Key::Read(name, key_span) => entries.push(Entry {
                        key: name,
                        key_span,
                        layer: Layer::Document,
                        value: node,
                    }),
                    Key::Merge => merge_values(node, merged, self.errors),
                    Key::Invalid => {}
                }
            }
        }
        Ok(())
    }
}

fn read_key(node: Node, seen: &mut HashMap<String, Span>, errors: &mut Vec<Diagnostic>) -> Key {
    let Value::Str(key) = node.value else {
        errors.push(Diagnostic::new(node.span, ErrorKind::KeyNotString));
        return Key::Invalid;
    };
    if let Some(first) = seen.get(&key) {
        let kind = ErrorKind::DuplicateKey(shortened(&key));
        let diagnostic = Diagnostic::new(node.span, kind);
        errors.push(diagnostic.related(*first, "first written here"));
        return Key::Invalid;
    }
    seen.insert(key.clone(), node.span);
    Key::Read(key, node.span)
}

fn merge_values(node: Node, merged: &mut Vec<Node>, errors: &mut Vec<Diagnostic>) {
    match node.value {
        Value::Map(_) => merged.push(node),
        Value::Seq(items) if items.iter().all(|item| matches!(item.value, Value::Map(_))) => {
            merged.extend(items);
        }
        _ => errors.push(Diagnostic::new(node.span, ErrorKind::MergeOfScalar)),
    }
}
