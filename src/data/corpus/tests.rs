use super::*;
use crate::spec::{Data, Source, TokenizerKind};
use std::fs;
use std::path::PathBuf;

fn data(source: Source) -> Data {
    Data {
        source,
        plays_bytes: 30_000,
        ..Data::default()
    }
}

fn file(dir: &Path, text: &str) -> Data {
    let path = dir.join("text.txt");
    fs::write(&path, text).unwrap();
    data(Source::Path(path.display().to_string()))
}

fn kind(kind: TokenizerKind) -> spec::Tokenizer {
    spec::Tokenizer {
        kind,
        vocab_size: 300,
        ..spec::Tokenizer::default()
    }
}

/// A public text, or `None`, said aloud, where it is not beside the repository.
fn published(name: &str) -> Option<Data> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../shared/data")
        .join(name);
    if !path.is_file() {
        eprintln!("skipped: {} is not there", path.display());
        return None;
    }
    Some(data(Source::Path(path.display().to_string())))
}

#[test]
fn tokens_decode_to_the_text_of_both_splits() {
    let root = tempfile::tempdir().unwrap();
    let text = plays::generate(9, 40_000).text;
    let data = file(root.path(), &text);
    for tokenizer in [TokenizerKind::Char, TokenizerKind::Byte, TokenizerKind::Bpe] {
        let info = prepare(&data, &kind(tokenizer), root.path()).unwrap();
        let corpus = open(root.path(), &info.key).unwrap();
        assert_eq!(corpus.info, info);
        let decode = |tokens: &Tokens| {
            let ids: Vec<u32> = (0..tokens.len()).map(|i| tokens.get(i) as u32).collect();
            corpus.tokenizer.decode(&ids)
        };
        assert_eq!(decode(&corpus.train) + &decode(&corpus.val), text);
        assert_eq!(info.train_bytes + info.val_bytes, text.len() as u64);
        assert_eq!(info.train_tokens, corpus.train.len() as u64);
        assert_eq!(info.val_tokens, corpus.val.len() as u64);
        assert_eq!(info.floor_bits_per_byte, None);
    }
}

#[test]
fn plays_have_a_floor_that_counting_stays_above() {
    let root = tempfile::tempdir().unwrap();
    let info = prepare(
        &data(Source::Plays),
        &kind(TokenizerKind::Char),
        root.path(),
    )
    .unwrap();
    let floor = info.floor_bits_per_byte.unwrap();
    let bigram = info.bits_per_byte(info.bigram_count_loss.unwrap());
    assert!(0.3 < floor && 2.0 * floor < bigram, "{floor} {bigram}");
    assert_eq!(info.val_unknown_tokens, 0);
}

#[test]
fn a_corpus_is_kept_and_told_apart_by_data_and_tokenizer() {
    let root = tempfile::tempdir().unwrap();
    let plays = data(Source::Plays);
    let other_split = Data {
        val_fraction: 0.2,
        ..plays.clone()
    };
    let other_seed = Data {
        plays_seed: 2,
        ..plays.clone()
    };
    let key = |data: &Data, tokenizer| prepare(data, &kind(tokenizer), root.path()).unwrap().key;
    let keys = [
        key(&plays, TokenizerKind::Char),
        key(&plays, TokenizerKind::Bpe),
        key(&other_split, TokenizerKind::Char),
        key(&other_seed, TokenizerKind::Char),
    ];
    for (i, key) in keys.iter().enumerate() {
        assert!(!keys[..i].contains(key), "{keys:?}");
    }
    assert_eq!(key(&plays, TokenizerKind::Char), keys[0]);
    // A vocabulary size changes nothing for characters.
    let characters = spec::Tokenizer {
        kind: TokenizerKind::Char,
        vocab_size: 999,
        ..spec::Tokenizer::default()
    };
    assert_eq!(
        prepare(&plays, &characters, root.path()).unwrap().key,
        keys[0]
    );
    let entries = fs::read_dir(root.path()).unwrap().count();
    assert_eq!(entries, keys.len(), "something is left over");
}

