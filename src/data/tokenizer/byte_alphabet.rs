//! The alphabet of byte-level tokenizers, which writes each byte as a character. Printable Latin-1
//! bytes are written as themselves, and the other bytes as the characters from U+0100 on, in order
//! (GPT-2's `bytes_to_unicode`).

use std::collections::HashMap;

/// The character of each byte.
pub(super) fn characters() -> [char; 256] {
    let mut others = 0x100..;
    std::array::from_fn(|byte| {
        let code = match byte as u32 {
            code @ (0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF) => code,
            _ => others.next().unwrap_or_default(),
        };
        char::from_u32(code).expect("codes up to U+0200 are characters")
    })
}

/// The bytes that each token stands for. A token with a character outside the alphabet stands for
/// its own UTF-8 bytes, as in the decoder of the library.
pub(super) fn token_bytes(tokens: &[String]) -> Vec<Vec<u8>> {
    let bytes: HashMap<char, u8> = characters().into_iter().zip(0..=255).collect();
    let bytes_of = |token: &String| {
        let in_alphabet = token
            .chars()
            .map(|character| bytes.get(&character).copied());
        in_alphabet
            .collect::<Option<_>>()
            .unwrap_or_else(|| token.as_bytes().to_vec())
    };
    tokens.iter().map(bytes_of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokenizers::pre_tokenizers::byte_level::ByteLevel;

    #[test]
    fn the_alphabet_is_that_of_the_library() {
        let ours: std::collections::HashSet<_> = characters().into_iter().collect();
        let theirs: std::collections::HashSet<_> = ByteLevel::alphabet().into_iter().collect();
        assert_eq!(ours, theirs);
        // A space and a line break are written as in GPT-2's vocabulary.
        assert_eq!(characters()[usize::from(b' ')], 'Ġ');
        assert_eq!(characters()[usize::from(b'\n')], 'Ċ');
    }
}
