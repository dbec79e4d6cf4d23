//! Tests of all kinds of tokenizers.

use super::encode::Encoder;
use super::*;
use crate::spec::Encoding;
use proptest::prelude::*;
use std::fs;

fn spec(kind: TokenizerKind, vocab_size: usize) -> spec::Tokenizer {
    spec::Tokenizer {
        kind,
        vocab_size,
        ..spec::Tokenizer::default()
    }
}

/// The kinds that depend on nothing but the text and the specification. A published encoding has a
/// test of its own, and a file is read in several tests.
fn kinds() -> impl Iterator<Item = TokenizerKind> {
    let external = [TokenizerKind::Tiktoken, TokenizerKind::File];
    let all = TokenizerKind::ALL.into_iter();
    all.filter(move |kind| !external.contains(kind))
}

fn sample_text() -> String {
    crate::data::plays::generate(5, 60_000).text
}

fn trained(kind: TokenizerKind) -> Tokenizer {
    Tokenizer::train(&spec(kind, 400), &sample_text(), "").unwrap()
}

fn pipeline_encode(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
    let encoding = tokenizer.pipeline.encode(text, false).unwrap();
    encoding.get_ids().to_vec()
}

fn split(tokenizer: &Tokenizer, text: &str) -> (Vec<u32>, u64) {
    let mut tokens = Vec::new();
    let unknown = tokenizer
        .encode_split(text, &mut |ids| {
            tokens.extend_from_slice(ids);
            Ok(())
        })
        .unwrap();
    (tokens, unknown)
}

#[test]
fn characters_are_numbered_by_code_point() {
    let tokenizer = Tokenizer::train(&spec(TokenizerKind::Char, 0), "hello\n", "oh").unwrap();
    assert_eq!(tokenizer.vocab_size(), 5);
    assert_eq!(tokenizer.encode("hole\n").unwrap(), [2, 4, 3, 1, 0]);
    let error = tokenizer.encode("holé").unwrap_err().to_string();
    assert_eq!(error, "\"é\" is not in the vocabulary of the tokenizer");
}

#[test]
fn there_is_an_unknown_token_if_the_validation_split_needs_it() {
    let tokenizer = Tokenizer::train(&spec(TokenizerKind::Char, 0), "hello", "héllø").unwrap();
    assert_eq!(tokenizer.vocab_size(), 5);
    let (tokens, unknown) = split(&tokenizer, "héllø");
    assert_eq!((tokens.as_slice(), unknown), (&[1, 4, 2, 2, 4][..], 2));
    assert_eq!(tokenizer.decode(&tokens), "h\u{FFFD}ll\u{FFFD}");
    assert_eq!(pipeline_encode(&tokenizer, "héllø"), tokens);
    // A prompt with an unknown character is an error.
    assert!(tokenizer.encode("é").is_err());
}

#[test]
fn a_text_with_the_replacement_character_keeps_it() {
    let tokenizer = Tokenizer::train(&spec(TokenizerKind::Char, 0), "a\u{FFFD}", "b").unwrap();
    assert_eq!(tokenizer.vocab_size(), 2);
    assert_eq!(
        tokenizer.decode(&tokenizer.encode("\u{FFFD}a").unwrap()),
        "\u{FFFD}a"
    );
    assert_eq!(split(&tokenizer, "b"), (vec![1], 1));
}

#[test]
fn a_byte_is_its_own_token() {
    let tokenizer = trained(TokenizerKind::Byte);
    assert_eq!(tokenizer.vocab_size(), 256);
    assert_eq!(tokenizer.encode("é!").unwrap(), [0xC3, 0xA9, 0x21]);
    assert_eq!(tokenizer.decode(&[0xC3, 0x21]), "\u{FFFD}!");
}

#[test]
fn bpe_has_the_given_size_and_shortens_text() {
    let tokenizer = trained(TokenizerKind::Bpe);
    assert_eq!(tokenizer.vocab_size(), 400);
    let text = sample_text();
    let tokens = tokenizer.encode(&text).unwrap();
    assert!(
        tokens.len() * 3 < text.len() * 2,
        "{} of {}",
        tokens.len(),
        text.len()
    );
    assert_eq!(tokens, pipeline_encode(&tokenizer, &text));
    assert_eq!(split(&tokenizer, &text), (tokens, 0));
}

