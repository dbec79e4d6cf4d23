//! How much longer a normalizer makes a text. Each step of a hostile normalizer can double it.

use std::ops::Range;
use tokenizers::{NormalizedString, Normalizer, NormalizerWrapper};

/// How many times longer a normalizer may make a short piece of text.
const MAX_GROWTH: usize = 64;

/// Length of a piece in bytes. Each is normalized on its own, so that little memory is needed to find
/// out that a normalizer makes it too long.
const PIECE: usize = 4096;

/// The length of a text in bytes after normalization, up to the characters at the ends of pieces.
///
/// # Errors
/// If the normalizer makes a piece too long, or fails.
pub(super) fn normalized_len(
    normalizer: Option<&NormalizerWrapper>,
    text: &str,
) -> Result<usize, String> {
    let Some(normalizer) = normalizer else {
        return Ok(text.len());
    };
    let mut steps = Vec::new();
    collect_steps(normalizer, &mut steps);
    pieces(text)
        .map(|piece| normalized_piece(&steps, &text[piece]))
        .sum()
}

/// The steps of a normalizer, with those of sequences inside.
fn collect_steps<'a>(normalizer: &'a NormalizerWrapper, steps: &mut Vec<&'a NormalizerWrapper>) {
    match normalizer {
        NormalizerWrapper::Sequence(sequence) => {
            for inner in sequence.as_ref() {
                collect_steps(inner, steps);
            }
        }
        step => steps.push(step),
    }
}

fn normalized_piece(steps: &[&NormalizerWrapper], piece: &str) -> Result<usize, String> {
    let mut normalized = NormalizedString::from(piece);
    for step in steps {
        step.normalize(&mut normalized)
            .map_err(|error| error.to_string())?;
        // A text may also be prepended.
        let limit = MAX_GROWTH * (piece.len() + MAX_GROWTH);
        if normalized.get().len() > limit {
            return Err(format!(
                "its normalizer makes a text more than {MAX_GROWTH} times longer"
            ));
        }
    }
    Ok(normalized.get().len())
}

/// Cuts a text into pieces at the boundaries of characters.
fn pieces(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut from = 0;
    std::iter::from_fn(move || {
        let start = from;
        from = text.len().min(start + PIECE);
        while !text.is_char_boundary(from) {
            from += 1;
        }
        (start < from).then_some(start..from)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn len(json: &str, text: &str) -> Result<usize, String> {
        let normalizer = serde_json::from_str(json).unwrap();
        normalized_len(Some(&normalizer), text)
    }

    #[test]
    fn the_length_is_that_of_the_normalized_text() {
        let text = "é a ".repeat(5000);
        let spaces = r#"{"type": "Replace", "pattern": {"String": " "}, "content": "▁"}"#;
        assert_eq!(len(spaces, &text), Ok(9 * 5000));
        assert_eq!(len(r#"{"type": "NFD"}"#, &text), Ok(6 * 5000));
        assert_eq!(normalized_len(None, &text), Ok(text.len()));
    }

    #[test]
    fn a_normalizer_that_doubles_a_text_again_and_again_is_refused() {
        let double = r#"{"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}"#;
        let json = |times| {
            let steps = [double].repeat(times).join(", ");
            format!(r#"{{"type": "Sequence", "normalizers": [{steps}]}}"#)
        };
        assert_eq!(len(&json(3), "aaaa"), Ok(32));
        assert_eq!(
            len(&json(40), "aaaa").unwrap_err(),
            "its normalizer makes a text more than 64 times longer"
        );
    }
}