#[test]
fn a_corpus_that_is_there_is_not_built_again() {
    let root = tempfile::tempdir().unwrap();
    let plays = data(Source::Plays);
    let train = |key: &str| root.path().join(key).join(corpus_cache::TRAIN);
    let info = prepare(&plays, &kind(TokenizerKind::Char), root.path()).unwrap();
    let written = fs::metadata(train(&info.key)).unwrap().modified().unwrap();
    assert_eq!(
        prepare(&plays, &kind(TokenizerKind::Char), root.path()).unwrap(),
        info
    );
    let kept = fs::metadata(train(&info.key)).unwrap().modified().unwrap();
    assert_eq!(written, kept);
}

#[test]
fn a_damaged_corpus_is_found_and_built_again() {
    let root = tempfile::tempdir().unwrap();
    let plays = data(Source::Plays);
    let tokenizer = kind(TokenizerKind::Char);
    let info = prepare(&plays, &tokenizer, root.path()).unwrap();
    let at = |name: &str| -> PathBuf { root.path().join(&info.key).join(name) };
    let good = fs::read(at(corpus_cache::TRAIN)).unwrap();

    let damage: [(&str, &dyn Fn()); 4] = [
        ("train.bin has 100 bytes", &|| {
            fs::write(at(corpus_cache::TRAIN), &good[..100]).unwrap();
        }),
        ("val.bin: ", &|| {
            fs::remove_file(at(corpus_cache::VAL)).unwrap()
        }),
        ("corpus.json: ", &|| {
            fs::write(at("corpus.json"), "{}").unwrap();
        }),
        ("it has format 0", &|| {
            let json = fs::read_to_string(at("corpus.json")).unwrap();
            fs::write(
                at("corpus.json"),
                json.replace(
                    &format!("\"format\": {}", corpus_cache::FORMAT),
                    "\"format\": 0",
                ),
            )
            .unwrap();
        }),
    ];
    for (expected, break_it) in damage {
        break_it();
        let error = open(root.path(), &info.key).unwrap_err().to_string();
        assert!(
            error.contains("is damaged") && error.contains(expected),
            "{error}"
        );
        assert_eq!(prepare(&plays, &tokenizer, root.path()).unwrap(), info);
        assert_eq!(fs::read(at(corpus_cache::TRAIN)).unwrap(), good);
    }

    // One changed byte keeps the size, and is found by its hash.
    let mut changed = good.clone();
    changed[1000] ^= 1;
    fs::write(at(corpus_cache::TRAIN), changed).unwrap();
    prepare(&plays, &tokenizer, root.path()).unwrap();
    assert_eq!(fs::read(at(corpus_cache::TRAIN)).unwrap(), good);
}

#[test]
fn several_may_prepare_the_same_corpus() {
    let root = tempfile::tempdir().unwrap();
    let plays = data(Source::Plays);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let info = prepare(&plays, &kind(TokenizerKind::Char), root.path()).unwrap();
                open(root.path(), &info.key).unwrap();
            });
        }
    });
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
}

#[test]
fn every_validation_token_is_scored_once() {
    let root = tempfile::tempdir().unwrap();
    let data = file(root.path(), &"abcdefghij".repeat(10));
    let info = prepare(&data, &kind(TokenizerKind::Byte), root.path()).unwrap();
    let corpus = open(root.path(), &info.key).unwrap();
    let windows: Vec<_> = corpus.eval_windows(Split::Val, 4).collect();
    assert_eq!(windows, [0..4, 4..8, 8..10]);
    let (mut inputs, mut targets) = (Vec::new(), Vec::new());
    for window in windows {
        corpus.eval_window(Split::Val, window, &mut inputs, &mut targets);
    }
    let expected = |text: &str| text.bytes().map(usize::from).collect::<Vec<_>>();
    assert_eq!(targets, expected("abcdefghij"));
    assert_eq!(inputs, expected("jabcdefghi"));
}

