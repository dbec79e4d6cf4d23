//! The JSON Schema of an experiment. It is derived from [`crate::spec`] and completed with what Rust
//! types do not say: the keys of variants, the paths of a grid, and former names.

use crate::spec::{Experiment, RENAMED_CHOICES, RENAMED_KEYS, shortest};
use serde_json::{Map, Value as Json, json};
use std::sync::LazyLock;

/// The path of a key in a section.
pub(super) fn join(section: &str, key: &str) -> String {
    match section {
        "" => key.to_owned(),
        _ => format!("{section}.{key}"),
    }
}

/// The sections that a variant may change.
pub(super) const VARIANT_SECTIONS: [&str; 6] =
    ["data", "tokenizer", "model", "optimizer", "train", "sample"];

/// The sections that a size of `sweep.scale` may change. Losses on different texts have no trend.
pub(super) const SIZE_SECTIONS: [&str; 4] = ["tokenizer", "model", "optimizer", "train"];

/// Names of variants become names of folders.
const VARIANT_NAME: &str = "^[A-Za-z0-9][A-Za-z0-9_+.-]{0,63}$";

static SCHEMA: LazyLock<Json> = LazyLock::new(build);

/// The JSON Schema of an experiment file, for editors.
pub fn json_schema() -> Json {
    SCHEMA.clone()
}

/// The schema that files are checked against, the same as [`json_schema`].
pub(super) fn root() -> &'static Json {
    &SCHEMA
}

/// Follows `$ref`.
pub(super) fn resolve(schema: &'static Json) -> &'static Json {
    match schema["$ref"].as_str() {
        Some(reference) => match root().pointer(reference.trim_start_matches('#')) {
            Some(target) => resolve(target),
            None => schema,
        },
        None => schema,
    }
}

/// The schema at a path of an experiment, such as `optimizer.schedule.kind`. A `$ref` at the end of
/// the path is not followed.
pub(super) fn at(path: &str) -> Option<&'static Json> {
    path.split('.').try_fold(root(), |schema, key| {
        as_section(schema).get("properties")?.get(key)
    })
}

/// The default of a field, from the schema.
pub(super) fn default_of(path: &str) -> Option<&'static Json> {
    at(path)?.get("default")
}

/// Keys and schemas of the fields of a section, without former names.
pub(super) fn fields(
    section: &'static Json,
) -> impl Iterator<Item = (&'static str, &'static Json)> {
    let properties = as_section(section)
        .get("properties")
        .and_then(Json::as_object);
    let fields = properties.into_iter().flatten();
    fields
        .filter(|(_, schema)| schema["deprecated"] != true)
        .map(|(key, schema)| (key.as_str(), schema))
}

