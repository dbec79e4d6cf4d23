//! Bytes as characters, for vocabularies whose tokens are not UTF-8: printable Latin-1 bytes stand
//! for themselves and the others for the characters from U+0100 on, in order (GPT-2's
//! `bytes_to_unicode`).

use std::collections::HashMap;

/// The character that stands for each byte.
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

/// The bytes that each token stands for: as decoders have it, its own where it has other characters.
pub(super) fn pieces(tokens: &[String]) -> Vec<Vec<u8>> {
    let bytes: HashMap<char, u8> = characters().into_iter().zip(0..=255).collect();
    let piece = |token: &String| {
        let spelt = token
            .chars()
            .map(|character| bytes.get(&character).copied());
        spelt
            .collect::<Option<_>>()
            .unwrap_or_else(|| token.as_bytes().to_vec())
    };
    tokens.iter().map(piece).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokenizers::pre_tokenizers::byte_level::ByteLevel;

    #[test]
    fn is_the_alphabet_of_byte_level_tokenizers() {
        let ours: std::collections::HashSet<_> = characters().into_iter().collect();
        let theirs: std::collections::HashSet<_> = ByteLevel::alphabet().into_iter().collect();
        assert_eq!(ours, theirs);
        // A space is written as in GPT-2's vocabulary.
        assert_eq!(characters()[usize::from(b' ')], 'Ġ');
        assert_eq!(characters()[usize::from(b'\n')], 'Ċ');
    }
}
