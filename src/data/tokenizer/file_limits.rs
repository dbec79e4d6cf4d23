//! Limits on the content of a `tokenizer.json`.
//!
//! The library `tokenizers` trusts its files. A file can ask it for any amount of memory, which ends the
//! process, or for a time without end. The limits here are far above what published tokenizers need.
//! Components are checked by the names of their fields, whatever their `type` is: the library ignores
//! the type of some components.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// Number of steps in a normalizer, a pre-tokenizer or a decoder.
const MAX_STEPS: usize = 64;
/// Length of a regular expression in bytes.
const MAX_PATTERN: usize = 4096;
/// Length of a text that replaces another one, in bytes. NFKC, which is the largest in use, writes up
/// to 33 bytes for a character.
const MAX_REPLACEMENT: usize = 64;
/// Number of steps of a pre-tokenizer that may make the text longer.
const MAX_GROWING_STEPS: usize = 4;
/// How many times longer a decoder may make a token.
const MAX_DECODER_GROWTH: usize = 64;
/// Length of a token in bytes. The library follows the characters of a token by recursion, so the
/// stack limits it.
const MAX_TOKEN: usize = 2000;
/// Length of all tokens of a unigram model together. The library takes about 100 bytes for each byte.
const MAX_UNIGRAM_BYTES: usize = 1 << 25;
/// Length of a word for WordPiece, whose time grows with the third power of it.
const MAX_WORDPIECE_WORD: u64 = 1000;

/// Refuses a file that is beyond a limit.
pub(super) fn check(file: &Value) -> Result<(), String> {
    check_normalizer(&file["normalizer"])?;
    check_pre_tokenizer(&file["pre_tokenizer"])?;
    check_decoder(&file["decoder"])?;
    for token in file["added_tokens"].as_array().into_iter().flatten() {
        check_token(token["content"].as_str().unwrap_or_default())?;
    }
    check_model(&file["model"])
}

fn check_normalizer(normalizer: &Value) -> Result<(), String> {
    for step in steps(normalizer)? {
        check_replacement(step)?;
        if let Some(charsmap) = step["precompiled_charsmap"].as_str() {
            check_charsmap(charsmap)?;
        }
    }
    Ok(())
}

fn check_pre_tokenizer(pre_tokenizer: &Value) -> Result<(), String> {
    let steps = steps(pre_tokenizer)?;
    steps.iter().try_for_each(|step| check_replacement(step))?;
    let growing = steps.iter().filter(|step| adds_text(step)).count();
    if growing > MAX_GROWING_STEPS {
        return Err(format!(
            "its pre-tokenizer adds text {growing} times, and at most {MAX_GROWING_STEPS} are possible"
        ));
    }
    Ok(())
}

/// Whether a step of a pre-tokenizer is `ByteLevel` or `Metaspace`.
fn adds_text(step: &Value) -> bool {
    let has = |name: &str| !step[name].is_null();
    step["type"] == "ByteLevel" || has("add_prefix_space") || has("replacement")
}

fn check_decoder(decoder: &Value) -> Result<(), String> {
    let mut growth = 1_usize;
    for step in steps(decoder)? {
        check_replacement(step)?;
        growth = growth.saturating_mul(replacement_growth(step));
        for name in ["suffix", "word_delimiter_token"] {
            if step[name] == "" {
                return Err(format!("`{name}` of its decoder is empty"));
            }
        }
    }
    if growth > MAX_DECODER_GROWTH {
        return Err(format!(
            "its decoder can make a token {growth} times longer, and at most {MAX_DECODER_GROWTH} times \
             is possible"
        ));
    }
    Ok(())
}

/// How many times longer a text becomes if every match of the pattern is replaced.
fn replacement_growth(step: &Value) -> usize {
    let content = step["content"].as_str().unwrap_or_default().len();
    match &step["pattern"] {
        Value::Null => 1,
        pattern => {
            let shortest = pattern["String"].as_str().map_or(1, str::len);
            content.div_ceil(shortest.max(1)).max(1)
        }
    }
}