/// Follows `$ref`. For a section that may be `null`, the schema of the section.
fn as_section(schema: &'static Json) -> &'static Json {
    let schema = resolve(schema);
    let alternatives = schema["anyOf"].as_array().into_iter().flatten();
    let mut sections = alternatives
        .map(resolve)
        .filter(|one| one["properties"].is_object());
    sections.next().unwrap_or(schema)
}

/// Follows `$ref`. For a value that may be `null` and has one other type, the schema of the latter.
fn without_null(schema: &'static Json) -> &'static Json {
    let schema = resolve(schema);
    match schema["anyOf"].as_array().map(Vec::as_slice) {
        Some([other, null] | [null, other]) if null["type"] == "null" => resolve(other),
        _ => schema,
    }
}

/// The schema of the items of a list, if they are mappings with known keys.
pub(super) fn items(list: &'static Json) -> Option<&'static Json> {
    let items = resolve(list).get("items")?;
    is_section(items).then_some(items)
}

/// Whether the keys at a path of the document are paths of a run themselves, as in a grid.
pub(super) fn has_paths_as_keys(path: &str) -> bool {
    [".grid", ".zip", ".random.settings"]
        .iter()
        .any(|end| path.ends_with(end))
}

/// Whether a schema is that of a mapping with known keys.
pub(super) fn is_section(schema: &'static Json) -> bool {
    as_section(schema).get("properties").is_some()
}

/// The values of a choice and their descriptions, without former names; `None` for anything else. A choice may
/// also be `null`, which is not among them.
pub(super) fn choices(schema: &'static Json) -> Option<Vec<(&'static str, &'static str)>> {
    let alternatives = without_null(schema)["oneOf"].as_array()?;
    let choice = |choice: &'static Json| {
        let meaning = choice["description"].as_str().unwrap_or_default();
        Some((choice["const"].as_str()?, meaning))
    };
    let current = alternatives.iter().filter(|one| one["deprecated"] != true);
    current.map(choice).collect()
}

fn build() -> Json {
    let mut schema = serde_json::to_value(schemars::schema_for!(Experiment))
        .expect("a schema has string keys only");
    add_former_names(&mut schema);
    let mut paths = Map::new();
    for section in VARIANT_SECTIONS {
        let reference = schema["properties"][section].clone();
        collect_paths(section, &reference, &schema, &mut paths);
    }
    schema["$defs"]["Size"] = overlay(&schema, &SIZE_SECTIONS);
    schema["$defs"]["Overlay"] = overlay(&schema, &VARIANT_SECTIONS);
    schema["$defs"]["Grid"] = grid(&paths);
    let settings = distributions(&schema, &paths);
    schema["$defs"]["RandomCombinations"]["properties"]["settings"] = settings;
    let definitions = schema["$defs"].as_object_mut();
    definitions.map(|definitions| definitions.remove("Distribution"));
    for key in ["grid", "zip"] {
        refer_to_grid(&mut schema["$defs"]["Tune"]["properties"][key]);
    }
    sweep_by_path(&mut schema["$defs"]["Sweep"]["properties"], paths);
    schema["$defs"]["Scale"]["properties"]["sizes"]["items"] = json!({ "$ref": "#/$defs/Size" });
    tidy(&mut schema);
    schema
}

/// Adds former names of keys and choices, marked as deprecated, so that editors accept them.
fn add_former_names(schema: &mut Json) {
    for renamed in RENAMED_KEYS {
        let section = definition(schema, renamed.section);
        let mut former = section["properties"][renamed.new].clone();
        former["deprecated"] = json!(true);
        former["description"] = json!(format!("Former name of `{}`.", renamed.new));
        section["properties"][renamed.old] = former;
    }
    for renamed in RENAMED_CHOICES {
        let former = json!({
            "const": renamed.old,
            "type": "string",
            "deprecated": true,
            "description": format!("Former name of `{}`.", renamed.new),
        });
        let alternatives = definition(schema, renamed.path)["oneOf"].as_array_mut();
        alternatives
            .expect("a renamed choice has alternatives")
            .push(former);
    }
}

/// The definition at a path of an experiment, every `$ref` followed. `[]` stands for the items of a
/// list.
fn definition<'a>(schema: &'a mut Json, path: &str) -> &'a mut Json {
    let mut pointer = String::new();
    for key in path.split('.') {
        let (key, is_list) = match key.strip_suffix("[]") {
            Some(key) => (key, true),
            None => (key, false),
        };
        pointer += &format!("/properties/{key}{}", if is_list { "/items" } else { "" });
        let reference = schema.pointer(&pointer).and_then(|at| at["$ref"].as_str());
        if let Some(reference) = reference {
            pointer = reference.trim_start_matches('#').to_owned();
        }
    }
    let definition = schema.pointer_mut(&pointer);
    definition.expect("a renamed key or choice is in the schema")
}

/// The document without the keys that apply to the whole experiment.
fn overlay(schema: &Json, sections: &[&str]) -> Json {
    let section = |key: &&str| {
        let mut section = schema["properties"][*key].clone();
        // A key that a variant does not set is inherited, so that it has no default.
        section
            .as_object_mut()
            .map(|fields| fields.remove("default"));
        ((*key).to_owned(), section)
    };
    json!({
        "description": "What a variant or a size changes. Mappings are merged; anything else is replaced.",
        "type": "object",
        "properties": sections.iter().map(section).collect::<Map<_, _>>(),
        "additionalProperties": false,
    })
}

/// Every path below `path` that a grid may vary, with the schema of its value.
fn collect_paths(path: &str, schema: &Json, root: &Json, paths: &mut Map<String, Json>) {
    collect_paths_of(path, schema, root, false, paths);
}

/// [`collect_paths`], where `former` says whether the path has a former name in it.
fn collect_paths_of(
    path: &str,
    schema: &Json,
    root: &Json,
    former: bool,
    paths: &mut Map<String, Json>,
) {
    let former = former || schema["deprecated"] == true;
    let mut value = schema.clone();
    value.as_object_mut().map(|fields| fields.remove("default"));
    if former {
        value["deprecated"] = json!(true);
    }
    paths.insert(path.to_owned(), value);
    let reference = schema["$ref"].as_str().unwrap_or_default();
    let target = &root["$defs"][reference.trim_start_matches("#/$defs/")];
    for (key, field) in target["properties"].as_object().into_iter().flatten() {
        collect_paths_of(&format!("{path}.{key}"), field, root, former, paths);
    }
}