#[test]
fn a_character_that_no_token_has_is_unwritable() {
    let unwritable = |kind, text: &str| trained(kind).unwritable_characters(text);
    assert_eq!(unwritable(TokenizerKind::Char, "oΩaßΩ"), ['ß', 'Ω']);
    for kind in [TokenizerKind::Wordpiece, TokenizerKind::Unigram] {
        assert_eq!(unwritable(kind, "oΩ"), ['Ω']);
    }
    // The model can write the two bytes of Ω one after the other.
    for kind in [TokenizerKind::Byte, TokenizerKind::Bpe] {
        assert_eq!(unwritable(kind, "oΩ"), []);
    }
}

#[test]
fn a_vocabulary_that_is_too_large_for_the_text_is_an_error() {
    let error = Tokenizer::train(&spec(TokenizerKind::Bpe, 300), "ab ab", "").unwrap_err();
    assert_eq!(
        error.to_string(),
        "a bpe vocabulary of 300 tokens is too large for the training split, which allows at most \
         258; set tokenizer.vocab_size to at most 258"
    );
}

/// The trainers use hash maps in random order, which must not change the result. In the second text,
/// several merges lead to the same token and many pairs are equally frequent.
#[test]
fn training_again_gives_the_same_file() {
    let mut rng = crate::random::Stream::new(1, "tokenizer test").at(0);
    let mut draw = |words: &[&str]| {
        let pick = |_| words[crate::random::below(&mut rng, words.len() as u64) as usize];
        (0..30_000).map(pick).collect::<String>()
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tokenizer.json");
    for text in [sample_text(), draw(&["a", "b", "a", "b", "-", "\n"])] {
        for kind in kinds() {
            let train = || {
                let tokenizer = Tokenizer::train(&spec(kind, 600), &text, "").unwrap();
                tokenizer.save(&path).unwrap();
                fs::read_to_string(&path).unwrap()
            };
            let first = train();
            assert!((0..4).all(|_| train() == first), "{kind:?}");
        }
    }
}

#[test]
fn the_file_of_an_earlier_version_is_read() {
    let now = Tokenizer::train(&spec(TokenizerKind::Char, 0), "abc\n", "").unwrap();
    let json = now.to_json().unwrap();
    let earlier = json.replace(r#""[\\s\\S]""#, r#""(?s).""#);
    assert_ne!(json, earlier);
    // A run has the file. As a file of the user it is refused: other tools cannot read it.
    assert!(loaded(&earlier).unwrap_err().contains("has the flag `s`"));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tokenizer.json");
    fs::write(&path, earlier).unwrap();
    let earlier = Tokenizer::load(&path).unwrap();
    assert!(matches!(earlier.encoder, Encoder::Char(_)));
    assert_eq!(earlier.encode("a\nc").unwrap(), now.encode("a\nc").unwrap());
}

#[test]
fn a_saved_tokenizer_is_the_same_tokenizer() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tokenizer.json");
    for kind in kinds() {
        let tokenizer = trained(kind);
        tokenizer.save(&path).unwrap();
        let loaded = Tokenizer::load(&path).unwrap();
        let text = "Enter Oswin and Marla";
        assert_eq!(
            loaded.encode(text).unwrap(),
            tokenizer.encode(text).unwrap()
        );
        assert_eq!(loaded.token_bytes, tokenizer.token_bytes);
        assert_eq!(
            std::mem::discriminant(&loaded.encoder),
            std::mem::discriminant(&tokenizer.encoder)
        );
    }
}

fn loaded(json: &str) -> Result<Tokenizer, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tokenizer.json");
    fs::write(&path, json).unwrap();
    let place = dir.path().to_str().unwrap();
    let read = TokenizerFile::open(&path).and_then(|file| Tokenizer::from_file(&file));
    read.map_err(|error| error.to_string().replace(place, "DIR"))
}