#[test]
fn every_training_token_but_the_first_is_scored_once() {
    let root = tempfile::tempdir().unwrap();
    let data = file(root.path(), &"abcdefghij".repeat(2));
    let data = Data {
        val_fraction: 0.5,
        ..data
    };
    let info = prepare(&data, &kind(TokenizerKind::Byte), root.path()).unwrap();
    let corpus = open(root.path(), &info.key).unwrap();
    let windows: Vec<_> = corpus.eval_windows(Split::Train, 4).collect();
    assert_eq!(windows, [1..5, 5..9, 9..10]);
    let (mut inputs, mut targets) = (Vec::new(), Vec::new());
    for window in windows {
        corpus.eval_window(Split::Train, window, &mut inputs, &mut targets);
    }
    let expected = |text: &str| text.bytes().map(usize::from).collect::<Vec<_>>();
    assert_eq!(targets, expected("bcdefghij"));
    assert_eq!(inputs, expected("abcdefghi"));
}

#[test]
fn a_cut_does_not_go_through_a_character() {
    let root = tempfile::tempdir().unwrap();
    let data = file(root.path(), &"é".repeat(11));
    let info = prepare(&data, &kind(TokenizerKind::Char), root.path()).unwrap();
    assert_eq!((info.train_bytes, info.val_bytes), (18, 4));
    assert_eq!((info.train_tokens, info.val_tokens), (9, 2));
}

#[test]
fn unknown_characters_of_the_validation_split_are_counted() {
    let root = tempfile::tempdir().unwrap();
    let data = file(root.path(), &("ab".repeat(50) + "xy" + &"ab".repeat(2)));
    let info = prepare(&data, &kind(TokenizerKind::Char), root.path()).unwrap();
    assert_eq!((info.vocab_size, info.val_unknown_tokens), (3, 2));
}

#[test]
fn texts_that_are_too_short_or_too_long_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let error = |data: &Data| {
        prepare(data, &kind(TokenizerKind::Char), root.path())
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        error(&file(root.path(), "a")),
        "the text has 1 bytes, too few to hold out 0.1 of them for validation"
    );
    assert!(error(&file(root.path(), "")).ends_with("text.txt is empty"));
    let long = Data {
        max_bytes: 20_000,
        ..data(Source::Plays)
    };
    assert_eq!(
        error(&long),
        "builtin:plays has 30000 bytes, more than the 20000 that data.max_bytes allows"
    );

    let info = prepare(
        &file(root.path(), &"ab".repeat(50)),
        &kind(TokenizerKind::Char),
        root.path(),
    );
    let info = info.unwrap();
    check_sequence_length(&info, 89).unwrap();
    assert_eq!(
        check_sequence_length(&info, 90).unwrap_err().to_string(),
        "the training split has 90 tokens, and sequences of 90 need at least 91"
    );
}

#[test]
fn tiny_shakespeare_has_its_known_counts() {
    let Some(data) = published("tinyshakespeare.txt") else {
        return;
    };
    let root = tempfile::tempdir().unwrap();
    let info = prepare(&data, &kind(TokenizerKind::Char), root.path()).unwrap();
    assert_eq!((info.vocab_size, info.val_unknown_tokens), (65, 0));
    assert_eq!(info.train_tokens + info.val_tokens, 1_115_394);
    let loss = info.bigram_count_loss.unwrap();
    assert!((loss - 2.4819).abs() < 5e-5, "{loss}");
    // The file is the one that the name stands for, so its corpus serves the name, unread.
    let named = Data {
        source: Source::TinyShakespeare,
        ..data
    };
    let again = prepare(&named, &kind(TokenizerKind::Char), root.path()).unwrap();
    assert_eq!(
        (again.key, again.source.as_str()),
        (info.key, "tiny-shakespeare")
    );
}

#[test]
fn names_have_their_known_counts() {
    let Some(data) = published("names.txt") else {
        return;
    };
    let root = tempfile::tempdir().unwrap();
    let info = prepare(&data, &kind(TokenizerKind::Char), root.path()).unwrap();
    assert_eq!(info.vocab_size, 27);
    assert_eq!((info.train_tokens, info.val_tokens), (205_330, 22_815));
    let named = Data {
        source: Source::Names,
        ..data
    };
    let again = prepare(&named, &kind(TokenizerKind::Char), root.path()).unwrap();
    assert_eq!(again.key, info.key);
}
