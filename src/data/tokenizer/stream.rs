use super::Tokenizer;

/// Turns tokens into text one by one, as a model draws them.
///
/// Every piece of text is whole: the bytes of a character that is not complete yet are held back,
/// and so is what may turn out to be the beginning of the text to stop at. All pieces together are
/// what [`Tokenizer::decode`] makes of all tokens, up to that text.
#[derive(Debug, Clone)]
pub struct TextStream<'a> {
    tokenizer: &'a Tokenizer,
    stop: Option<&'a str>,
    /// Bytes of no whole character yet.
    bytes: Vec<u8>,
    /// Text that may be the beginning of `stop`.
    held: String,
    stopped: bool,
}

impl<'a> TextStream<'a> {
    pub fn new(tokenizer: &'a Tokenizer, stop: Option<&'a str>) -> Self {
        Self {
            tokenizer,
            stop,
            bytes: Vec::new(),
            held: String::new(),
            stopped: false,
        }
    }

    /// Whether the text to stop at has come. Nothing comes after it.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// The text that is certain with one more token.
    pub fn push(&mut self, token: u32) -> String {
        self.bytes.extend_from_slice(self.tokenizer.piece(token));
        let text = whole_characters(&mut self.bytes);
        self.let_through(&text)
    }

    /// The text that was held back, after the last token.
    pub fn finish(mut self) -> String {
        let text = String::from_utf8_lossy(&std::mem::take(&mut self.bytes)).into_owned();
        let text = self.let_through(&text);
        if self.stopped {
            text
        } else {
            text + &self.held
        }
    }

    fn let_through(&mut self, text: &str) -> String {
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
            None => self.held.len() - possible_beginning(&self.held, stop),
        };
        let held = self.held.split_off(certain);
        std::mem::replace(&mut self.held, held)
    }
}

/// Takes the whole characters off the front, with U+FFFD for bytes that belong to none.
fn whole_characters(bytes: &mut Vec<u8>) -> String {
    // Bytes that begin a character and may yet be completed are the last chunk's, and are all that
    // follows its valid part.
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

/// Length of the longest end of `text` with which `stop` begins.
fn possible_beginning(text: &str, stop: &str) -> usize {
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

    /// What comes at each token, and at the end.
    fn pieces(tokenizer: &Tokenizer, tokens: &[u32], stop: Option<&str>) -> (Vec<String>, bool) {
        let mut stream = TextStream::new(tokenizer, stop);
        let mut pieces: Vec<_> = tokens.iter().map(|&token| stream.push(token)).collect();
        let stopped = stream.is_stopped();
        pieces.push(stream.finish());
        (pieces, stopped)
    }

    #[test]
    fn a_character_comes_when_it_is_whole() {
        let (tokenizer, euro) = (bytes(), "€".as_bytes());
        let tokens: Vec<u32> = [b"a", euro, b"b"]
            .concat()
            .into_iter()
            .map(u32::from)
            .collect();
        let (all, _) = pieces(&tokenizer, &tokens, None);
        assert_eq!(all, ["a", "", "", "€", "b", ""]);
        // One that never is, is replaced, as soon as that is known.
        let torn: Vec<u32> = [&euro[..2], b"b", &euro[..1]]
            .concat()
            .into_iter()
            .map(u32::from)
            .collect();
        let (all, _) = pieces(&tokenizer, &torn, None);
        assert_eq!(all, ["", "", "\u{FFFD}b", "", "\u{FFFD}"]);
    }

    #[test]
    fn what_may_be_the_end_is_held_back() {
        let tokens: Vec<u32> = "aab aabc".bytes().map(u32::from).collect();
        let tokenizer = bytes();
        let (all, stopped) = pieces(&tokenizer, &tokens, Some("aabc"));
        assert_eq!((all.concat().as_str(), stopped), ("aab ", true));
        assert_eq!(all[..4], ["", "", "", "aab "]);
        let (all, stopped) = pieces(&tokenizer, &tokens, Some("bcd"));
        assert_eq!((all.concat().as_str(), stopped), ("aab aabc", false));
        assert_eq!(all.last().unwrap(), "bc");
    }

    proptest! {
        #[test]
        fn pieces_are_the_text_up_to_the_stop(
            tokens in prop::collection::vec(prop_oneof![97..100u32, 0..300u32, 0xE0..0xF5u32, 0x80..0xC0u32], 0..60),
            stop in prop::option::of("[abc]{1,4}"),
        ) {
            let tokenizer = bytes();
            let text = tokenizer.decode(&tokens);
            let stop = stop.as_deref();
            let at = stop.and_then(|stop| text.find(stop));
            let (all, _) = pieces(&tokenizer, &tokens, stop);
            prop_assert_eq!(all.concat(), &text[..at.unwrap_or(text.len())]);
        }
    }
}
