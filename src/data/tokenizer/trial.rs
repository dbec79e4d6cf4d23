//! A trial of a tokenizer on short texts. The library `tokenizers` accepts files whose tokenizers fail,
//! or never end, when they encode a text.

use super::{Tokenizer, TokenizerFile};
use crate::data::DataError;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// Time after which a trial has failed. Published tokenizers take a few milliseconds.
const MAX_TIME: Duration = Duration::from_secs(30);

/// Each is repeated up to this length in bytes, because a regular expression may take a time that grows
/// exponentially with the length of a word.
const MIN_BYTES: usize = 2000;

/// Words, digits, spaces, line breaks, punctuation, other scripts, emoji with joiners, combining marks,
/// and control characters.
const TEXTS: [&str; 9] = [
    "The quick brown fox, it said: \"I'll jump!\" (twice?)\r\n\tvar x_1 = {0.5e-3};\n",
    "a",
    "7",
    " ",
    "\n",
    "-",
    "日本語のテキスト。한국어 텍스트",
    "naïve e\u{301} ﷺ ﬁ ｶﾞ ẞ ŉ עברית العربية ไทย हिन्दी 👩\u{200d}👩\u{200d}👧🏽",
    "\u{0}\u{1b}\u{7f}\u{85}\u{a0}\u{200b}\u{2028}\u{feff}\u{fffd}\u{10ffff}",
];

/// Encodes the texts, together and each on its own. An unknown text is no failure.
///
/// # Errors
/// If the tokenizer fails, or takes too long for a short text.
pub(super) fn run(tokenizer: Tokenizer, file: &TokenizerFile) -> Result<Tokenizer, DataError> {
    let tokenizer = Arc::new(tokenizer);
    let (done, result) = mpsc::channel();
    let tried = Arc::clone(&tokenizer);
    // A thread cannot be stopped. If this one does not end, it stays until the process has reported the
    // error and ends.
    let thread = thread::Builder::new().spawn(move || {
        let _ = done.send(encode_all(&tried));
    });
    thread.map_err(DataError::Threads)?;
    let reason = match result.recv_timeout(MAX_TIME) {
        Ok(Ok(())) => None,
        Ok(Err(reason)) => Some(reason),
        Err(RecvTimeoutError::Timeout) => Some(format!(
            "it needs more than {} seconds for a short text",
            MAX_TIME.as_secs()
        )),
        Err(RecvTimeoutError::Disconnected) => Some("its trial ended early".to_owned()),
    };
    match reason {
        Some(reason) => Err(file.invalid(reason)),
        // The thread may still hold the other reference for a moment.
        None => Ok(Arc::try_unwrap(tokenizer).unwrap_or_else(|shared| Tokenizer::clone(&shared))),
    }
}

fn encode_all(tokenizer: &Tokenizer) -> Result<(), String> {
    let texts = TEXTS.map(|text| repeated(text, MIN_BYTES));
    let all = texts.concat();
    let texts = [""].into_iter().chain(texts.iter().map(String::as_str));
    for text in texts.chain([all.as_str()]) {
        tokenizer.try_encode(text)?;
    }
    Ok(())
}

fn repeated(text: &str, bytes: usize) -> String {
    text.repeat(bytes.div_ceil(text.len()))
}
