//! The checksum that identifies a tokenizer.

use super::{char, tiktoken};
use crate::hash;
use crate::spec::TokenizerKind;
use serde_json::Value;

/// Regular expressions, each with the form that it had in earlier versions. Both forms find the same
/// words here, but the Python library refuses the earlier form or reads it differently.
const REWRITTEN: [(&str, &str); 2] = [
    (char::WORDS, char::EARLIER_WORDS),
    (tiktoken::CL100K_WORDS, tiktoken::EARLIER_CL100K_WORDS),
];

/// The checksum of a `tokenizer.json`, in hex, which is a part of the identity of a run. It is the
/// checksum of the earlier form, so that finished runs keep their identity and are not trained again.
pub(in crate::data) fn sha256(kind: TokenizerKind, json: &str) -> String {
    let mut json = json.to_owned();
    if kind != TokenizerKind::File {
        for (now, earlier) in REWRITTEN {
            json = json.replace(&quoted(now), &quoted(earlier));
        }
    }
    hash::sha256(json.as_bytes())
}

/// A `tokenizer.json` of any version as this version writes it. The Python library reads it with the same meaning.
pub fn portable_tokenizer(kind: TokenizerKind, json: &str) -> String {
    let mut json = json.to_owned();
    if kind != TokenizerKind::File {
        for (now, earlier) in REWRITTEN {
            json = json.replace(&quoted(earlier), &quoted(now));
        }
    }
    json
}

/// A text as JSON.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rewritten_regular_expression_does_not_change_the_checksum() {
        let earlier = r#"{"pattern":{"Regex":"(?s)."}}"#;
        let now = r#"{"pattern":{"Regex":"[\\s\\S]"}}"#;
        let checksum = hash::sha256(earlier.as_bytes());
        assert_eq!(sha256(TokenizerKind::Char, now), checksum);
        assert_eq!(portable_tokenizer(TokenizerKind::Char, earlier), now);
        assert_eq!(portable_tokenizer(TokenizerKind::File, earlier), earlier);
        // A file from another source is what it is.
        assert_ne!(sha256(TokenizerKind::File, now), checksum);
    }
}
