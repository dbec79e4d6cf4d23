//! What Python reads from the files of a sweep. Each of these tests has `python_library` in its name, and needs
//! Python with the packages of `tests/python/requirements.txt`.

use crate::support::Lab;
use std::path::Path;
use std::process::Command;

/// Names that a reader of YAML 1.1 takes for a boolean, a number, or a date.
const NAMES: [&str; 6] = ["no", "y", "1e3", "0x1F", "1_000", "2001-01-01"];

/// The same for texts, with null, with signs of YAML, and with characters that a file must not have.
const TEXTS: [&str; 18] = [
    "no",
    "12:30",
    "1e3",
    "0o7",
    "=",
    "<<",
    "~",
    "null",
    ".5",
    "1_000",
    "2001-12-14 21:59:43",
    "- a",
    "a: b",
    " #",
    "\\n\\n b\\n",
    "\\0\\r\\x7F\\x85\\xA0",
    "\\u2028\\u2029\\uFEFF",
    "é 日本 👍",
];

/// An experiment with a GPT, and a bigram model for each name and each text.
fn experiment() -> String {
    let mut text = "\
name: tiny
data: {source: 'builtin:plays', plays_bytes: 20000}
tokenizer: {kind: byte}
model: {kind: bigram, n_layer: 2, n_head: 2, n_embd: 16, block_size: 16}
optimizer: {lr: 1.0e-2, eps: 1.0e-8}
train: {steps: 20, batch_size: 4, eval_every: 10}
sample: {tokens: 1}
sweep:
  seeds: [1]
  baseline: gpt
  variants:
    gpt: {model: {kind: gpt}}
"
    .to_owned();
    let texts = TEXTS.iter().enumerate();
    let texts = texts.map(|(number, text)| (format!("text-{number}"), *text));
    let names = NAMES.iter().map(|name| ((*name).to_owned(), "text"));
    for (number, (name, prompt)) in names.chain(texts).enumerate() {
        // Another learning rate, because no two variants may have the same results.
        text += &format!(
            "    \"{name}\": {{optimizer: {{lr: 1.{number:02}e-2}}, sample: {{prompt: \"{prompt}\", stop: \"{prompt}\"}}}}\n"
        );
    }
    text
}

#[test]
#[ignore = "needs Python with the packages of tests/python/requirements.txt"]
fn the_python_library_reads_the_same_configurations_and_weights() {
    let lab = Lab::new(&experiment());
    lab.run("sweep tiny.yaml").exits(0);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/results_agree.py");
    let compared = Command::new(std::env::var("PYTHON").unwrap_or("python3".to_owned()))
        .arg(script)
        .arg(lab.path("results/tiny"))
        .output()
        .unwrap();
    assert!(
        compared.status.success(),
        "{}{}",
        String::from_utf8_lossy(&compared.stdout),
        String::from_utf8_lossy(&compared.stderr)
    );
}

/// The browsers that can be used, by the names of their programs.
const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// Seven variants, of which one is far worse than the others.
const PAGE: &str = "\
name: page
description: Which variant has the lowest loss?
data: {source: 'builtin:plays', plays_bytes: 40000}
model: {n_layer: 1, n_head: 2, n_embd: 16, block_size: 16}
optimizer: {lr: 1.0e-2}
train: {steps: 60, batch_size: 8, eval_every: 10}
sample: {tokens: 200}
compare: {margin: 0.05}
sweep:
  seeds: 4
  variants:
    gpt: {}
    bigram: {model: {kind: bigram}, optimizer: {lr: 1.0e-5}}
    rmsnorm: {model: {norm: rmsnorm}}
    swiglu: {model: {mlp: swiglu}}
    wide: {model: {n_embd: 32}}
    narrow-with-a-name-of-more-than-forty-characters: {model: {n_embd: 8}}
    untied: {model: {tie_weights: false}}
";

#[test]
#[ignore = "needs Chromium, and Python with the packages of tests/python/requirements.txt"]
fn the_page_works_in_a_browser_driven_by_a_python_library() {
    let is_there = |browser: &&str| Command::new(browser).arg("--version").output().is_ok();
    let Some(browser) = BROWSERS.into_iter().find(is_there) else {
        println!("left out, because there is no Chromium");
        return;
    };
    let lab = Lab::new(PAGE);
    lab.run("sweep tiny.yaml").exits(0);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let used = Command::new(std::env::var("PYTHON").unwrap_or("python3".to_owned()))
        .arg(root.join("tests/python/page_works.py"))
        .arg(browser)
        .arg(lab.path("results/page"))
        .arg(root.join("target/page"))
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&used.stderr);
    assert!(used.status.success(), "{errors}");
}