/// Templates that leave out the text, repeat it, and add a token.
#[test]
fn the_post_processor_of_a_file_changes_no_tokens() {
    let file = |post_processor: serde_json::Value| {
        let json = serde_json::json!({"version": "1.0", "added_tokens": [], "post_processor": post_processor,
            "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]}});
        loaded(&json.to_string()).unwrap()
    };
    let text = "abaab".repeat(100);
    let tokens = file(serde_json::Value::Null).encode(&text).unwrap();
    assert_eq!(tokens.len(), 300);
    let sequence = serde_json::json!({"Sequence": {"id": "A", "type_id": 0}});
    for repetitions in [0, 2, 100] {
        let template = serde_json::json!({"type": "TemplateProcessing", "pair": [], "special_tokens": {},
            "single": vec![sequence.clone(); repetitions]});
        let tokenizer = file(template);
        assert_eq!(tokenizer.encode(&text).unwrap(), tokens);
        let mut split = Vec::new();
        let mut write = |ids: &[u32]| {
            split.extend_from_slice(ids);
            Ok(())
        };
        tokenizer.encode_split(&text, &mut write).unwrap();
        assert_eq!(split, tokens);
    }
    let bert = serde_json::json!({"type": "BertProcessing", "sep": ["a", 0], "cls": ["b", 1]});
    assert_eq!(file(bert).encode(&text).unwrap(), tokens);
}

#[test]
fn a_file_that_is_not_a_valid_tokenizer_is_an_error() {
    let model =
        |model: &str| format!(r#"{{"version": "1.0", "added_tokens": [], "model": {model}}}"#);
    let word_level = |vocab: &str| {
        model(&format!(
            r#"{{"type": "WordLevel", "vocab": {vocab}, "unk_token": "?"}}"#
        ))
    };
    let merges = r#"{"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": [["a", "b"]]}"#;
    for (json, expected) in [
        (
            "{",
            "DIR/tokenizer.json is not a valid tokenizer: EOF while parsing an object at line 1 column 1",
        ),
        (
            &word_level(r#"{"a": 0, "b": 2}"#),
            "DIR/tokenizer.json is not a valid tokenizer: its tokens must be numbered from 0 without \
             a gap; no token has the number 1, and the next number is 2 (\"b\")",
        ),
        (
            &word_level("{}"),
            "DIR/tokenizer.json is not a valid tokenizer: it has no tokens",
        ),
        (
            &model(merges),
            "DIR/tokenizer.json is not a valid tokenizer: its merge [\"a\",\"b\"] needs the token \"ab\", which \
             is not in its vocabulary",
        ),
    ] {
        assert_eq!(loaded(json).unwrap_err(), expected);
    }
    let dropout = LLAMA.replace("\"BPE\"", "\"BPE\", \"dropout\": 0.3");
    assert_eq!(
        loaded(&dropout).unwrap_err(),
        "DIR/tokenizer.json is not a valid tokenizer: its model has a dropout of 0.3, so it would encode \
         the validation split at random; set `dropout` in its `model` to null"
    );
    let none = Tokenizer::load(Path::new("none.json")).unwrap_err();
    assert_eq!(none.to_string(), "there is no file none.json");
}

/// A tokenizer of BERT. It loses white space and case, and its text cannot be encoded in chunks.
#[test]
fn a_tokenizer_of_another_tool_is_read() {
    let bert = loaded(
        r###"{"version": "1.0", "added_tokens": [{"id": 0, "content": "[UNK]", "single_word": false,
            "lstrip": false, "rstrip": false, "normalized": false, "special": true}],
            "normalizer": {"type": "Lowercase"}, "pre_tokenizer": {"type": "BertPreTokenizer"},
            "truncation": {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0},
            "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
            "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": {"[UNK]": 0, "play": 1, "##ing": 2, "the": 3, ".": 4}}}"###,
    )
    .unwrap();
    let tokens = bert.encode("Playing the play.").unwrap();
    assert_eq!(tokens, [1, 2, 3, 1, 4]);
    assert_eq!(bert.decode(&tokens), " playing the play.");
    assert_eq!(split(&bert, "the x the"), (vec![3, 0, 3], 1));
    assert_eq!(
        bert.encode("the x").unwrap_err().to_string(),
        "\"x\" is not in the vocabulary of the tokenizer"
    );
}

