use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;

/// The text to train on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Data {
    /// Source of the text: `builtin:plays`, `tiny-shakespeare`, `names`, a path or a glob of UTF-8
    /// files (relative to the current folder, joined in the order of their paths), or a download
    /// `{url, sha256}`. A byte-order mark at the start of a file is dropped. All other characters stay
    /// as they are, also the `\r` of line breaks `\r\n`.
    pub source: Source,
    /// Fraction of the text that is held out for validation: its end, or what is before the test split.
    #[schemars(range(min = 0.001, max = 0.5))]
    pub val_fraction: f64,
    /// Fraction of the text, after the part for validation, that no training run sees. `runner confirm` scores a
    /// variant on it, after all choices were made on the validation split.
    #[schemars(range(min = 0.0, max = 0.4))]
    pub test_fraction: f64,
    /// Size of the text that `builtin:plays` generates, in bytes. The last play is completed, so that
    /// the text is slightly longer. Other sources ignore it.
    #[schemars(range(min = 10_000, max = 1_000_000_000))]
    pub plays_bytes: u64,
    /// Seed of the text that `builtin:plays` generates. Other sources ignore it.
    pub plays_seed: u64,
    /// Largest text that is accepted, in bytes, from any source. A larger text is an error.
    #[schemars(range(min = 1))]
    pub max_bytes: u64,
}

impl Default for Data {
    fn default() -> Self {
        Self {
            source: Source::Plays,
            val_fraction: 0.1,
            test_fraction: 0.0,
            plays_bytes: 1_000_000,
            plays_seed: 1,
            max_bytes: 1 << 30,
        }
    }
}

/// The source of a text.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// `builtin:plays`: the built-in generator of plays, whose exact entropy is known.
    Plays,
    /// `tiny-shakespeare`: 1.1 MB of Shakespeare, downloaded once.
    TinyShakespeare,
    /// `names`: 32,033 names, one per line, downloaded once.
    Names,
    /// A path, or a glob whose files are joined in the order of their paths.
    Path(String),
    /// A file that is downloaded once and checked by its SHA-256.
    Url { url: String, sha256: String },
}

impl Source {
    /// The sources with a fixed name.
    pub const NAMED: [Self; 3] = [Self::Plays, Self::TinyShakespeare, Self::Names];
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plays => "builtin:plays",
            Self::TinyShakespeare => "tiny-shakespeare",
            Self::Names => "names",
            Self::Path(path) => path,
            Self::Url { url, .. } => url,
        })
    }
}

impl From<&str> for Source {
    fn from(text: &str) -> Self {
        Self::NAMED
            .into_iter()
            .find(|named| named.to_string() == text)
            .unwrap_or_else(|| Self::Path(text.to_owned()))
    }
}

/// The mapping form of a source.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct UrlSource {
    url: String,
    sha256: String,
}

impl Serialize for Source {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Url { url, sha256 } => UrlSource {
                url: url.clone(),
                sha256: sha256.clone(),
            }
            .serialize(serializer),
            named => serializer.collect_str(named),
        }
    }
}

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SourceVisitor;
        impl<'de> Visitor<'de> for SourceVisitor {
            type Value = Source;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a source, a path, or {url, sha256}")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Source, E> {
                Ok(Source::from(text))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Source, A::Error> {
                let UrlSource { url, sha256 } =
                    UrlSource::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Source::Url { url, sha256 })
            }
        }
        deserializer.deserialize_any(SourceVisitor)
    }
}

impl JsonSchema for Source {
    fn schema_name() -> Cow<'static, str> {
        "Source".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "oneOf": [
                { "type": "string", "minLength": 1 },
                {
                    "type": "object",
                    "properties": {
                        "url": { "type": "string", "description": "URL of a UTF-8 text file, starting with http:// or https://.", "pattern": "^https?://" },
                        "sha256": { "type": "string", "description": "SHA-256 of the file, as 64 hexadecimal digits.", "pattern": "^[0-9a-fA-F]{64}$" }
                    },
                    "required": ["url", "sha256"],
                    "additionalProperties": false
                }
            ]
        })
    }
}