/// The steps of a component, with those of sequences inside.
fn steps(component: &Value) -> Result<Vec<&Value>, String> {
    let mut found = Vec::new();
    let mut open = vec![component];
    while let Some(component) = open.pop() {
        let mut is_sequence = false;
        for name in ["normalizers", "pretokenizers", "decoders"] {
            if let Some(inner) = component[name].as_array() {
                is_sequence = true;
                open.extend(inner);
            }
        }
        if !is_sequence {
            found.push(component);
        }
        if found.len() + open.len() > MAX_STEPS {
            return Err(format!(
                "a normalizer, a pre-tokenizer or a decoder can have at most {MAX_STEPS} steps"
            ));
        }
    }
    Ok(found)
}

/// Checks a pattern and what replaces it.
fn check_replacement(step: &Value) -> Result<(), String> {
    for name in ["content", "prepend"] {
        let length = step[name].as_str().map_or(0, str::len);
        if length > MAX_REPLACEMENT {
            return Err(format!(
                "a `{name}` has {length} bytes, and at most {MAX_REPLACEMENT} are possible"
            ));
        }
    }
    for kind in ["String", "Regex"] {
        match step["pattern"][kind].as_str().map(str::len) {
            Some(0) => return Err("a `pattern` is empty".to_owned()),
            Some(length) if length > MAX_PATTERN => {
                return Err(format!(
                    "a `pattern` has {length} bytes, and at most {MAX_PATTERN} are possible"
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Checks the table of a normalizer of SentencePiece: the size of a trie in bytes, as a little-endian
/// number of four bytes; the trie; and texts that end with a zero byte.
fn check_charsmap(charsmap: &str) -> Result<(), String> {
    let bytes = STANDARD.decode(charsmap);
    let bytes = bytes.map_err(|error| format!("its `precompiled_charsmap`: {error}"))?;
    let damaged = || "its `precompiled_charsmap` is shorter than it states".to_owned();
    let (size, rest) = bytes.split_first_chunk::<4>().ok_or_else(damaged)?;
    let size = u32::from_le_bytes(*size) as usize;
    let texts = rest.get(size / 4 * 4..).ok_or_else(damaged)?;
    if size < 4 {
        return Err(damaged());
    }
    if std::str::from_utf8(texts).is_err() {
        return Err("its `precompiled_charsmap` has texts that are not UTF-8".to_owned());
    }
    let longest = texts.split(|&byte| byte == 0).map(<[u8]>::len).max();
    let longest = longest.unwrap_or(0);
    if longest > MAX_REPLACEMENT {
        return Err(format!(
            "its `precompiled_charsmap` has a text of {longest} bytes, and at most {MAX_REPLACEMENT} are \
             possible"
        ));
    }
    Ok(())
}

fn check_model(model: &Value) -> Result<(), String> {
    if model["dropout"]
        .as_f64()
        .is_some_and(|dropout| dropout != 0.0)
    {
        return Err(format!(
            "its model has a dropout of {}, so it would encode the validation split at random; set \
             `dropout` in its `model` to null",
            model["dropout"]
        ));
    }
    if let Some(length) = model["max_input_chars_per_word"]
        .as_u64()
        .filter(|&length| length > MAX_WORDPIECE_WORD)
    {
        return Err(format!(
            "its `max_input_chars_per_word` is {length}, and at most {MAX_WORDPIECE_WORD} is possible"
        ));
    }
    match &model["vocab"] {
        Value::Object(vocab) => vocab.keys().try_for_each(|token| check_token(token)),
        Value::Array(vocab) => {
            let tokens = vocab.iter().filter_map(|token| token[0].as_str());
            tokens.clone().try_for_each(check_token)?;
            let bytes: usize = tokens.map(str::len).sum();
            if bytes > MAX_UNIGRAM_BYTES {
                return Err(format!(
                    "its tokens have {bytes} bytes together, and at most {MAX_UNIGRAM_BYTES} are possible"
                ));
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn check_token(token: &str) -> Result<(), String> {
    if token.len() > MAX_TOKEN {
        return Err(format!(
            "it has a token of {} bytes, and at most {MAX_TOKEN} are possible",
            token.len()
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refused(part: &str, component: Value) -> String {
        let mut file = json!({ "model": {} });
        file[part] = component;
        check(&file).unwrap_err()
    }

    fn charsmap(bytes: &[u8]) -> Value {
        json!({"type": "Precompiled", "precompiled_charsmap": STANDARD.encode(bytes)})
    }

    #[test]
    fn what_asks_for_too_much_is_refused() {
        let replace = |pattern: Value, content: &str| json!({"type": "Replace", "pattern": pattern, "content": content});
        let doubling: Vec<_> = (0..40)
            .map(|_| replace(json!({"String": "a"}), "aa"))
            .collect();
        let byte_level =
            json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true});
        for (part, component, expected) in [
            (
                "normalizer",
                replace(json!({"String": ""}), "x"),
                "a `pattern` is empty",
            ),
            (
                "pre_tokenizer",
                json!({"type": "Split", "pattern": {"Regex": ""}, "behavior": "Removed", "invert": false}),
                "a `pattern` is empty",
            ),
            (
                "normalizer",
                replace(json!({"Regex": "a"}), &"b".repeat(1 << 20)),
                "a `content` has 1048576 bytes, and at most 64 are possible",
            ),
            (
                "normalizer",
                replace(json!({"Regex": "(a|b)".repeat(1000)}), ""),
                "a `pattern` has 5000 bytes, and at most 4096 are possible",
            ),
            (
                "decoder",
                json!({"type": "Sequence", "decoders": doubling}),
                "its decoder can make a token 1099511627776 times longer, and at most 64 times is possible",
            ),
            (
                "decoder",
                json!({"type": "BPEDecoder", "suffix": ""}),
                "`suffix` of its decoder is empty",
            ),
            (
                "normalizer",
                json!({"type": "Sequence", "normalizers": vec![json!({"type": "NFC"}); 65]}),
                "a normalizer, a pre-tokenizer or a decoder can have at most 64 steps",
            ),
            (
                "pre_tokenizer",
                json!({"type": "Sequence", "pretokenizers": vec![byte_level; 5]}),
                "its pre-tokenizer adds text 5 times, and at most 4 are possible",
            ),
            (
                "added_tokens",
                json!([{"content": "a".repeat(2001)}]),
                "it has a token of 2001 bytes, and at most 2000 are possible",
            ),
            (
                "model",
                json!({"vocab": [["a".repeat(2001), 0.0]]}),
                "it has a token of 2001 bytes, and at most 2000 are possible",
            ),
            (
                "model",
                json!({"max_input_chars_per_word": 1_000_000_000}),
                "its `max_input_chars_per_word` is 1000000000, and at most 1000 is possible",
            ),
        ] {
            assert_eq!(refused(part, component), expected);
        }
    }

    #[test]
    fn a_table_of_sentencepiece_is_as_long_as_it_states() {
        let shorter = "its `precompiled_charsmap` is shorter than it states";
        for bytes in [
            &[][..],
            &[1, 2, 3],
            &[0; 4],
            &[255; 8],
            &[8, 0, 0, 0, 1, 2, 3, 4],
        ] {
            assert_eq!(refused("normalizer", charsmap(bytes)), shorter);
        }
        let with_texts = |texts: &[u8]| charsmap(&[&[4, 0, 0, 0, 0, 0, 0, 0], texts].concat());
        assert_eq!(
            refused("normalizer", with_texts(&[255, 0])),
            "its `precompiled_charsmap` has texts that are not UTF-8"
        );
        assert_eq!(
            refused("normalizer", with_texts(&[b'a'; 65])),
            "its `precompiled_charsmap` has a text of 65 bytes, and at most 64 are possible"
        );
        let valid = json!({"normalizer": with_texts(b"abc\0"), "model": {}});
        assert_eq!(check(&valid), Ok(()));
    }

    #[test]
    fn a_dropout_is_refused_and_its_absence_is_not() {
        assert_eq!(
            refused("model", json!({"type": "BPE", "dropout": 0.3})),
            "its model has a dropout of 0.3, so it would encode the validation split at random; set \
             `dropout` in its `model` to null"
        );
        for dropout in [Value::Null, json!(0.0)] {
            assert_eq!(check(&json!({"model": {"dropout": dropout}})), Ok(()));
        }
    }
}
