//! Tests with files that are made to harm: each is refused with an error that names the file, or is a
//! tokenizer that encodes texts.

use super::{Tokenizer, TokenizerFile};
use crate::spec::{self, TokenizerKind};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::fs;

const TEXT: &str = "The play  is é 日本 \n\n12345 aaaaaaaaaaaaaaaaaaaaaaaa.";

/// Reads a file and encodes a text with it. Returns the error, which must name the file.
fn use_file(json: &[u8]) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenizer.json");
    fs::write(&path, json).unwrap();
    let tokenizer = TokenizerFile::open(&path).and_then(|file| Tokenizer::from_file(&file));
    let named = |error: String| {
        let rest = error.strip_prefix(&*path.to_string_lossy());
        let rest = rest.and_then(|rest| rest.strip_prefix(" is not a valid tokenizer: "));
        rest.map(str::to_owned).ok_or(error)
    };
    match tokenizer.map_err(|error| named(error.to_string())) {
        Ok(tokenizer) => {
            let mut tokens = Vec::new();
            // A text may be unknown to the tokenizer, so an error is no failure.
            let _ = tokenizer.encode_split(&TEXT.repeat(20), &mut |ids| {
                tokens.extend_from_slice(ids);
                Ok(())
            });
            let _ = tokenizer.encode(TEXT);
            tokenizer.decode(&tokens);
            tokenizer.text_len(tokens.into_iter());
            Ok(())
        }
        Err(Ok(reason)) => Err(reason),
        Err(Err(error)) => panic!("the error does not name the file: {error}"),
    }
}

/// A table of SentencePiece without entries.
fn charsmap() -> String {
    let mut bytes = 1024_u32.to_le_bytes().to_vec();
    bytes.resize(4 + 1024, 0);
    bytes.extend(b"abc\0");
    STANDARD.encode(bytes)
}

fn replace(pattern: &str, content: &str) -> Value {
    json!({"type": "Replace", "pattern": {"String": pattern}, "content": content})
}

/// Valid files that have all kinds of components between them.
fn valid_files() -> Vec<Value> {
    let added = json!([{"id": 0, "content": "<unk>", "single_word": false, "lstrip": false,
        "rstrip": false, "normalized": true, "special": true}]);
    let llama = json!({
        "version": "1.0", "added_tokens": added,
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "▁"}, replace(" ", "▁"), {"type": "NFKC"}]},
        "decoder": {"type": "Sequence", "decoders": [
            replace("▁", " "), {"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "BPE", "dropout": null, "byte_fallback": true, "unk_token": "<unk>",
            "continuing_subword_prefix": "", "merges": [["▁", "a"]],
            "vocab": {"<unk>": 0, "<0xC3>": 1, "<0xA9>": 2, "▁": 3, "a": 4, "▁a": 5}}});
    let bert = json!({
        "version": "1.0", "added_tokens": added,
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
            "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "truncation": {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0},
        "padding": {"strategy": "BatchLongest", "direction": "Right", "pad_to_multiple_of": null,
            "pad_id": 0, "pad_type_id": 0, "pad_token": "<unk>"},
        "post_processor": {"type": "BertProcessing", "sep": ["<unk>", 0], "cls": ["<unk>", 0]},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {"type": "WordPiece", "unk_token": "<unk>", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": {"<unk>": 0, "play": 1, "##ing": 2, "the": 3}}});
    let sentencepiece = json!({
        "version": "1.0", "added_tokens": added,
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Precompiled", "precompiled_charsmap": charsmap()},
            {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "},
            {"type": "Strip", "strip_left": true, "strip_right": true}, {"type": "Lowercase"}]},
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true},
        "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true},
        "model": {"type": "Unigram", "unk_id": 0, "byte_fallback": false,
            "vocab": [["<unk>", 0.0], ["▁", -2.0], ["a", -3.0], ["▁a", -1.0], ["é", -4.0]]}});
    let words = json!({
        "version": "1.0", "added_tokens": [],
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": "\\s+(?!\\S)|\\p{L}+"}, "behavior": "Isolated", "invert": false},
            {"type": "Digits", "individual_digits": true}, {"type": "FixedLength", "length": 5},
            {"type": "CharDelimiterSplit", "delimiter": "-"},
            {"type": "Punctuation", "behavior": "Removed"}]},
        "decoder": {"type": "BPEDecoder", "suffix": "</w>"},
        "model": {"type": "WordLevel", "unk_token": "?", "vocab": {"?": 0, "a": 1, "the": 2}}});
    let byte_level = spec::Tokenizer {
        kind: TokenizerKind::Bpe,
        vocab_size: 270,
        ..spec::Tokenizer::default()
    };
    let byte_level = Tokenizer::train(&byte_level, &TEXT.repeat(3), "").unwrap();
    let byte_level = serde_json::from_str(&byte_level.to_json().unwrap()).unwrap();
    vec![llama, bert, sentencepiece, words, byte_level]
}

