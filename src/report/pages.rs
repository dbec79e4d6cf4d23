//! The pages of a report, rendered from templates.

use super::ReportError;
use super::sections::Section;
use super::side_by_side::side_by_side;
use crate::config::MAX_TEMPLATE_BYTES;
use crate::regular_file;
use crate::text::escape;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, Error, HtmlEscape, Output, State, UndefinedBehavior};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

const MARKDOWN: &str = include_str!("../../templates/report.md.j2");
/// What the HTML page includes, by name.
const INCLUDED: [(&str, &str); 7] = [
    ("report.css", include_str!("../../templates/report.css")),
    ("dom.js", include_str!("../../templates/dom.js")),
    ("tables.js", include_str!("../../templates/tables.js")),
    ("labels.js", include_str!("../../templates/labels.js")),
    ("report.js", include_str!("../../templates/report.js")),
    (
        "page_state.js",
        include_str!("../../templates/page_state.js"),
    ),
    ("live.js", include_str!("../../templates/live.js")),
];
const COMMENT: &str = include_str!("../../templates/comment.md.j2");
const HTML: &str = include_str!("../../templates/report.html.j2");

/// Names under which templates can import the built-in ones.
const MARKDOWN_NAME: &str = "report.md.j2";
const HTML_NAME: &str = "report.html.j2";
/// Name in messages of errors.
const COMMENT_NAME: &str = "comment.md.j2";

/// Name of the escaping rules for Markdown.
const MARKDOWN_ESCAPE: &str = "markdown";

/// Renders `report.md`, from the template file `custom` if there is one.
pub(super) fn markdown(data: &impl Serialize, custom: Option<&str>) -> Result<String, ReportError> {
    let Some(path) = custom else {
        return render(MARKDOWN_NAME, MARKDOWN, data);
    };
    let template = read_template(Path::new(path));
    let template = template.map_err(|source| ReportError::ReadTemplate {
        path: PathBuf::from(path),
        source,
    })?;
    render(path, &template, data)
}

fn read_template(path: &Path) -> io::Result<String> {
    let invalid = |what: &str| io::Error::new(ErrorKind::InvalidInput, what);
    let template = regular_file::read_at_most(path, MAX_TEMPLATE_BYTES + 1)?;
    if template.len() as u64 > MAX_TEMPLATE_BYTES {
        return Err(invalid("it is larger than 1 MiB"));
    }
    String::from_utf8(template).map_err(|_| invalid("it is not UTF-8"))
}

/// Renders `report.html`.
pub(super) fn html(data: &impl Serialize) -> Result<String, ReportError> {
    render(HTML_NAME, HTML, data)
}

/// Renders one section of a comment.
pub(super) fn comment_section(section: Section) -> Result<String, ReportError> {
    render(
        COMMENT_NAME,
        COMMENT,
        &BTreeMap::from([("sections", [section])]),
    )
}

/// Renders a template. All values are escaped for the format of the page unless the template marks
/// them as safe, so that a custom template is safe by default.
fn render(name: &str, source: &str, data: &impl Serialize) -> Result<String, ReportError> {
    let mut environment = Environment::new();
    environment.set_syntax(
        SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .keep_trailing_newline(true)
            .build()
            .map_err(|error| template_error(name, &error))?,
    );
    // A misspelled variable is an error instead of an empty text.
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|name| {
        let name = name.trim_end_matches(".j2");
        match name.ends_with(".html") || name.ends_with(".htm") {
            true => AutoEscape::Html,
            false => AutoEscape::Custom(MARKDOWN_ESCAPE.into()),
        }
    });
    environment.set_formatter(write_escaped);
    environment.add_filter("prose", |text: &str| safe(escape::prose(text)));
    environment.add_filter("code", |text: &str| safe(escape::code(text)));
    environment.add_filter("cell_code", |text: &str| safe(escape::cell_code(text)));
    environment.add_filter("breakable", breakable);
    environment.add_filter("fence", |text: &str| safe(escape::fence(text)));
    environment.add_function(
        "side_by_side",
        |left_title: &str, left: &str, right_title: &str, right: &str| {
            side_by_side((left_title, left), (right_title, right))
        },
    );
    let pages = [(MARKDOWN_NAME, MARKDOWN), (HTML_NAME, HTML)];
    for (built_in, source) in pages.into_iter().chain(INCLUDED) {
        environment
            .add_template(built_in, source)
            .map_err(|error| template_error(built_in, &error))?;
    }
    environment
        .template_from_named_str(name, source)
        .and_then(|template| template.render(Serde(data)))
        .map_err(|error| template_error(name, &error))
}

/// Text for HTML that may break into lines where a long name has its parts.
fn breakable(text: &str) -> Value {
    let escaped = HtmlEscape(&escape::visible(text)).to_string();
    let mut html = String::with_capacity(escaped.len());
    for character in escaped.chars() {
        // A sign stays with its number, also in an exponent.
        let is_sign = html.is_empty() || is_exponent(&html);
        html.push(character);
        if matches!(character, '+' | '=' | '_' | '-') && !is_sign {
            html.push_str("<wbr>");
        }
    }
    safe(html)
}

/// Whether a text ends in a digit and an `e`, as in `1.0e`.
fn is_exponent(text: &str) -> bool {
    let number = text.strip_suffix('e');
    number.is_some_and(|number| number.ends_with(|c: char| c.is_ascii_digit()))
}

fn safe(text: String) -> Value {
    Value::from_safe_string(text)
}

fn write_escaped(out: &mut Output, state: &mut State, value: &Value) -> Result<(), Error> {
    let text = value.as_str().filter(|_| !value.is_safe());
    match state.auto_escape() {
        AutoEscape::Custom(kind) if kind == MARKDOWN_ESCAPE => {
            let text = text.map_or_else(|| value.to_string(), escape::markdown);
            out.write_str(&text).map_err(Error::from)
        }
        _ => {
            let visible = text.map(|text| Value::from(escape::visible(text)));
            minijinja::escape_formatter(out, state, visible.as_ref().unwrap_or(value))
        }
    }
}

fn template_error(name: &str, error: &Error) -> ReportError {
    let detail = error.detail().map(|detail| format!(": {detail}"));
    ReportError::Template {
        name: error.name().unwrap_or(name).to_owned(),
        line: error.line().unwrap_or(0),
        message: format!("{}{}", error.kind(), detail.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_can_break_at_its_parts_and_is_escaped() {
        let html = breakable("lr-1.0e-3+n_embd=<8>").to_string();
        assert_eq!(html, "lr-<wbr>1.0e-3+<wbr>n_<wbr>embd=<wbr>&lt;8&gt;");
        assert_eq!(breakable("+0.5").to_string(), "+0.5");
    }
}
