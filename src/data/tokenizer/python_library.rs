//! A test of the files that are written, with the Python library `tokenizers`. It has another engine
//! for regular expressions than the Rust library.

use super::Tokenizer;
use crate::random::{Stream, below};
use crate::spec::{self, Encoding, TokenizerKind};
use rand_core::RngCore;
use serde_json::json;
use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Parts of odd texts: contractions in both cases, digits and white space of several scripts, letters
/// without case and with three, combining marks, joiners, and characters that are none.
const PARTS: &[&str] = &[
    "the",
    "Quick",
    "BROWN",
    " ",
    "  ",
    "   ",
    "\n",
    "\r\n",
    "\t",
    "\n\n\n",
    "'s",
    "'S",
    "'ſ",
    "'ll",
    "'LL",
    "I've",
    "don't",
    "'RE",
    "’s",
    "0311",
    "7",
    "12345678",
    "1.5e-3",
    "٣٤٥",
    "५६",
    "²³",
    "Ⅷ",
    "½",
    "㊿",
    "\u{a0}",
    "\u{85}",
    "\u{1680}",
    "\u{2003}",
    "\u{2028}",
    "\u{3000}",
    "\u{180e}",
    "\u{200b}",
    "\u{b}",
    "\u{c}",
    "ß",
    "ẞ",
    "ŉ",
    "ﬁ",
    "İ",
    "ı",
    "ſ",
    "ǅ",
    "ʰ",
    "K",
    "Привет",
    "ёж",
    "Ωμέγα",
    "שלום",
    "مرحبا",
    "ﷺ",
    "नमस्ते",
    "ไทย",
    "日本語",
    "テキスト",
    "ｶﾞ",
    "한국어",
    "e\u{301}",
    "\u{301}",
    "👍🏽",
    "👩\u{200d}👧",
    "🇩🇪",
    "\u{feff}",
    "\u{fffd}",
    "\u{0}",
    "\u{1b}",
    "\u{7f}",
    "\u{e000}",
    "\u{10ffff}",
    "\u{378}",
    "$",
    "€",
    "_",
    "__init__",
    "#",
    "##",
    "▁",
    "▁▁",
    "/",
    "//",
    "\\",
    "{\"a\": [1]}",
    "<|endoftext|>",
    "[UNK]",
    "<unk>",
    "<0x0A>",
    "Ġ",
    "Ċ",
    "^",
    "---",
    "...",
];

/// Texts of random parts.
fn odd_texts(number: usize) -> Vec<String> {
    let mut rng = Stream::new(1, "odd texts").at(0);
    let text = |_| -> String {
        let parts = 1 + rng.next_u32() % 12;
        let part = |_| PARTS[below(&mut rng, PARTS.len() as u64) as usize];
        (0..parts).map(part).collect()
    };
    (0..number).map(text).collect()
}

/// Writes a tokenizer with the tokens of all texts, as `tests/python/tokenizers_agree.py` reads them.
fn write(folder: &Path, tokenizer: &Tokenizer, texts: &[String]) {
    fs::create_dir(folder).unwrap();
    tokenizer.save(&folder.join("tokenizer.json")).unwrap();
    let case = |text: &String| {
        let mut ids = Vec::new();
        let encoded = tokenizer.encode_split(text, &mut |tokens| {
            ids.extend_from_slice(tokens);
            Ok(())
        });
        encoded.unwrap();
        let decoded = tokenizer.pipeline.decode(&ids, false).unwrap();
        json!({ "text": text, "ids": ids, "decoded": decoded })
    };
    let cases: Vec<_> = texts.iter().map(case).collect();
    let json = serde_json::to_string(&cases).unwrap();
    fs::write(folder.join("cases.json"), json).unwrap();
}

#[test]
#[ignore = "needs Python with the packages of tests/python/requirements.txt"]
fn the_python_library_reads_the_same_tokens() {
    let folder = tempfile::tempdir().unwrap();
    let mut texts = odd_texts(400);
    texts.extend(PARTS.iter().map(|&part| part.to_owned()));
    let plays = crate::data::plays::generate(5, 30_000).text;
    texts.push(plays[..4000].to_owned());
    texts.push("no_spaces".repeat(200));
    texts.push(" ".repeat(300) + "x");
    let training_text = plays + &texts.concat();

    let train = |kind: TokenizerKind, vocab_size| {
        let spec = spec::Tokenizer {
            kind,
            vocab_size,
            ..spec::Tokenizer::default()
        };
        Tokenizer::train(&spec, &training_text, "").unwrap()
    };
    for kind in [
        TokenizerKind::Char,
        TokenizerKind::Byte,
        TokenizerKind::Bpe,
        TokenizerKind::Wordpiece,
        TokenizerKind::Unigram,
    ] {
        let name = folder.path().join(kind.to_string());
        write(&name, &train(kind, 700), &texts);
    }
    let unknown = spec::Tokenizer::default();
    let unknown = Tokenizer::train(&unknown, "abc", "abcd").unwrap();
    write(&folder.path().join("char-unknown"), &unknown, &texts);
    for encoding in [
        Encoding::Gpt2,
        Encoding::P50kBase,
        Encoding::Cl100kBase,
        Encoding::O200kBase,
    ] {
        let spec = spec::Tokenizer {
            kind: TokenizerKind::Tiktoken,
            encoding,
            ..spec::Tokenizer::default()
        };
        let tokenizer = Tokenizer::train(&spec, "", "").unwrap();
        write(
            &folder.path().join(encoding.to_string()),
            &tokenizer,
            &texts,
        );
    }

    let python = env::var("PYTHON").unwrap_or("python3".to_owned());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/tokenizers_agree.py");
    let compared = Command::new(python)
        .arg(script)
        .arg(folder.path())
        .output()
        .unwrap();
    assert!(
        compared.status.success(),
        "{}{}",
        String::from_utf8_lossy(&compared.stdout),
        String::from_utf8_lossy(&compared.stderr)
    );
}