#[test]
fn the_files_to_start_from_are_valid() {
    for file in valid_files() {
        assert_eq!(use_file(file.to_string().as_bytes()), Ok(()), "{file}");
    }
}

/// What has made the library panic, never end, or ask for all memory.
#[test]
fn each_harmful_file_is_refused() {
    let files = valid_files();
    let with = |file: usize, path: &str, value: Value| {
        let mut changed = files[file].clone();
        let (parent, name) = path.rsplit_once('/').unwrap();
        let parent = changed.pointer_mut(parent).unwrap();
        parent[name] = value;
        use_file(changed.to_string().as_bytes()).expect_err(path)
    };
    let sequence = |steps: Vec<Value>| json!({"type": "Sequence", "normalizers": steps});
    let precompiled = |bytes: &[u8]| {
        let charsmap = STANDARD.encode(bytes);
        json!({"type": "Precompiled", "precompiled_charsmap": charsmap})
    };
    let empty = with(0, "/normalizer", replace("", "x"));
    assert_eq!(empty, "a `pattern` is empty");
    let long = with(0, "/normalizer", replace("a", &"b".repeat(1 << 20)));
    assert!(long.contains("at most 64 are possible"), "{long}");
    for bytes in [
        &[1, 2, 3, 4][..],
        b"random text",
        &[0; 3],
        &[255, 255, 255, 127],
    ] {
        let error = with(0, "/normalizer", precompiled(bytes));
        assert!(error.contains("`precompiled_charsmap`"), "{error}");
    }
    // A trie whose first unit leads out of it.
    let outside = [&[4, 0, 0, 0], &u32::MAX.to_le_bytes()[..], b"a\0"].concat();
    let error = with(0, "/normalizer", precompiled(&outside));
    assert!(error.contains("the library tokenizers stopped"), "{error}");
    let doubling = with(0, "/normalizer", sequence(vec![replace("a", "aa"); 40]));
    assert!(doubling.contains("more than 64 times longer"), "{doubling}");
    let strip = json!({"type": "Strip", "content": "a", "start": 0, "stop": 1_000_000});
    let error = with(0, "/decoder", strip);
    assert!(error.contains("the library tokenizers stopped"), "{error}");
    let dropout = with(0, "/model/dropout", json!(0.3));
    assert!(dropout.contains("at random"), "{dropout}");
    let fixed = json!({"type": "FixedLength", "length": 0});
    let error = with(3, "/pre_tokenizer", fixed);
    assert!(error.contains("the library tokenizers stopped"), "{error}");
}

/// At each character, these patterns look at the rest of the text. The time of a short text is a few milliseconds.
#[test]
fn a_pattern_whose_time_grows_with_the_square_of_the_text_is_refused() {
    for pattern in [r"[\s\S](?=[\s\S]*☃)|[\s\S]", "a(?=a*b)|a"] {
        let mut file = valid_files().swap_remove(3);
        file["pre_tokenizer"] = json!({
            "type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false});
        let error = use_file(file.to_string().as_bytes()).unwrap_err();
        assert!(
            error.contains("its time grows much faster than the text"),
            "{error}"
        );
    }
}

/// Of two fields with one name, the library sees both, and a JSON value has only the last.
#[test]
fn a_field_that_is_there_twice_is_checked_as_it_is_used() {
    let file = valid_files()[0].to_string();
    let twice = file.replacen(
        "\"normalizer\":",
        &format!("\"normalizer\": {}, \"normalizer\":", replace("", "x")),
        1,
    );
    assert_ne!(file, twice);
    assert_eq!(use_file(twice.as_bytes()), Ok(()));
}

/// A long token is a deep structure for the library, which follows it by recursion.
#[test]
fn the_longest_possible_token_does_not_overflow_the_stack() {
    let mut file = valid_files().swap_remove(2);
    let vocab = file["model"]["vocab"].as_array_mut().unwrap();
    vocab.push(json!(["a".repeat(2000), -1.0]));
    assert_eq!(use_file(file.to_string().as_bytes()), Ok(()));
}

/// Values that a harmful file may have in any place.
fn harmful_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        Just(json!(true)),
        Just(json!([])),
        Just(json!({})),
        prop_oneof![Just(-1.0), Just(0.5), Just(1e300)].prop_map(|number| json!(number)),
        prop_oneof![Just(0), Just(1), Just(1_000_000), Just(u64::MAX)].prop_map(|n| json!(n)),
        prop_oneof![
            Just(String::new()),
            Just("a".to_owned()),
            Just("(a+)+$".to_owned()),
            Just("(?=.*a)|x*".to_owned()),
            Just("é".repeat(999)),
            Just("a".repeat(1 << 16)),
            Just("Sequence".to_owned()),
            Just("Replace".to_owned()),
            Just("Unigram".to_owned()),
            any::<String>(),
        ]
        .prop_map(Value::from),
    ]
}

