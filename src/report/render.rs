use super::ReportError;
use crate::text::escape;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, Error, Output, State, UndefinedBehavior};
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};

const MARKDOWN: &str = include_str!("../../templates/report.md.j2");
const HTML: &str = include_str!("../../templates/report.html.j2");

/// Name of the way in which markdown is escaped.
const MARKDOWN_ESCAPE: &str = "markdown";

/// Renders `report.md`, from the template at `custom` where there is one.
pub(super) fn markdown(view: &impl Serialize, custom: Option<&str>) -> Result<String, ReportError> {
    let Some(path) = custom else {
        return render("report.md.j2", MARKDOWN, view);
    };
    let source = fs::read_to_string(Path::new(path)).map_err(|source| ReportError::Read {
        path: PathBuf::from(path),
        source,
    })?;
    render(path, &source, view)
}

/// Renders `report.html`.
pub(super) fn html(view: &impl Serialize) -> Result<String, ReportError> {
    render("report.html.j2", HTML, view)
}

/// Whatever a template shows is escaped for its kind of page unless it says otherwise, so that a
/// template that somebody else wrote is safe without knowing how.
fn render(name: &str, source: &str, view: &impl Serialize) -> Result<String, ReportError> {
    let mut environment = Environment::new();
    environment.set_syntax(
        SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .keep_trailing_newline(true)
            .build()
            .map_err(|error| template_error(name, &error))?,
    );
    // A misspelt name is an error, not a hole in the report.
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|name| {
        let name = name.trim_end_matches(".j2");
        match name.ends_with(".html") || name.ends_with(".htm") {
            true => AutoEscape::Html,
            false => AutoEscape::Custom(MARKDOWN_ESCAPE.into()),
        }
    });
    environment.set_formatter(write_escaped);
    environment.add_filter("code", |text: &str| safe(escape::code(text)));
    environment.add_filter("fence", |text: &str| safe(escape::fence(text)));
    environment
        .template_from_named_str(name, source)
        .and_then(|template| template.render(Serde(view)))
        .map_err(|error| template_error(name, &error))
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