fn sweep_by_path(sweep: &mut Json, paths: Map<String, Json>) {
    sweep["variants"]["propertyNames"] = json!({ "pattern": VARIANT_NAME });
    sweep["variants"]["additionalProperties"] = json!({ "$ref": "#/$defs/Overlay" });
    sweep["variants"]["minProperties"] = json!(1);
    refer_to_grid(&mut sweep["grid"]);
    refer_to_grid(&mut sweep["zip"]);
    for list in ["include", "exclude"] {
        sweep[list]["items"] = json!({
            "type": "object",
            "properties": paths,
            "additionalProperties": false,
            "minProperties": 1,
        });
    }
    for key in ["variants", "grid", "zip"] {
        // The default is an empty mapping, which is not allowed in a file.
        sweep[key]
            .as_object_mut()
            .map(|fields| fields.remove("default"));
    }
}

/// The schema of a mapping from paths to lists of values.
fn grid(paths: &Map<String, Json>) -> Json {
    let axis = |(path, schema): (&String, &Json)| {
        let mut axis = json!({ "type": "array", "items": schema, "minItems": 1 });
        if schema["deprecated"] == true {
            axis["deprecated"] = json!(true);
        }
        (path.clone(), axis)
    };
    json!({
        "type": "object",
        "properties": paths.iter().map(axis).collect::<Map<_, _>>(),
        "additionalProperties": false,
        "minProperties": 1,
    })
}

/// The schema of a mapping from paths to distributions. Each end and each choice is a value of its path.
fn distributions(root: &Json, paths: &Map<String, Json>) -> Json {
    let keys = &root["$defs"]["Distribution"]["properties"];
    let axis = |(path, schema): (&String, &Json)| {
        let is_number = has_type(schema, "number", root);
        let kinds = [
            ("uniform", is_number),
            ("log_uniform", is_number),
            ("integer", has_type(schema, "integer", root)),
            ("choice", true),
        ];
        let items = json!({ "$ref": format!("#/$defs/Grid/properties/{path}/items") });
        let kinds = kinds.into_iter().filter(|(_, is_possible)| *is_possible);
        let kinds = kinds.map(|(kind, _)| {
            let is_choice = kind == "choice";
            let mut list = json!({
                "description": keys[kind]["description"],
                "type": "array",
                "items": items,
                "minItems": if is_choice { 1 } else { 2 },
            });
            if !is_choice {
                list["maxItems"] = json!(2);
            }
            (kind.to_owned(), list)
        });
        let mut axis = json!({
            "type": "object",
            "properties": kinds.collect::<Map<_, _>>(),
            "additionalProperties": false,
            "minProperties": 1,
            "maxProperties": 1,
        });
        if schema["deprecated"] == true {
            axis["deprecated"] = json!(true);
        }
        (path.clone(), axis)
    };
    let settings = &root["$defs"]["RandomCombinations"]["properties"]["settings"];
    json!({
        "description": settings["description"],
        "type": "object",
        "properties": paths.iter().map(axis).collect::<Map<_, _>>(),
        "additionalProperties": false,
        "minProperties": 1,
    })
}

/// Whether a schema accepts values of a type, also in one of its alternatives.
fn has_type(schema: &Json, name: &str, root: &Json) -> bool {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = root.pointer(reference.trim_start_matches('#'));
        return target.is_some_and(|target| has_type(target, name, root));
    }
    let is_it = match &schema["type"] {
        Json::String(own) => own == name,
        Json::Array(own) => own.iter().any(|own| own == name),
        _ => false,
    };
    let alternatives = ["oneOf", "anyOf"].into_iter();
    let mut alternatives =
        alternatives.flat_map(|key| schema[key].as_array().into_iter().flatten());
    is_it || alternatives.any(|one| has_type(one, name, root))
}

/// Replaces the schema of a grid, except for its description.
fn refer_to_grid(field: &mut Json) {
    *field = json!({ "description": field["description"], "$ref": "#/$defs/Grid" });
}

/// Joins the lines of descriptions, and shortens single-precision defaults: 0.1 rather than
/// 0.10000000149011612.
fn tidy(schema: &mut Json) {
    match schema {
        Json::String(text) if text.contains('\n') && text.len() > 1 => {
            *text = text.replace('\n', " ");
        }
        Json::Number(number) => *number = shortest(number),
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
                if has_paths_as_keys(&path) {
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
    fn a_grid_has_every_path_of_a_run_and_no_other() {
        let grid = &root()["$defs"]["Grid"]["properties"];
        assert!(grid["optimizer.schedule.warmup_steps"].is_object());
        assert!(grid["optimizer"].is_object());
        for absent in ["name", "report.template", "sweep.seeds", "model.nothing"] {
            assert!(grid.get(absent).is_none(), "{absent}");
        }
    }

    #[test]
    fn single_precision_defaults_are_short() {
        assert_eq!(default_of("sample.temperature"), Some(&json!(0.8)));
        assert_eq!(default_of("sample.prompt"), Some(&json!("\n")));
        assert_eq!(default_of("data.val_fraction"), Some(&json!(0.1)));
    }
}
