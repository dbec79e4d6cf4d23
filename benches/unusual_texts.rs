//! Measures how long it takes to train a tokenizer on texts without words, and to encode them, beside prose of the same
//! length: `cargo bench --bench unusual_texts`.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

const BYTES: usize = 1_000_000;
const ROUNDS: usize = 3;
const KINDS: [&str; 3] = ["bpe", "wordpiece", "unigram"];

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let prose = prose(folder.path())?;
    let texts = [
        ("prose", prose.clone()),
        ("prose without spaces", prose.split_whitespace().collect()),
        ("random letters without spaces", letters(26)),
        ("one letter", "a".repeat(BYTES)),
    ];
    println!("Seconds for {BYTES} bytes (and relative to prose), medians of {ROUNDS}\n");
    println!(
        "| Tokenizer | {} |",
        texts.each_ref().map(|(name, _)| *name).join(" | ")
    );
    println!("|:--|{}", "--:|".repeat(texts.len()));
    for kind in KINDS {
        let mut cells = Vec::new();
        let mut of_prose = None;
        for (_, text) in &texts {
            let source = folder.path().join("text.txt");
            fs::write(&source, &text[..text.len().min(BYTES)])?;
            cells.push(match seconds(folder.path(), &source, kind)? {
                Some(seconds) => {
                    let ratio = seconds / *of_prose.get_or_insert(seconds);
                    format!("{seconds:.2} ({ratio:.1})")
                }
                None => "refused".to_owned(),
            });
        }
        println!("| {kind} | {} |", cells.join(" | "));
    }
    Ok(())
}

/// A text of `builtin:plays`, read back from the tokens of its characters.
fn prose(folder: &Path) -> Result<String, Box<dyn Error>> {
    use runner::data;
    use runner::spec::{Data, Tokenizer};
    let plays = Data {
        plays_bytes: 2 * BYTES as u64,
        ..Data::default()
    };
    let info = data::prepare(&plays, &Tokenizer::default(), folder)?;
    let corpus = data::open(folder, &info.key)?;
    let tokens: Vec<u32> = corpus.train.iter().map(|token| token as u32).collect();
    Ok(corpus.tokenizer.decode(&tokens))
}

/// Letters of an alphabet in an order without a pattern.
fn letters(alphabet: u64) -> String {
    let mut state: u64 = 1;
    let letter = |_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        char::from(b'a' + ((state >> 33) % alphabet) as u8)
    };
    (0..BYTES).map(letter).collect()
}

/// Median seconds of a plan, which reads the text, trains the tokenizer and encodes the text. `None` if the text is
/// refused, which is not measured.
fn seconds(folder: &Path, source: &Path, kind: &str) -> Result<Option<f64>, Box<dyn Error>> {
    let experiment = folder.join("texts.yaml");
    let text = format!(
        "name: texts\ndata: {{source: {source:?}}}\ntokenizer: {{kind: {kind}, vocab_size: 300}}\n\
         model: {{kind: bigram, block_size: 8}}\nsample: {{prompt: a}}\n"
    );
    fs::write(&experiment, text)?;
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let results = folder.join("results");
        if results.exists() {
            fs::remove_dir_all(&results)?;
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_runner"));
        command
            .arg("plan")
            .arg(&experiment)
            .arg("--results")
            .arg(&results);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let started = Instant::now();
        let status = command.status()?;
        times.push(started.elapsed().as_secs_f64());
        if !status.success() {
            return Ok(None);
        }
    }
    times.sort_by(f64::total_cmp);
    Ok(Some(times[ROUNDS / 2]))
}
