//! Tests of preparing and opening a corpus.

use super::*;
use crate::hash;
use crate::spec::{self, Data, Source, TokenizerKind};
use std::fs;
use std::path::{Path, PathBuf};

/// The default settings with a source. Generated texts are short.
fn data(source: Source) -> Data {
    Data {
        source,
        plays_bytes: 30_000,
        ..Data::default()
    }
}

/// A file with a text, as a source.
fn file(dir: &Path, text: &str) -> Data {
    let path = dir.join("text.txt");
    fs::write(&path, text).unwrap();
    data(Source::Path(path.display().to_string()))
}

/// A tokenizer of a kind with a small vocabulary.
fn kind(kind: TokenizerKind) -> spec::Tokenizer {
    spec::Tokenizer {
        kind,
        vocab_size: 300,
        ..spec::Tokenizer::default()
    }
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
fn generated_text_has_a_lower_bound_below_the_bigram_loss() {
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
fn each_combination_of_text_and_tokenizer_has_its_own_corpus() {
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
    // The vocabulary size has no effect for characters.
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
    assert_eq!(entries, keys.len(), "there are leftovers");
}

#[test]
fn an_existing_corpus_is_not_written_again() {
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
fn a_damaged_corpus_is_detected_and_written_again() {
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
        (
            "it has format 0; this version of runner reads format 4",
            &|| {
                // Earlier formats had no digest.
                let json = fs::read_to_string(at("corpus.json")).unwrap();
                let (contents, _) = json.split_once(",\n  \"sha256\": ").unwrap();
                let now = format!("\"format\": {}", corpus_cache::FORMAT);
                let earlier = contents.replace(&now, "\"format\": 0") + "\n}\n";
                fs::write(at("corpus.json"), earlier).unwrap();
            },
        ),
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

    // A changed byte does not change the size. It is detected by the checksum.
    let mut changed = good.clone();
    changed[1000] ^= 1;
    fs::write(at(corpus_cache::TRAIN), changed).unwrap();
    prepare(&plays, &tokenizer, root.path()).unwrap();
    assert_eq!(fs::read(at(corpus_cache::TRAIN)).unwrap(), good);
}

/// The notices while a corpus is prepared.
fn notices(data: &Data, tokenizer: &spec::Tokenizer, root: &Path) -> Vec<String> {
    let mut notices = Vec::new();
    let mut notify = |notice: &str| notices.push(notice.to_owned());
    prepare_with_notices(data, tokenizer, root, &mut notify).unwrap();
    notices
}

#[test]
fn a_changed_description_is_not_used_and_said_to_be_damaged() {
    let root = tempfile::tempdir().unwrap();
    let plays = data(Source::Plays);
    let tokenizer = kind(TokenizerKind::Char);
    let info = prepare(&plays, &tokenizer, root.path()).unwrap();
    let folder = root.path().join(&info.key);
    let path = folder.join("corpus.json");
    let good = fs::read_to_string(&path).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&good).unwrap();
    let changes: [(&str, serde_json::Value); 10] = [
        ("/info/vocab_size", 9.into()),
        ("/info/train_bytes", 9.into()),
        ("/info/val_bytes", 9.into()),
        ("/info/train_tokens", 9.into()),
        ("/info/val_tokens", 9.into()),
        ("/info/val_unknown_tokens", 9.into()),
        ("/info/lossless", false.into()),
        ("/info/floor_bits_per_byte", 0.5.into()),
        ("/info/data_sha256", "00".into()),
        ("/files/val.bin/sha256", "00".into()),
    ];
    for (pointer, value) in changes {
        let mut changed = manifest.clone();
        *changed.pointer_mut(pointer).unwrap() = value;
        let json = serde_json::to_string_pretty(&changed).unwrap() + "\n";
        fs::write(&path, json).unwrap();
        assert!(open(root.path(), &info.key).is_err(), "{pointer}");
        assert_eq!(
            notices(&plays, &tokenizer, root.path()),
            [format!(
                "note: the encoded corpus {} is damaged: corpus.json: its contents do not agree with the digest at its end; it is written again",
                folder.display()
            )]
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), good);
    }
    assert_eq!(notices(&plays, &tokenizer, root.path()), [""; 0]);
}

#[test]
fn a_corpus_under_another_name_is_not_used() {
    let root = tempfile::tempdir().unwrap();
    let tokenizer = kind(TokenizerKind::Char);
    let other = Data {
        plays_seed: 2,
        ..data(Source::Plays)
    };
    let [first, second] =
        [data(Source::Plays), other].map(|data| prepare(&data, &tokenizer, root.path()).unwrap());
    let folder = |info: &crate::results::CorpusInfo| root.path().join(&info.key);
    fs::remove_dir_all(folder(&first)).unwrap();
    fs::rename(folder(&second), folder(&first)).unwrap();
    let error = open(root.path(), &first.key).unwrap_err().to_string();
    let expected = format!("it is the corpus {}, under another name", second.key);
    assert!(error.ends_with(&expected), "{error}");
    assert_eq!(
        prepare(&data(Source::Plays), &tokenizer, root.path()).unwrap(),
        first
    );
}

#[test]
fn line_breaks_with_a_carriage_return_are_said() {
    let root = tempfile::tempdir().unwrap();
    let tokenizer = kind(TokenizerKind::Char);
    let unix = file(root.path(), &"one\ntwo\n".repeat(9));
    assert_eq!(notices(&unix, &tokenizer, root.path()), [""; 0]);
    let windows = file(root.path(), &"one\r\ntwo\r\n".repeat(9));
    let said = notices(&windows, &tokenizer, root.path());
    assert_eq!(said.len(), 1);
    assert!(
        said[0].ends_with(
            "text.txt end with \\r\\n; \\r stays in the text, as a character of its own"
        ),
        "{said:?}"
    );
    // Also if the corpus comes from the cache.
    assert_eq!(notices(&windows, &tokenizer, root.path()), said);
}

/// Its normalizer adds a space at the start of a text, and its decoder removes it.
#[test]
fn a_tokenizer_of_llama_is_lossless() {
    let root = tempfile::tempdir().unwrap();
    let json = r#"{"version": "1.0", "added_tokens": [],
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "BPE", "unk_token": "<unk>", "merges": [["▁", "a"]],
            "vocab": {"<unk>": 0, "▁": 1, "a": 2, "b": 3, "▁a": 4}}}"#;
    let path = root.path().join("llama.json");
    fs::write(&path, json).unwrap();
    let tokenizer = spec::Tokenizer {
        path: Some(path.display().to_string()),
        ..kind(TokenizerKind::File)
    };
    let data = file(root.path(), &"ab ba a".repeat(30));
    let info = prepare(&data, &tokenizer, &root.path().join("cache")).unwrap();
    assert!(info.lossless);
    // A tokenizer that drops the spaces in the text is not.
    fs::write(
        &path,
        json.replacen(r#""content": " ""#, r#""content": """#, 1),
    )
    .unwrap();
    let info = prepare(&data, &tokenizer, &root.path().join("cache")).unwrap();
    assert!(!info.lossless);
}