/// How one place of a file is changed.
#[derive(Debug, Clone)]
enum Change {
    Set(Value),
    /// Takes the value of another place.
    Copy(prop::sample::Index),
    Remove,
    Repeat(usize),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => harmful_value().prop_map(Change::Set),
        2 => any::<prop::sample::Index>().prop_map(Change::Copy),
        1 => Just(Change::Remove),
        1 => (2..10_usize).prop_map(Change::Repeat),
    ]
}

/// The JSON pointers of all values in a file.
fn places(value: &Value, here: &str, found: &mut Vec<String>) {
    found.push(here.to_owned());
    let escaped = |name: &str| name.replace('~', "~0").replace('/', "~1");
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                places(value, &format!("{here}/{}", escaped(name)), found);
            }
        }
        Value::Array(values) => {
            for (at, value) in values.iter().enumerate() {
                places(value, &format!("{here}/{at}"), found);
            }
        }
        _ => {}
    }
}

fn apply(file: &mut Value, at: prop::sample::Index, change: Change) {
    let mut found = Vec::new();
    places(file, "", &mut found);
    let place = at.get(&found).clone();
    let changed = file.pointer_mut(&place).unwrap();
    match change {
        Change::Set(value) => *changed = value,
        Change::Remove => *changed = Value::Null,
        Change::Repeat(times) => match changed {
            Value::Array(values) => {
                let all = std::iter::repeat_n(values.clone(), times);
                *values = all.flatten().collect();
            }
            other => *other = json!(vec![other.clone(); times]),
        },
        Change::Copy(from) => {
            let from: &String = from.get(&found);
            let value = file.pointer(from).cloned().unwrap();
            *file.pointer_mut(&place).unwrap() = value;
        }
    }
}

/// So many cases, unless the environment variable `PROPTEST_CASES` is set.
fn with_cases(cases: u32) -> ProptestConfig {
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => ProptestConfig::default(),
        None => ProptestConfig::with_cases(cases),
    }
}

#[test]
fn a_changed_file_is_refused_by_name_or_works() {
    let files = valid_files();
    let changes = prop::collection::vec((any::<prop::sample::Index>(), change()), 1..4);
    let config = ProptestConfig {
        max_shrink_iters: 200,
        ..with_cases(400)
    };
    proptest::test_runner::TestRunner::new(config)
        .run(&(0..files.len(), changes), |(file, changes)| {
            let mut file = files[file].clone();
            for (at, change) in changes {
                apply(&mut file, at, change);
            }
            let _ = use_file(file.to_string().as_bytes());
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_torn_file_is_refused_by_name_or_works() {
    let files: Vec<_> = valid_files().iter().map(Value::to_string).collect();
    let bytes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    let torn = (0..files.len(), bytes, any::<prop::sample::Index>());
    proptest::test_runner::TestRunner::new(with_cases(200))
        .run(&torn, |(file, bytes, end)| {
            let mut json = files[file].clone().into_bytes();
            let is_cut = bytes.len() < 2;
            for (at, byte) in bytes {
                let at = at.index(json.len());
                json[at] = byte;
            }
            if is_cut {
                json.truncate(end.index(json.len()));
            }
            let _ = use_file(&json);
            Ok(())
        })
        .unwrap();
}