/// A tokenizer of Llama. It encodes unknown characters as bytes, and adds a space at the start of a text.
const LLAMA: &str = r#"{"version": "1.0", "added_tokens": [],
    "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"},
        {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
    "decoder": {"type": "Sequence", "decoders": [
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
        {"type": "ByteFallback"}, {"type": "Fuse"},
        {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
    "model": {"type": "BPE", "byte_fallback": true, "unk_token": "<unk>", "merges": [["▁", "a"]],
        "vocab": {"<unk>": 0, "<0xC3>": 1, "<0xA9>": 2, "▁": 3, "a": 4, "▁a": 5}}}"#;

/// The text of tokens from its start.
fn whole_text(tokenizer: &Tokenizer, tokens: &[u32]) -> String {
    let bytes: Vec<_> = tokenizer.text_bytes(tokens.iter().copied()).collect();
    assert_eq!(
        tokenizer.text_len(tokens.iter().copied()),
        bytes.concat().len() as u64
    );
    String::from_utf8(bytes.concat()).unwrap()
}

#[test]
fn a_space_that_is_added_at_the_start_of_a_text_is_not_a_part_of_it() {
    let llama = loaded(LLAMA).unwrap();
    for text in ["é a", "a a", " é", "  a "] {
        assert_eq!(whole_text(&llama, &split(&llama, text).0), text);
    }
    let metaspace =
        r#"{"type": "Metaspace", "replacement": "▁", "prepend_scheme": "SCHEME", "split": true}"#;
    for (scheme, lost) in [("always", true), ("first", true), ("never", false)] {
        let metaspace = metaspace.replace("SCHEME", scheme);
        let tokenizer = loaded(&format!(
            r#"{{"version": "1.0", "added_tokens": [], "pre_tokenizer": {metaspace}, "decoder": {metaspace},
                "model": {{"type": "Unigram", "unk_id": 0, "vocab": [["?", 0.0], ["▁", -1.0], ["a", -1.0]]}}}}"#
        ))
        .unwrap();
        assert_eq!(whole_text(&tokenizer, &split(&tokenizer, "a a").0), "a a");
        // The library adds no space to a text that starts with one, and its decoder drops this one.
        let text = whole_text(&tokenizer, &split(&tokenizer, " a").0);
        assert_eq!(text, if lost { "a" } else { " a" });
    }
    let bpe = trained(TokenizerKind::Bpe);
    assert_eq!(whole_text(&bpe, &split(&bpe, " Enter").0), " Enter");
}

#[test]
fn byte_tokens_are_joined_to_characters() {
    let llama = loaded(LLAMA).unwrap();
    let tokens = llama.encode("é a").unwrap();
    assert_eq!(tokens, [3, 1, 2, 5]);
    assert_eq!(llama.decode(&tokens), " é a");
    assert_eq!(llama.decode(&tokens[2..]), "\u{FFFD} a");
}

#[test]
fn published_encodings_give_the_tokens_of_tiktoken() {
    type Theirs = fn() -> anyhow::Result<tiktoken_rs::CoreBPE>;
    let all: [(Encoding, Theirs, usize); 4] = [
        (Encoding::Gpt2, tiktoken_rs::r50k_base, 50_257),
        (Encoding::P50kBase, tiktoken_rs::p50k_base, 50_281),
        (Encoding::Cl100kBase, tiktoken_rs::cl100k_base, 100_277),
        (Encoding::O200kBase, tiktoken_rs::o200k_base, 200_019),
    ];
    let code = "fn main() {\n    let x = 1_234_567;\r\n\t// I'LL we've <|endoftext|>!!!\n\n\n}\n  ";
    let other = "naïve café 日本語のテキスト 🦀🦀 e\u{301}   \u{a0}x 's 'S\n / \n//\n";
    let long = code.repeat(400) + &sample_text();
    for (encoding, theirs, vocab_size) in all {
        let spec = spec::Tokenizer {
            encoding,
            ..spec(TokenizerKind::Tiktoken, 0)
        };
        let tokenizer = Tokenizer::train(&spec, "", "").unwrap();
        let theirs = theirs().unwrap();
        assert_eq!(tokenizer.vocab_size(), vocab_size);
        for text in [code, other, &long, &other.repeat(300)] {
            let expected = theirs.encode_ordinary(text);
            assert!(tokenizer.encode(text).unwrap() == expected, "{encoding:?}");
            assert!(split(&tokenizer, text) == (expected, 0), "{encoding:?}");
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokenizer.json");
        tokenizer.save(&path).unwrap();
        let loaded = Tokenizer::load(&path).unwrap();
        assert_eq!(loaded.encode(other).unwrap(), theirs.encode_ordinary(other));
        let tokens: Vec<u32> = (0..vocab_size as u32).collect();
        assert!(loaded.token_bytes == tokenizer.token_bytes && !loaded.decode(&tokens).is_empty());
    }
}

#[test]
fn tokens_inside_words_are_marked_and_joined() {
    let tokenizer = trained(TokenizerKind::Wordpiece);
    let written = |text: &str| {
        let tokens = tokenizer.encode(text).unwrap();
        let names = tokens
            .iter()
            .map(|&id| tokenizer.pipeline.id_to_token(id).unwrap());
        names.collect::<Vec<_>>().join("|")
    };
    assert_eq!(written("Enter Oswinder."), "Enter| Oswin|##d|##er|.");
    assert_eq!(
        tokenizer.decode(&tokenizer.encode("Enter Oswinder.").unwrap()),
        "Enter Oswinder."
    );
}

#[test]
fn marks_in_the_text_are_not_mistaken_for_marks_of_tokens() {
    for (kind, size) in [(TokenizerKind::Wordpiece, 40), (TokenizerKind::Unigram, 20)] {
        let text = "## a##b ### c #\n\n\n  # \u{FFFD}# ab\u{FFFD} [UNK] <unk>".repeat(20);
        let tokenizer = Tokenizer::train(&spec(kind, size), &text, "").unwrap();
        assert_eq!(tokenizer.vocab_size(), size);
        let (tokens, _) = split(&tokenizer, &text);
        assert_eq!(tokenizer.decode(&tokens), text, "{kind}");
    }
}

/// The size that a message names is possible.
#[test]
fn a_text_of_few_words_has_a_possible_vocabulary_size() {
    let texts = [
        "ab ".repeat(9),
        "abcdefgh".to_owned(),
        sample_text()[..2000].to_owned(),
    ];
    for text in texts {
        for asked in [2, 5, 9, 12, 40, 500, 5000] {
            let train = |size| Tokenizer::train(&spec(TokenizerKind::Unigram, size), &text, "");
            let possible = match train(asked) {
                Ok(_) => continue,
                Err(DataError::VocabTooSmall { needed, .. }) => needed,
                Err(DataError::VocabTooLarge { possible, .. }) => possible,
                Err(error) => panic!("{error}"),
            };
            let tokenizer = train(possible).unwrap_or_else(|error| panic!("{asked}: {error}"));
            assert_eq!(tokenizer.vocab_size(), possible);
            assert_eq!(tokenizer.decode(&tokenizer.encode(&text).unwrap()), text);
        }
    }
}

/// 200 kB of random letters, with a rare character.
fn text_without_spaces() -> String {
    let mut rng = crate::random::Stream::new(1, "letters").at(0);
    let letter = |_| b'a' + crate::random::below(&mut rng, 26) as u8;
    let mut text = String::from_utf8((0..200_000).map(letter).collect()).unwrap();
    text.insert(100_123, 'é');
    text
}

#[test]
fn a_text_without_spaces_is_decoded_by_a_trained_tokenizer() {
    let text = text_without_spaces();
    for kind in [
        TokenizerKind::Bpe,
        TokenizerKind::Wordpiece,
        TokenizerKind::Unigram,
    ] {
        let tokenizer = Tokenizer::train(&spec(kind, 400), &text, "").unwrap();
        let (tokens, unknown) = split(&tokenizer, &text);
        if kind != TokenizerKind::Wordpiece {
            assert_eq!((tokenizer.decode(&tokens) == text, unknown), (true, 0));
        }
    }
}

#[test]
fn vocabularies_that_are_too_small_are_errors() {
    let error = |kind, size| {
        let error = Tokenizer::train(&spec(kind, size), "abc cab bca abc cab", "").unwrap_err();
        error.to_string()
    };
    assert_eq!(
        error(TokenizerKind::Unigram, 5),
        "a unigram vocabulary of 5 tokens is too small for the characters of the training split, \
         which need 6; set tokenizer.vocab_size to at least 6"
    );
    assert_eq!(
        error(TokenizerKind::Wordpiece, 5),
        "a wordpiece vocabulary of 5 tokens is too small for the characters of the training split, \
         which need 8; set tokenizer.vocab_size to at least 8"
    );
    for kind in [TokenizerKind::Unigram, TokenizerKind::Wordpiece] {
        let error = error(kind, 500);
        assert!(
            error.contains(&format!("a {kind} vocabulary of 500 tokens is too large")),
            "{error}"
        );
    }
}

proptest! {
    #[test]
    fn characters_decode_to_any_text(text in any::<String>()) {
        let tokenizer = Tokenizer::train(&spec(TokenizerKind::Char, 0), &text, "").unwrap();
        let tokens = tokenizer.encode(&text).unwrap();
        prop_assert_eq!(tokenizer.decode(&tokens), text.as_str());
        prop_assert_eq!(pipeline_encode(&tokenizer, &text), tokens);
    }

    #[test]
    fn bytes_decode_to_any_text(text in any::<String>()) {
        let tokenizer = Tokenizer::train(&spec(TokenizerKind::Byte, 0), "", "").unwrap();
        let tokens = tokenizer.encode(&text).unwrap();
        prop_assert_eq!(tokenizer.decode(&tokens), text.as_str());
        prop_assert_eq!(pipeline_encode(&tokenizer, &text), tokens);
    }
}

#[test]
fn bpe_decodes_to_any_text() {
    let tokenizer = trained(TokenizerKind::Bpe);
    // Words, spaces and line breaks are mixed in, so that merges and chunks occur.
    let text = prop::collection::vec("[a-zA-Z]{1,6}|[ \\n]{1,3}|\\PC{0,3}|Oswin", 0..40);
    let long = (text, 1..400usize).prop_map(|(words, times)| words.concat().repeat(times));
    let config = ProptestConfig::with_cases(64);
    proptest::test_runner::TestRunner::new(config)
        .run(&long, |text| {
            let tokens = tokenizer.encode(&text).unwrap();
            prop_assert_eq!(tokenizer.decode(&tokens), text.as_str());
            prop_assert_eq!(pipeline_encode(&tokenizer, &text), tokens);
            Ok(())
        })
        .unwrap();
}

/// These kinds decode to any text of known characters.
#[test]
fn wordpiece_and_unigram_decode_to_known_text() {
    for kind in [TokenizerKind::Wordpiece, TokenizerKind::Unigram] {
        let every: String = ('!'..='~').collect();
        let every = every.clone() + " " + &every.chars().rev().collect::<String>() + " \n";
        let text = sample_text() + &every.repeat(2) + &"é ▂\t".repeat(3);
        let size = 800;
        let tokenizer = Tokenizer::train(&spec(kind, size), &text, "").unwrap();
        let words = prop::collection::vec("[a-zA-Z]{1,90}|[ \\n]{1,90}|[!-~é▂]{0,5}|Oswin", 0..40);
        let config = ProptestConfig::with_cases(64);
        proptest::test_runner::TestRunner::new(config)
            .run(&words, |words| {
                let text = words.concat();
                let (tokens, unknown) = split(&tokenizer, &text);
                prop_assert_eq!(&pipeline_encode(&tokenizer, &text), &tokens);
                // WordPiece may know a character, but not at its position in the word.
                if unknown == 0 {
                    prop_assert_eq!(tokenizer.decode(&tokens), text.as_str());
                } else {
                    prop_assert!(kind == TokenizerKind::Wordpiece);
                }
                Ok(())
            })
            .unwrap();
    }
}

#[test]
fn any_tokens_decode_as_in_the_pipeline() {
    let tokenizer = trained(TokenizerKind::Bpe);
    proptest!(|(tokens in prop::collection::vec(0..400u32, 0..50))| {
        let theirs = tokenizer.pipeline.decode(&tokens, false).unwrap();
        prop_assert_eq!(tokenizer.decode(&tokens), theirs);
    });
    assert_eq!(tokenizer.decode(&[400, u32::MAX]), "\u{FFFD}\u{FFFD}");
}
