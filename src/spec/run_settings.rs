use super::{RenamedChoice, RenamedKey};
use serde::Serialize;
use serde_json::{Number, Value as Json};
use std::collections::BTreeMap;

/// The configuration of a run as a tree of values. Identities and comparisons are made from it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RunSettings(Json);

impl RunSettings {
    /// All settings of a run.
    pub fn of(run: &impl Serialize) -> Self {
        Self(serde_json::to_value(run).expect("a run has string keys only"))
    }

    /// The sections of the configuration, without the name of the variant and the seed.
    pub fn into_sections(self) -> Json {
        let mut tree = self.0;
        if let Some(sections) = tree.as_object_mut() {
            sections.remove("variant");
            sections.remove("seed");
        }
        tree
    }

    /// The value at a path such as `optimizer.lr`. `None` if there is no such setting.
    pub fn at(&self, path: &str) -> Option<&Json> {
        self.0.pointer(&format!("/{}", path.replace('.', "/")))
    }

    /// Every value by its path, both under the names that keys and choices had first: the text of an
    /// identity must not change when something is renamed.
    pub(super) fn by_first_name(&self) -> BTreeMap<String, String> {
        let mut values = BTreeMap::new();
        collect(&mut values, "", String::new(), &self.0);
        values
    }
}

/// Adds the values below `path`, whose path with first names is `first_path`.
fn collect(values: &mut BTreeMap<String, String>, path: &str, first_path: String, value: &Json) {
    match value {
        Json::Object(fields) => {
            for (key, value) in fields {
                let first = RenamedKey::with_new(path, key).map_or(&key[..], |key| key.old);
                let path = match path {
                    "" => key.clone(),
                    _ => format!("{path}.{key}"),
                };
                collect(values, &path, format!("{first_path}.{first}"), value);
            }
        }
        Json::String(text) => {
            let first = RenamedChoice::with_new(path, text).map_or(&text[..], |choice| choice.old);
            values.insert(first_path, Json::from(first).to_string());
        }
        value => {
            values.insert(first_path, value.to_string());
        }
    }
}

/// A number in its shortest form: an `f32` that became an `f64` is 0.1 rather than
/// 0.10000000149011612.
pub fn shortest(number: &Number) -> Number {
    let single = number
        .as_f64()
        .filter(|value| number.is_f64() && f64::from(*value as f32) == *value);
    let short = single.and_then(|value| (value as f32).to_string().parse::<f64>().ok());
    let short = short.and_then(Number::from_f64);
    short.unwrap_or_else(|| number.clone())
}
