//! Damage to the safetensors files of this program, whose digests can be computed again.

use crate::changes::{Change, apply, changes};
use crate::hex_of;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

/// Damage to a safetensors file of matrices.
#[derive(Debug, Clone)]
pub(crate) enum MatricesDamage {
    Bytes(Vec<(Index, u8)>),
    Cut(Index),
    /// The length of the header.
    Length(u64),
    /// Changes of the header, and whether its digest is computed again.
    Header(Vec<(Index, Change)>, bool),
    /// Changes of the metadata of this program, whose digest is computed again.
    Metadata(Vec<(Index, Change)>),
    /// A number in the matrices, whose digests are computed again.
    Number(Index, f32),
}

pub(crate) fn matrices_damage() -> impl Strategy<Value = MatricesDamage> {
    let bytes = prop::collection::vec((any::<Index>(), any::<u8>()), 1..8);
    let lengths = [
        0,
        1,
        7,
        8,
        9,
        100,
        1000,
        100_000_000,
        100_000_001,
        1 << 32,
        1 << 63,
        u64::MAX,
    ];
    let numbers = [
        f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::MAX,
        -0.0,
        1e-45,
    ];
    prop_oneof![
        1 => bytes.prop_map(MatricesDamage::Bytes),
        1 => any::<Index>().prop_map(MatricesDamage::Cut),
        1 => prop::sample::select(lengths.to_vec()).prop_map(MatricesDamage::Length),
        3 => (changes(), any::<bool>()).prop_map(|(changes, again)| MatricesDamage::Header(changes, again)),
        4 => changes().prop_map(MatricesDamage::Metadata),
        2 => (any::<Index>(), prop::sample::select(numbers.to_vec()))
            .prop_map(|(at, number)| MatricesDamage::Number(at, number)),
    ]
}

impl MatricesDamage {
    pub(crate) fn apply(&self, mut file: Vec<u8>) -> Vec<u8> {
        let length = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
        let mut matrices = file[8 + length..].to_vec();
        let mut header: Value = serde_json::from_slice(&file[8..8 + length]).unwrap();
        let mut metadata = metadata_of(&header);
        match self {
            Self::Bytes(bytes) => {
                for (at, byte) in bytes {
                    let at = at.index(file.len());
                    file[at] = *byte;
                }
                return file;
            }
            Self::Cut(end) => {
                file.truncate(end.index(file.len()));
                return file;
            }
            Self::Length(length) => {
                file[..8].copy_from_slice(&length.to_le_bytes());
                return file;
            }
            Self::Header(changes, is_sealed) => {
                apply(&mut header, changes);
                if *is_sealed {
                    seal(&mut header, &metadata);
                }
            }
            Self::Metadata(changes) => {
                apply(&mut metadata, changes);
                seal(&mut header, &metadata);
            }
            Self::Number(at, number) => {
                let at = at.index(matrices.len() / 4) * 4;
                matrices[at..at + 4].copy_from_slice(&number.to_le_bytes());
                for (name, digest) in metadata.as_object_mut().unwrap() {
                    let Some(name) = name.strip_prefix("sha256:") else {
                        continue;
                    };
                    let offset =
                        |end: usize| header[name]["data_offsets"][end].as_u64().unwrap() as usize;
                    *digest = json!(hex_of(&matrices[offset(0)..offset(1)]));
                }
                seal(&mut header, &metadata);
            }
        }
        let header = header.to_string().into_bytes();
        [&(header.len() as u64).to_le_bytes()[..], &header, &matrices].concat()
    }
}

/// The metadata of this program in the header of a file.
fn metadata_of(header: &Value) -> Value {
    let entry = header["__metadata__"]["runner"].as_str().unwrap();
    let (_, json) = entry.split_once(' ').unwrap();
    serde_json::from_str(json).unwrap()
}

/// Puts metadata and their digest into a header.
fn seal(header: &mut Value, metadata: &Value) {
    let Some(fields) = header.as_object_mut() else {
        return;
    };
    let mut text = metadata.to_string();
    let json = text.clone();
    for (name, matrix) in fields.iter().filter(|(name, _)| *name != "__metadata__") {
        let shape: Option<Vec<u64>> = serde_json::from_value(matrix["shape"].clone()).ok();
        let dtype = matrix["dtype"].as_str().unwrap_or_default();
        text += &format!("\n{name:?} {dtype} {:?}", shape.unwrap_or_default());
    }
    let entry = format!("{} {json}", hex_of(text.as_bytes()));
    fields.insert("__metadata__".to_owned(), json!({"runner": entry}));
}
