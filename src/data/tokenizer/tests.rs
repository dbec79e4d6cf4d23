use super::*;
use proptest::prelude::*;

fn spec(kind: TokenizerKind, vocab_size: usize) -> spec::Tokenizer {
    spec::Tokenizer { kind, vocab_size }
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
fn characters_are_numbered_in_their_order() {
    let tokenizer = Tokenizer::train(&spec(TokenizerKind::Char, 0), "hello\n", "oh").unwrap();
    assert_eq!(tokenizer.vocab_size(), 5);
    assert_eq!(tokenizer.encode("hole\n").unwrap(), [2, 4, 3, 1, 0]);
    let error = tokenizer.encode("holé").unwrap_err().to_string();
    assert_eq!(
        error,
        "the character 'é' is not in the vocabulary: the training split has none"
    );
}

#[test]
fn an_unknown_token_is_there_when_the_validation_split_needs_it() {
    let tokenizer = Tokenizer::train(&spec(TokenizerKind::Char, 0), "hello", "héllø").unwrap();
    assert_eq!(tokenizer.vocab_size(), 5);
    let (tokens, unknown) = split(&tokenizer, "héllø");
    assert_eq!((tokens.as_slice(), unknown), (&[1, 4, 2, 2, 4][..], 2));
    assert_eq!(tokenizer.decode(&tokens), "h\u{FFFD}ll\u{FFFD}");
    assert_eq!(pipeline_encode(&tokenizer, "héllø"), tokens);
    // A prompt is not silently changed.
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
fn bpe_has_the_size_asked_for_and_shortens_text() {
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
fn a_vocabulary_that_the_text_has_no_room_for_is_refused() {
    let error = Tokenizer::train(&spec(TokenizerKind::Bpe, 300), "ab ab", "").unwrap_err();
    assert_eq!(
        error.to_string(),
        "the training split has room for a bpe vocabulary of 258 tokens, not of 300; \
         set tokenizer.vocab_size to at most 258"
    );
}

/// The trainer keeps words in maps whose order is random, so order must not matter. The second text
/// is one in which the same token comes about in several ways and many pairs are equally frequent.
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
        for kind in [TokenizerKind::Char, TokenizerKind::Byte, TokenizerKind::Bpe] {
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
fn a_saved_tokenizer_is_the_same_tokenizer() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tokenizer.json");
    for kind in [TokenizerKind::Char, TokenizerKind::Byte, TokenizerKind::Bpe] {
        let tokenizer = trained(kind);
        tokenizer.save(&path).unwrap();
        let loaded = Tokenizer::load(&path).unwrap();
        let text = "Enter Oswin and Marla";
        assert_eq!(
            loaded.encode(text).unwrap(),
            tokenizer.encode(text).unwrap()
        );
        assert_eq!(loaded.pieces, tokenizer.pieces);
        assert_eq!(
            std::mem::discriminant(&loaded.encoder),
            std::mem::discriminant(&tokenizer.encoder)
        );
    }
}

#[test]
fn a_file_that_is_no_tokenizer_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tokenizer.json");
    let two_characters = r#"{"version": "1.0", "added_tokens": [], "model":
        {"type": "WordLevel", "vocab": {"ab": 0}, "unk_token": "?"}}"#;
    let gap = r#"{"version": "1.0", "added_tokens": [], "model":
        {"type": "WordLevel", "vocab": {"a": 1}, "unk_token": "?"}}"#;
    let word_piece = r###"{"version": "1.0", "added_tokens": [], "model": {"type": "WordPiece",
        "vocab": {"a": 0}, "unk_token": "a", "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100}}"###;
    for (json, expected) in [
        ("{", "is not a tokenizer of this runner"),
        (two_characters, "its token \"ab\" is not one character"),
        (gap, "its tokens are not numbered without a gap"),
        (word_piece, "its model is neither WordLevel nor BPE"),
    ] {
        fs::write(&path, json).unwrap();
        let error = Tokenizer::load(&path).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

proptest! {
    #[test]
    fn any_text_survives_characters(text in any::<String>()) {
        let tokenizer = Tokenizer::train(&spec(TokenizerKind::Char, 0), &text, "").unwrap();
        let tokens = tokenizer.encode(&text).unwrap();
        prop_assert_eq!(tokenizer.decode(&tokens), text.as_str());
        prop_assert_eq!(pipeline_encode(&tokenizer, &text), tokens);
    }

    #[test]
    fn any_text_survives_bytes(text in any::<String>()) {
        let tokenizer = Tokenizer::train(&spec(TokenizerKind::Byte, 0), "", "").unwrap();
        let tokens = tokenizer.encode(&text).unwrap();
        prop_assert_eq!(tokenizer.decode(&tokens), text.as_str());
        prop_assert_eq!(pipeline_encode(&tokenizer, &text), tokens);
    }
}

#[test]
fn any_text_survives_bpe() {
    let tokenizer = trained(TokenizerKind::Bpe);
    // Words, spaces and line ends are mixed in, so that merges are met and pieces are cut.
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

#[test]
fn any_tokens_decode_to_what_the_pipeline_says() {
    let tokenizer = trained(TokenizerKind::Bpe);
    proptest!(|(tokens in prop::collection::vec(0..400u32, 0..50))| {
        let theirs = tokenizer.pipeline.decode(&tokens, false).unwrap();
        prop_assert_eq!(tokenizer.decode(&tokens), theirs);
    });
    assert_eq!(tokenizer.decode(&[400, u32::MAX]), "\u{FFFD}\u{FFFD}");
}