#[test]
fn several_threads_can_prepare_the_same_corpus() {
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
fn a_split_does_not_divide_a_character() {
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
fn texts_that_are_too_short_or_too_long_are_errors() {
    let root = tempfile::tempdir().unwrap();
    let error = |data: &Data| {
        prepare(data, &kind(TokenizerKind::Char), root.path())
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        error(&file(root.path(), "a")),
        "the text has 1 bytes, which is too short to hold out a fraction of 0.1 for validation"
    );
    assert!(error(&file(root.path(), "")).ends_with("text.txt is empty"));
    let long = Data {
        max_bytes: 20_000,
        ..data(Source::Plays)
    };
    assert_eq!(
        error(&long),
        "builtin:plays has 30000 bytes; data.max_bytes allows at most 20000"
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
        "the training split has 90 tokens; sequences of 90 tokens need at least 91"
    );
}

/// The counts are made here in another way: from the characters of the text.
#[test]
fn a_corpus_has_the_counts_of_its_text() {
    let root = tempfile::tempdir().unwrap();
    let text = plays::generate(4, 50_000).text;
    let data = file(root.path(), &text);
    let info = prepare(&data, &kind(TokenizerKind::Char), root.path()).unwrap();

    let mut alphabet: Vec<char> = text.chars().collect();
    alphabet.sort_unstable();
    alphabet.dedup();
    let size = alphabet.len();
    assert_eq!(info.vocab_size, size);
    assert_eq!(info.data_sha256, hash::sha256(text.as_bytes()));
    // The text is ASCII, so a character is a byte.
    let ids: Vec<usize> = text
        .chars()
        .map(|character| alphabet.binary_search(&character).unwrap())
        .collect();
    let train = (text.len() as f64 * 0.9) as usize;
    assert_eq!(info.train_tokens, train as u64);
    assert_eq!(info.train_tokens + info.val_tokens, ids.len() as u64);

    // The better of add-one smoothing and Witten-Bell interpolation.
    let mut pairs = vec![vec![0.0; size]; size];
    let mut singles = vec![0.0; size];
    ids[..train].iter().for_each(|&token| singles[token] += 1.0);
    for pair in ids[..train].windows(2) {
        pairs[pair[0]][pair[1]] += 1.0;
    }
    let distinct = |counts: &[f64]| counts.iter().filter(|&&count| count > 0.0).count() as f64;
    let (mut add_one, mut interpolated) = (0.0, 0.0);
    for pair in ids[train - 1..].windows(2) {
        let (after, count) = (&pairs[pair[0]], pairs[pair[0]][pair[1]]);
        let total: f64 = after.iter().sum();
        add_one -= f64::ln((count + 1.0) / (total + size as f64));
        let kinds = distinct(&singles);
        let single = (singles[pair[1]] + kinds / size as f64) / (train as f64 + kinds);
        let kinds = distinct(after);
        interpolated -= f64::ln((count + kinds * single) / (total + kinds));
    }
    let expected = f64::min(add_one, interpolated) / info.val_tokens as f64;
    let loss = info.bigram_count_loss.unwrap();
    assert!((loss - expected).abs() < 1e-9, "{loss} {expected}");
}

/// No server is asked: the port of the address is not in use.
#[test]
fn a_url_with_the_checksum_of_a_local_text_has_its_corpus() {
    let root = tempfile::tempdir().unwrap();
    let text = plays::generate(4, 20_000).text;
    let local = prepare(
        &file(root.path(), &text),
        &kind(TokenizerKind::Char),
        root.path(),
    )
    .unwrap();
    let url = "http://127.0.0.1:1/input.txt";
    let remote = data(Source::Url {
        url: url.to_owned(),
        sha256: local.data_sha256.to_uppercase(),
    });
    let remote = prepare(&remote, &kind(TokenizerKind::Char), root.path()).unwrap();
    assert_eq!((remote.key, remote.source.as_str()), (local.key, url));
}

#[test]
#[ignore = "needs the network, unless both files are in the folder of downloads"]
fn published_texts_have_their_known_counts() {
    let root = tempfile::tempdir().unwrap();
    let info = |source| prepare(&data(source), &kind(TokenizerKind::Char), root.path()).unwrap();
    let shakespeare = info(Source::TinyShakespeare);
    assert_eq!(
        (shakespeare.vocab_size, shakespeare.val_unknown_tokens),
        (65, 0)
    );
    let tokens = shakespeare.train_tokens + shakespeare.val_tokens;
    assert_eq!(tokens, 1_115_394);
    let loss = shakespeare.bigram_count_loss.unwrap();
    assert!((loss - 2.4819).abs() < 5e-5, "{loss}");
    let names = info(Source::Names);
    assert_eq!(names.vocab_size, 27);
    assert_eq!((names.train_tokens, names.val_tokens), (205_330, 22_815));
}

#[test]
fn the_test_split_is_the_end_of_the_text_and_changes_no_tokenizer() {
    let root = tempfile::tempdir().unwrap();
    // A character that only the test split has.
    let text = plays::generate(9, 40_000).text + "é";
    let data = Data {
        val_fraction: 0.1,
        test_fraction: 0.2,
        ..file(root.path(), &text)
    };
    for tokenizer in [TokenizerKind::Char, TokenizerKind::Byte, TokenizerKind::Bpe] {
        let tokenizer = kind(tokenizer);
        let [val, test] = [
            prepare(&data, &tokenizer, root.path()).unwrap(),
            prepare_test(&data, &tokenizer, root.path()).unwrap(),
        ];
        assert_eq!(val.content_sha256(), test.content_sha256());
        assert_eq!(val.train_bytes, test.train_bytes);
        let bytes = [val.train_bytes, val.val_bytes, test.val_bytes];
        assert_eq!(bytes.iter().sum::<u64>(), text.len() as u64);
        let corpus = open(root.path(), &test.key).unwrap();
        let ids: Vec<u32> = corpus.val.iter().map(|token| token as u32).collect();
        let decoded = corpus.tokenizer.decode(&ids);
        let expected = &text[(val.train_bytes + val.val_bytes) as usize..];
        assert_eq!(decoded[..200], expected[..200]);
        assert_ne!(val.key, test.key);
    }
    let tiny = Data {
        test_fraction: 0.2,
        ..file(root.path(), "ab")
    };
    let error = prepare(&tiny, &kind(TokenizerKind::Byte), root.path()).unwrap_err();
    assert!(
        error.to_string().contains("one of 0.2 for the test"),
        "{error}"
    );
}
