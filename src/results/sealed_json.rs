//! JSON files that end with a digest of their own contents, so that damage is found when they are read.
//!
//! The last member of the object is `"sha256"`. It is the SHA-256 of all bytes before the comma in front of
//! it. A file without it was written by an earlier version.

use super::write_atomic;
use crate::hash;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io;
use std::path::Path;

/// What comes between the contents and the digest.
const SEAL_START: &str = ",\n  \"sha256\": \"";
const SEAL_END: &str = "\"\n}\n";
/// Length of a SHA-256 in hex.
const DIGEST_LEN: usize = 64;

/// The contents of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Sealed<T> {
    pub value: T,
    /// Whether the file has a digest. If it does not agree with the contents, reading is an error.
    pub is_verified: bool,
}

impl<T> Sealed<T> {
    /// For a value that was just written with its digest.
    pub fn verified(value: T) -> Self {
        Self {
            value,
            is_verified: true,
        }
    }
}

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    #[error("its contents do not agree with the digest at its end")]
    Digest,
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error("{0}")]
    Invalid(String),
}

/// Writes an object, with its digest. The file is complete or unchanged.
///
/// # Errors
/// If the file cannot be written, or if the value is not an object with members.
pub fn write_sealed_json<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    write_atomic(path, &to_sealed_json(value)?)
}

fn to_sealed_json<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    let mut json = serde_json::to_string_pretty(value)?;
    let Some(length) = json.strip_suffix("\n}").map(str::len) else {
        return Err(io::Error::other(
            "a sealed file must hold an object with members",
        ));
    };
    json.truncate(length);
    let digest = hash::sha256(json.as_bytes());
    json.extend([SEAL_START, &digest, SEAL_END]);
    Ok(json.into_bytes())
}

/// Reads what [`write_sealed_json`] wrote. `T` must refuse unknown members: that is how damage to the name
/// `sha256` itself is found.
///
/// # Errors
/// If the contents do not agree with the digest, or are no value of this type.
pub fn from_sealed_json<T: DeserializeOwned>(json: &[u8]) -> Result<Sealed<T>, SealError> {
    let Some((contents, digest)) = split_seal(json) else {
        return Ok(Sealed {
            value: serde_json::from_slice(json)?,
            is_verified: false,
        });
    };
    if hash::sha256(contents).as_bytes() != digest {
        return Err(SealError::Digest);
    }
    Ok(Sealed {
        value: serde_json::from_slice(&[contents, b"\n}"].concat())?,
        is_verified: true,
    })
}

/// The contents and the digest of a file that has one.
fn split_seal(json: &[u8]) -> Option<(&[u8], &[u8])> {
    let before_end = json.strip_suffix(SEAL_END.as_bytes())?;
    let (before_digest, digest) =
        before_end.split_at_checked(before_end.len().checked_sub(DIGEST_LEN)?)?;
    let contents = before_digest.strip_suffix(SEAL_START.as_bytes())?;
    Some((contents, digest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Example {
        name: String,
        loss: f64,
    }

    fn example() -> Example {
        Example {
            name: "gpt\n  \"sha256\"".to_owned(),
            loss: 0.1 + 0.2,
        }
    }

    #[test]
    fn reads_back_what_was_written_and_files_without_a_digest() {
        let sealed = to_sealed_json(&example()).unwrap();
        let read = from_sealed_json::<Example>(&sealed).unwrap();
        assert_eq!((read.value, read.is_verified), (example(), true));
        // Other programs read it as plain JSON.
        let plain: serde_json::Value = serde_json::from_slice(&sealed).unwrap();
        assert_eq!(plain["loss"], example().loss);

        let earlier = serde_json::to_vec_pretty(&example()).unwrap();
        let read = from_sealed_json::<Example>(&earlier).unwrap();
        assert_eq!((read.value, read.is_verified), (example(), false));
    }

    #[test]
    fn every_change_of_a_byte_and_every_truncation_is_found() {
        let sealed = to_sealed_json(&example()).unwrap();
        for at in 0..sealed.len() {
            for change in [1, 2, 4, 8, 16, 32, 64, 128] {
                let mut damaged = sealed.clone();
                damaged[at] ^= change;
                let read = from_sealed_json::<Example>(&damaged);
                assert!(
                    read.is_err(),
                    "byte {at}: {}",
                    String::from_utf8_lossy(&damaged)
                );
            }
            assert!(
                from_sealed_json::<Example>(&sealed[..at]).is_err(),
                "{at} bytes"
            );
        }
    }

    #[test]
    fn only_objects_can_be_sealed() {
        assert!(to_sealed_json(&[1, 2]).is_err());
        assert!(to_sealed_json(&serde_json::json!({})).is_err());
    }
}
