//! The JSON Schema of an experiment: what schemars derives from [`crate::spec`], made exact where
//! Rust types are not, in the overlays and paths of a sweep.

use crate::spec::Experiment;
use serde_json::{Map, Value as Json, json};
use std::sync::LazyLock;

/// The sections that a variant may change.
pub(super) const VARIANT_SECTIONS: [&str; 6] =
    ["data", "tokenizer", "model", "optimizer", "train", "sample"];

/// Names of variants become names of folders.
const VARIANT_NAME: &str = "^[A-Za-z0-9][A-Za-z0-9_+.-]{0,63}$";

static SCHEMA: LazyLock<Json> = LazyLock::new(build);

/// The JSON Schema of an experiment file, for editors.
pub fn json_schema() -> Json {
    SCHEMA.clone()
}

/// The schema that files are checked against, which is [`json_schema`].
pub(super) fn root() -> &'static Json {
    &SCHEMA
}

/// Follows `$ref`.
pub(super) fn resolve(schema: &'static Json) -> &'static Json {
    match schema["$ref"].as_str() {
        Some(reference) => resolve(&root()["$defs"][reference.trim_start_matches("#/$defs/")]),
        None => schema,
    }
}

/// The schema at a path of an experiment, such as `optimizer.schedule.kind`, with the `$ref` at
/// its end not followed.
pub(super) fn at(path: &str) -> Option<&'static Json> {
    path.split('.').try_fold(root(), |schema, key| {
        as_section(schema).get("properties")?.get(key)
    })
}

/// The default of a field, from the schema.
pub(super) fn default_of(path: &str) -> Option<&'static Json> {
    at(path)?.get("default")
}

/// Keys and schemas of the fields of a section.
pub(super) fn fields(
    section: &'static Json,
) -> impl Iterator<Item = (&'static str, &'static Json)> {
    let properties = as_section(section)
        .get("properties")
        .and_then(Json::as_object);
    let fields = properties.into_iter().flatten();
    fields.map(|(key, schema)| (key.as_str(), schema))
}

