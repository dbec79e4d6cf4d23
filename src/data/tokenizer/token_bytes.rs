//! What each token stands for, as bytes.

use super::alphabet;
use tokenizers::{Decoder, DecoderWrapper};

/// The bytes of each token, as the decoder of the pipeline gives them in the middle of a text. To
/// decode is to join them, so that text can be shown as it comes, token by token.
pub(super) fn of(
    tokens: &[String],
    decoder: Option<&DecoderWrapper>,
) -> Result<Vec<Vec<u8>>, String> {
    let Some(decoder) = decoder else {
        // Without a decoder, a pipeline joins its tokens with spaces.
        return Ok(tokens
            .iter()
            .map(|token| format!(" {token}").into_bytes())
            .collect());
    };
    if any(decoder, &|step| {
        matches!(step, DecoderWrapper::ByteLevel(_))
    }) {
        return Ok(alphabet::pieces(tokens));
    }
    let fallback = any(decoder, &|step| {
        matches!(step, DecoderWrapper::ByteFallback(_))
    });
    let piece = |token: &String| match byte(token).filter(|_| fallback) {
        Some(byte) => Ok(vec![byte]),
        None => between(decoder, token).map(String::into_bytes),
    };
    tokens.iter().map(piece).collect()
}

/// Whether a step of the decoder is one that `wanted` holds for.
fn any(decoder: &DecoderWrapper, wanted: &dyn Fn(&DecoderWrapper) -> bool) -> bool {
    match decoder {
        DecoderWrapper::Sequence(steps) => {
            steps.get_decoders().iter().any(|step| any(step, wanted))
        }
        step => wanted(step),
    }
}

/// The byte that a token such as `<0x0A>` stands for.
fn byte(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    (digits.len() == 2).then(|| u8::from_str_radix(digits, 16).ok())?
}

/// A token decoded between two others, since decoders treat the first and the last of a text in
/// their own way.
fn between(decoder: &DecoderWrapper, token: &str) -> Result<String, String> {
    const OTHER: &str = "x";
    let decode = |tokens: &[&str]| {
        let tokens = tokens.iter().map(|&token| token.to_owned()).collect();
        let decoded = decoder
            .decode_chain(tokens)
            .map_err(|error| error.to_string());
        decoded.map(|decoded| decoded.concat())
    };
    // Decoders that drop what repeats (of speech) or look at more than a token have no pieces.
    let all = decode(&[OTHER, token, OTHER])?;
    let rest = decode(&[OTHER, OTHER])?;
    let tail = rest.strip_prefix(OTHER).unwrap_or_default();
    let piece = all
        .strip_prefix(OTHER)
        .and_then(|all| all.strip_suffix(tail));
    piece
        .map(str::to_owned)
        .ok_or_else(|| format!("its decoder does not tell what {token:?} stands for by itself"))
}
