//! The parts of a report, independent of the output format.
//!
//! [`super::sections`] builds them, and the templates in `templates/` lay them out.

use super::plots::Plot;
use serde::Serialize;

/// One part of a section.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum Block {
    /// Level 1 is the title of the page.
    Heading {
        level: usize,
        text: String,
    },
    /// The question that the experiment asks.
    Question {
        text: Text,
    },
    /// The answer to that question.
    Answer {
        text: Text,
    },
    Paragraph {
        text: Text,
    },
    List {
        items: Vec<Text>,
    },
    Table(Table),
    Figure(Plot),
    /// Text of a model or a user, shown in a fixed-width font.
    Code {
        text: String,
    },
    /// A chart that GitHub draws in a comment. The pages have figures instead.
    Mermaid {
        source: String,
    },
    /// Two texts to compare.
    SideBySide {
        left: TitledText,
        right: TitledText,
    },
    /// Less important content. HTML shows it on a click. Markdown links its figures and leaves out
    /// the rest.
    Folded {
        summary: String,
        blocks: Vec<Block>,
    },
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct TitledText {
    pub(super) title: String,
    pub(super) text: String,
}

impl Block {
    pub(super) fn heading(level: usize, text: &str) -> Self {
        Self::Heading {
            level,
            text: text.to_owned(),
        }
    }

    pub(super) fn paragraph(text: impl Into<Text>) -> Self {
        Self::Paragraph { text: text.into() }
    }
}

/// Text with inline formatting. Templates escape every part of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub(super) struct Text(Vec<Span>);

/// A piece of text in one format.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Span {
    Plain {
        text: String,
    },
    Strong {
        text: String,
    },
    Code {
        text: String,
    },
    /// A good result.
    Success {
        text: String,
    },
    /// A bad result.
    Warning {
        text: String,
    },
    /// A result that makes the command fail.
    Failure {
        text: String,
    },
    /// A confidence interval.
    Interval {
        low: String,
        high: String,
    },
}

impl Text {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn plain(self, text: impl Into<String>) -> Self {
        self.with(Span::Plain { text: text.into() })
    }

    pub(super) fn strong(self, text: impl Into<String>) -> Self {
        self.with(Span::Strong { text: text.into() })
    }

    pub(super) fn code(self, text: impl Into<String>) -> Self {
        self.with(Span::Code { text: text.into() })
    }

    pub(super) fn success(self, text: impl Into<String>) -> Self {
        self.with(Span::Success { text: text.into() })
    }

    pub(super) fn warning(self, text: impl Into<String>) -> Self {
        self.with(Span::Warning { text: text.into() })
    }

    pub(super) fn failure(self, text: impl Into<String>) -> Self {
        self.with(Span::Failure { text: text.into() })
    }

    pub(super) fn interval(self, low: impl Into<String>, high: impl Into<String>) -> Self {
        self.with(Span::Interval {
            low: low.into(),
            high: high.into(),
        })
    }

    fn with(mut self, span: Span) -> Self {
        self.0.push(span);
        self
    }

    /// The text without formatting and without confidence intervals.
    pub(super) fn without_intervals(&self) -> String {
        let text = |span: &Span| match span {
            Span::Plain { text }
            | Span::Strong { text }
            | Span::Code { text }
            | Span::Success { text }
            | Span::Warning { text }
            | Span::Failure { text } => text.clone(),
            Span::Interval { .. } => String::new(),
        };
        let text: String = self.0.iter().map(text).collect();
        text.trim_end().to_owned()
    }
}

impl<S: Into<String>> From<S> for Text {
    fn from(text: S) -> Self {
        Self::new().plain(text)
    }
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Table {
    pub(super) columns: Vec<Column>,
    pub(super) rows: Vec<Row>,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Column {
    heading: String,
    align: Align,
    /// Whether long cells may break into lines.
    wraps: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Align {
    Left,
    Right,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Row {
    pub(super) cells: Vec<Text>,
    /// The number of each cell by which its column is sorted. `None` where the text is precise enough.
    pub(super) values: Vec<Option<f64>>,
    pub(super) is_highlighted: bool,
}

impl Column {
    pub(super) fn new(heading: impl Into<String>, align: Align) -> Self {
        Self {
            heading: heading.into(),
            align,
            wraps: false,
        }
    }

    pub(super) fn left(heading: &str) -> Self {
        Self::new(heading, Align::Left)
    }

    pub(super) fn right(heading: &str) -> Self {
        Self::new(heading, Align::Right)
    }

    pub(super) fn wrapping(self) -> Self {
        Self {
            wraps: true,
            ..self
        }
    }
}

impl Row {
    pub(super) fn new(cells: Vec<Text>) -> Self {
        Self {
            values: vec![None; cells.len()],
            cells,
            is_highlighted: false,
        }
    }
}