/// Follows `$ref`, and for a section that may be absent takes the section.
fn as_section(schema: &'static Json) -> &'static Json {
    let schema = resolve(schema);
    let alternatives = schema["anyOf"].as_array().into_iter().flatten();
    let mut sections = alternatives
        .map(resolve)
        .filter(|one| one["properties"].is_object());
    sections.next().unwrap_or(schema)
}

/// The schema of the items of a list of mappings with keys of their own.
pub(super) fn items(list: &'static Json) -> Option<&'static Json> {
    let items = resolve(list).get("items")?;
    is_section(items).then_some(items)
}

/// Whether a schema is that of a mapping with keys of its own.
pub(super) fn is_section(schema: &'static Json) -> bool {
    as_section(schema).get("properties").is_some()
}

/// The values of a choice, each with its meaning; `None` for anything else.
pub(super) fn choices(schema: &'static Json) -> Option<Vec<(&'static str, &'static str)>> {
    let alternatives = resolve(schema)["oneOf"].as_array()?;
    let choice = |choice: &'static Json| {
        let meaning = choice["description"].as_str().unwrap_or_default();
        Some((choice["const"].as_str()?, meaning))
    };
    alternatives.iter().map(choice).collect()
}

fn build() -> Json {
    let mut schema = serde_json::to_value(schemars::schema_for!(Experiment))
        .expect("a schema has string keys only");
    let overlay = overlay(&schema);
    let mut paths = Map::new();
    for section in VARIANT_SECTIONS {
        let reference = schema["properties"][section].clone();
        collect_paths(section, &reference, &schema, &mut paths);
    }
    schema["$defs"]["Overlay"] = overlay;
    sweep_by_path(&mut schema["$defs"]["Sweep"]["properties"], paths);
    tidy(&mut schema);
    schema
}

/// The document without what belongs to the experiment as a whole.
fn overlay(schema: &Json) -> Json {
    let section = |key: &&str| {
        let mut section = schema["properties"][*key].clone();
        // In an overlay, what is not written is inherited.
        section
            .as_object_mut()
            .map(|fields| fields.remove("default"));
        ((*key).to_owned(), section)
    };
    json!({
        "description": "What a variant changes. Mappings merge; anything else replaces.",
        "type": "object",
        "properties": VARIANT_SECTIONS.iter().map(section).collect::<Map<_, _>>(),
        "additionalProperties": false,
    })
}

/// Every path under `path` that a grid may vary, with the schema of a value there.
fn collect_paths(path: &str, schema: &Json, root: &Json, paths: &mut Map<String, Json>) {
    let mut value = schema.clone();
    value.as_object_mut().map(|fields| fields.remove("default"));
    paths.insert(path.to_owned(), value);
    let reference = schema["$ref"].as_str().unwrap_or_default();
    let target = &root["$defs"][reference.trim_start_matches("#/$defs/")];
    for (key, field) in target["properties"].as_object().into_iter().flatten() {
        collect_paths(&format!("{path}.{key}"), field, root, paths);
    }
}

fn sweep_by_path(sweep: &mut Json, paths: Map<String, Json>) {
    sweep["variants"]["propertyNames"] = json!({ "pattern": VARIANT_NAME });
    sweep["variants"]["additionalProperties"] = json!({ "$ref": "#/$defs/Overlay" });
    sweep["variants"]["minProperties"] = json!(1);
    let axis = |(path, schema): (&String, &Json)| {
        let axis = json!({ "type": "array", "items": schema, "minItems": 1 });
        (path.clone(), axis)
    };
    sweep["grid"]["properties"] = paths.iter().map(axis).collect::<Map<_, _>>().into();
    sweep["grid"]["additionalProperties"] = json!(false);
    sweep["grid"]["minProperties"] = json!(1);
    for list in ["include", "exclude"] {
        sweep[list]["items"] = json!({
            "type": "object",
            "properties": paths,
            "additionalProperties": false,
            "minProperties": 1,
        });
    }
    for key in ["variants", "grid"] {
        // The default, none, is not something to write.
        sweep[key]
            .as_object_mut()
            .map(|fields| fields.remove("default"));
    }
}

/// Joins the lines of descriptions, and writes single-precision defaults as people do.
fn tidy(schema: &mut Json) {
    match schema {
        Json::String(text) if text.contains('\n') && text.len() > 1 => {
            *text = text.replace('\n', " ");
        }
        Json::Number(number) => {
            let single = number
                .as_f64()
                .filter(|value| f64::from(*value as f32) == *value);
            let short = single.and_then(|value| (value as f32).to_string().parse::<f64>().ok());
            if let Some(short) = short.filter(|_| number.is_f64()) {
                *schema = json!(short);
            }
        }
        Json::Array(items) => items.iter_mut().for_each(tidy),
        Json::Object(fields) => fields.values_mut().for_each(tidy),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_and_every_choice_is_documented() {
        fn walk(path: &str, schema: &'static Json) {
            for (key, field) in fields(schema) {
                let path = format!("{path}.{key}");
                if path == ".sweep.grid" {
                    continue; // its keys are paths of fields that are documented elsewhere
                }
                assert!(
                    field["description"].is_string(),
                    "{path} has no documentation"
                );
                for (choice, meaning) in choices(field).unwrap_or_default() {
                    assert!(!meaning.is_empty(), "{path}: {choice} has no documentation");
                }
                walk(&path, field);
                if let Some(items) = items(field) {
                    walk(&path, items);
                }
            }
        }
        walk("", root());
    }

    #[test]
    fn a_grid_knows_every_path_of_a_run_and_no_other() {
        let grid = &root()["$defs"]["Sweep"]["properties"]["grid"]["properties"];
        assert!(grid["optimizer.schedule.warmup_steps"].is_object());
        assert!(grid["optimizer"].is_object());
        for absent in ["name", "report.template", "sweep.seeds", "model.nothing"] {
            assert!(grid.get(absent).is_none(), "{absent}");
        }
    }

    #[test]
    fn single_precision_defaults_are_written_as_people_do() {
        assert_eq!(default_of("sample.temperature"), Some(&json!(0.8)));
        assert_eq!(default_of("sample.prompt"), Some(&json!("\n")));
        assert_eq!(default_of("data.val_fraction"), Some(&json!(0.1)));
    }
}
