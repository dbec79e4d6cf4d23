//! A trial of a tokenizer on short texts. The library `tokenizers` accepts files whose tokenizers fail,
//! or never end, when they encode a text.

use super::{Tokenizer, TokenizerFile};
use crate::data::DataError;
use nix::time::{ClockId, clock_gettime};
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

/// Length in bytes of the shortest text whose time is compared with that of a longer one.
const SHORT_BYTES: usize = 8 << 10;

/// Length in bytes of the longest such text, unless a suspicious time needs a longer one.
const LONG_BYTES: usize = 128 << 10;

/// How many times longer the next text is.
const LENGTH_FACTOR: usize = 4;

/// How many times longer the time per byte of the next text may be. With a time that grows with the square of the
/// length, it is up to 4 times longer.
const MAX_TIME_FACTOR: f64 = 2.0;

/// From this factor on, a longer text is tried to be sure.
const SUSPICIOUS_TIME_FACTOR: f64 = 1.4;

/// A shorter time is not judged, because disturbances are too large a share of it.
const JUDGED_TIME: Duration = Duration::from_millis(200);

/// A shorter time says nothing. From here on, a time that grows fast is a reason to try a longer text.
const NOTICED_TIME: Duration = Duration::from_millis(20);

/// A time that is enough to see how it grows, so that a longer text is not tried. In a shorter one, what grows with the
/// length can hide what grows with its square.
const LONG_TIME: Duration = Duration::from_secs(2);

/// How often a time is measured before a growth is refused.
const MEASUREMENTS: usize = 3;

/// Encodes the texts, together and each on its own. An unknown text is no failure.
///
/// # Errors
/// If the tokenizer fails, or takes too long for a short text or for a text that becomes longer.
pub(super) fn run(tokenizer: Tokenizer, file: &TokenizerFile) -> Result<Tokenizer, DataError> {
    let tokenizer = Arc::new(tokenizer);
    let (done, result) = mpsc::channel();
    let tried = Arc::clone(&tokenizer);
    // A thread cannot be stopped. If this one does not end, it stays until the process has reported the
    // error and ends.
    let thread = thread::Builder::new().spawn(move || {
        let _ = done.send(encode_all(&tried).and_then(|()| check_growth(&tried)));
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

/// The shortest time so far to encode a text of this length. A disturbance makes a time longer, and none shorter.
struct Measured {
    bytes: usize,
    time: Duration,
}

impl Measured {
    fn new(tokenizer: &Tokenizer, bytes: usize) -> Result<Self, String> {
        let time = processor_time(tokenizer, bytes)?;
        Ok(Self { bytes, time })
    }

    fn again(&mut self, tokenizer: &Tokenizer) -> Result<(), String> {
        self.time = self.time.min(processor_time(tokenizer, self.bytes)?);
        Ok(())
    }

    /// How the time grows from that of a shorter text to this one.
    fn growth(&self, shorter: &Self) -> Growth {
        let per_byte = |measured: &Self| measured.time.as_secs_f64() / measured.bytes as f64;
        let factor = per_byte(self) / per_byte(shorter).max(f64::MIN_POSITIVE);
        if self.time >= JUDGED_TIME && factor > MAX_TIME_FACTOR {
            Growth::TooFast
        } else if self.time >= NOTICED_TIME && factor > SUSPICIOUS_TIME_FACTOR {
            Growth::Suspicious
        } else {
            Growth::Slow
        }
    }
}

/// How a time grows with the length of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Growth {
    TooFast,
    /// A longer text can tell.
    Suspicious,
    Slow,
}

/// Encodes longer and longer texts, until it is seen how the time grows. A regular expression that looks ahead to
/// the end of the text takes a time that grows with the square of its length.
fn check_growth(tokenizer: &Tokenizer) -> Result<(), String> {
    let mut shorter = Measured::new(tokenizer, SHORT_BYTES)?;
    loop {
        let bytes = shorter.bytes * LENGTH_FACTOR;
        let mut longer = Measured::new(tokenizer, bytes)?;
        if longer.time >= JUDGED_TIME {
            for _ in 1..MEASUREMENTS {
                shorter.again(tokenizer)?;
            }
        }
        for _ in 1..MEASUREMENTS {
            if longer.growth(&shorter) == Growth::TooFast && longer.time < LONG_TIME {
                longer.again(tokenizer)?;
            }
        }
        let growth = longer.growth(&shorter);
        if growth == Growth::TooFast {
            return Err(format!(
                "its time grows much faster than the text: {} KiB take {:.3} s, and {} KiB take {:.3} s",
                shorter.bytes >> 10,
                shorter.time.as_secs_f64(),
                bytes >> 10,
                longer.time.as_secs_f64()
            ));
        }
        let needs_longer = growth == Growth::Suspicious && longer.time < LONG_TIME / 4;
        let longest = if needs_longer {
            LONG_BYTES * LENGTH_FACTOR
        } else {
            LONG_BYTES
        };
        if bytes >= longest || longer.time >= LONG_TIME {
            return Ok(());
        }
        shorter = longer;
    }
}

/// The processor time of this thread to encode a text of about this length. Other processes do not change it much.
fn processor_time(tokenizer: &Tokenizer, bytes: usize) -> Result<Duration, String> {
    let now = || clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from);
    let text = TEXTS
        .map(|text| repeated(text, bytes / TEXTS.len()))
        .concat();
    let start = now();
    tokenizer.try_encode(&text)?;
    let took = now().and_then(|end| Ok(end.saturating_sub(start?)));
    took.map_err(|error| format!("its time cannot be measured: {error}"))
}

fn repeated(text: &str, bytes: usize) -> String {
    text.repeat(bytes.div_ceil(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_judged_by_the_time_per_byte() {
        let measured = |kib: usize, millis| Measured {
            bytes: kib << 10,
            time: Duration::from_millis(millis),
        };
        let growth = |short, long| measured(128, long).growth(&measured(32, short));
        assert_eq!(growth(100, 400), Growth::Slow);
        assert_eq!(growth(100, 700), Growth::Suspicious);
        assert_eq!(growth(100, 900), Growth::TooFast);
        // Too short for a judgment, and for a suspicion.
        assert_eq!(growth(10, 150), Growth::Suspicious);
        assert_eq!(growth(1, 16), Growth::Slow);
        assert_eq!(growth(0, 300), Growth::TooFast);
    }
}
