//! Incremental decoding: tokens to text, one token at a time.

use super::encode::Tokenizer;

/// Decodes tokens one by one, as a model generates them.
///
/// Text is returned as soon as it is certain. The bytes of an incomplete character are held back, and
/// so is text that may be the start of the stop string. The returned parts together are the text
/// that [`Tokenizer::decode`] gives for all tokens, up to the stop string.
#[derive(Debug, Clone)]
pub struct TextStream<'a> {
    tokenizer: &'a Tokenizer,
    stop: Option<&'a str>,
    /// Bytes of an incomplete character.
    bytes: Vec<u8>,
    /// Text that may be the start of `stop`.
    held: String,
    stopped: bool,
}

impl<'a> TextStream<'a> {
    /// `stop` is the stop string: the text ends before it.
    pub fn new(tokenizer: &'a Tokenizer, stop: Option<&'a str>) -> Self {
        Self {
            tokenizer,
            stop,
            bytes: Vec::new(),
            held: String::new(),
            stopped: false,
        }
    }

    /// Whether the stop string has been reached. No more text is returned after it.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Adds a token, and returns the text that has become certain.
    pub fn push(&mut self, token: u32) -> String {
        self.bytes
            .extend_from_slice(self.tokenizer.token_bytes(token));
        let text = take_complete_characters(&mut self.bytes);
        self.until_stop(&text)
    }

    /// Ends the text, and returns what was held back.
    pub fn finish(mut self) -> String {
        let text = String::from_utf8_lossy(&std::mem::take(&mut self.bytes)).into_owned();
        let text = self.until_stop(&text);
        if self.stopped {
            text
        } else {
            text + &self.held
        }
    }

    /// Adds text, and returns the certain text before the stop string.
    fn until_stop(&mut self, text: &str) -> String {
        if self.stopped {
            return String::new();
        }
        self.held += text;
        let Some(stop) = self.stop else {
            return std::mem::take(&mut self.held);
        };
        let certain = match self.held.find(stop) {
            Some(at) => {
                self.stopped = true;
                at
            }
            None => self.held.len() - possible_stop_start(&self.held, stop),
        };
        let held = self.held.split_off(certain);
        std::mem::replace(&mut self.held, held)
    }
}

/// Removes the complete characters from the front of `bytes`, and returns them. Invalid bytes become
/// U+FFFD.
fn take_complete_characters(bytes: &mut Vec<u8>) -> String {
    // The start of an incomplete character can only be at the end of the bytes. There it is all that
    // follows the valid part of the last chunk.
    let incomplete = match bytes.utf8_chunks().last() {
        Some(chunk)
            if std::str::from_utf8(chunk.invalid()).is_err_and(|e| e.error_len().is_none()) =>
        {
            chunk.invalid().len()
        }
        _ => 0,
    };
    let rest = bytes.split_off(bytes.len() - incomplete);
    let whole = std::mem::replace(bytes, rest);
    String::from_utf8_lossy(&whole).into_owned()
}

/// Length of the longest suffix of `text` that is a proper prefix of `stop`.
fn possible_stop_start(text: &str, stop: &str) -> usize {
    let ends = stop.char_indices().map(|(at, _)| at).rev();
    ends.into_iter()
        .find(|&len| text.ends_with(&stop[..len]))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Tokenizer;
    use crate::spec::{self, TokenizerKind};
    use proptest::prelude::*;

    fn bytes() -> Tokenizer {
        let spec = spec::Tokenizer {
            kind: TokenizerKind::Byte,
            ..spec::Tokenizer::default()
        };
        Tokenizer::train(&spec, "", "").unwrap()
    }

    /// The text returned for each token and at the end, and whether the stop string was reached.
    fn decode_all(
        tokenizer: &Tokenizer,
        tokens: &[u32],
        stop: Option<&str>,
    ) -> (Vec<String>, bool) {
        let mut stream = TextStream::new(tokenizer, stop);
        let mut parts: Vec<_> = tokens.iter().map(|&token| stream.push(token)).collect();
        let stopped = stream.is_stopped();
        parts.push(stream.finish());
        (parts, stopped)
    }

    #[test]
    fn a_character_is_returned_when_it_is_complete() {
        let (tokenizer, euro) = (bytes(), "€".as_bytes());
        let tokens: Vec<u32> = [b"a", euro, b"b"]
            .concat()
            .into_iter()
            .map(u32::from)
            .collect();
        let (all, _) = decode_all(&tokenizer, &tokens, None);
        assert_eq!(all, ["a", "", "", "€", "b", ""]);
        // An invalid character is replaced as soon as it cannot be completed.
        let torn: Vec<u32> = [&euro[..2], b"b", &euro[..1]]
            .concat()
            .into_iter()
            .map(u32::from)
            .collect();
        let (all, _) = decode_all(&tokenizer, &torn, None);
        assert_eq!(all, ["", "", "\u{FFFD}b", "", "\u{FFFD}"]);
    }

    #[test]
    fn the_start_of_a_stop_string_is_held_back() {
        let tokens: Vec<u32> = "aab aabc".bytes().map(u32::from).collect();
        let tokenizer = bytes();
        let (all, stopped) = decode_all(&tokenizer, &tokens, Some("aabc"));
        assert_eq!((all.concat().as_str(), stopped), ("aab ", true));
        assert_eq!(all[..4], ["", "", "", "aab "]);
        let (all, stopped) = decode_all(&tokenizer, &tokens, Some("bcd"));
        assert_eq!((all.concat().as_str(), stopped), ("aab aabc", false));
        assert_eq!(all.last().unwrap(), "bc");
    }

    proptest! {
        #[test]
        fn the_parts_are_the_text_up_to_the_stop_string(
            tokens in prop::collection::vec(prop_oneof![97..100u32, 0..300u32, 0xE0..0xF5u32, 0x80..0xC0u32], 0..60),
            stop in prop::option::of("[abc]{1,4}"),
        ) {
            let tokenizer = bytes();
            let text = tokenizer.decode(&tokens);
            let stop = stop.as_deref();
            let at = stop.and_then(|stop| text.find(stop));
            let (all, _) = decode_all(&tokenizer, &tokens, stop);
            prop_assert_eq!(all.concat(), &text[..at.unwrap_or(text.len())]);
        }
    }
}
