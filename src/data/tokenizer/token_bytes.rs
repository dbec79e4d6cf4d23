//! The bytes that each token of a pipeline stands for.

use super::byte_alphabet;
use tokenizers::{Decoder, DecoderWrapper};

/// Largest size of the bytes of all tokens together.
const MAX_BYTES: usize = 1 << 30;

/// The bytes of each token, as the decoder of the pipeline writes them in the middle of a text.
/// Decoding joins these bytes, so a text can be decoded token by token.
pub(super) fn of_all(
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
    if is_byte_level(decoder) {
        return Ok(byte_alphabet::token_bytes(tokens));
    }
    let byte_fallback = has_step(decoder, &|step| {
        matches!(step, DecoderWrapper::ByteFallback(_))
    });
    let bytes_of = |token: &String| match byte(token).filter(|_| byte_fallback) {
        Some(byte) => Ok(vec![byte]),
        None => decode_between(decoder, token).map(String::into_bytes),
    };
    let mut all = Vec::with_capacity(tokens.len());
    let mut size = 0;
    for token in tokens {
        let bytes = bytes_of(token)?;
        size += bytes.len();
        if size > MAX_BYTES {
            return Err("its tokens stand for more than 1 GiB of text".to_owned());
        }
        all.push(bytes);
    }
    Ok(all)
}

/// The bytes of a token at the start of a text, if they may differ from those in the middle of a text.
pub(super) fn at_start(token: &str, decoder: Option<&DecoderWrapper>) -> Option<Vec<u8>> {
    let Some(decoder) = decoder else {
        return Some(token.as_bytes().to_vec());
    };
    if is_byte_level(decoder) || byte(token).is_some() {
        return None;
    }
    let all = decode(decoder, &[token, OTHER]).ok()?;
    let rest = decode(decoder, &[OTHER, OTHER]).ok()?;
    let text = all.strip_suffix(rest.strip_prefix(OTHER)?)?;
    Some(text.as_bytes().to_vec())
}

/// A token next to which another token is decoded.
const OTHER: &str = "x";

fn decode(decoder: &DecoderWrapper, tokens: &[&str]) -> Result<String, String> {
    let tokens = tokens.iter().map(|&token| token.to_owned()).collect();
    let decoded = decoder.decode_chain(tokens);
    let decoded = decoded.map_err(|error| error.to_string())?;
    Ok(decoded.concat())
}

fn is_byte_level(decoder: &DecoderWrapper) -> bool {
    has_step(decoder, &|step| {
        matches!(step, DecoderWrapper::ByteLevel(_))
    })
}

/// Whether `wanted` holds for a step of the decoder.
fn has_step(decoder: &DecoderWrapper, wanted: &dyn Fn(&DecoderWrapper) -> bool) -> bool {
    match decoder {
        DecoderWrapper::Sequence(steps) => steps
            .get_decoders()
            .iter()
            .any(|step| has_step(step, wanted)),
        step => wanted(step),
    }
}

/// The byte of a token such as `<0x0A>`.
fn byte(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    (digits.len() == 2).then(|| u8::from_str_radix(digits, 16).ok())?
}

/// A token decoded between two other tokens. Decoders may treat the first and the last token of a
/// text differently.
fn decode_between(decoder: &DecoderWrapper, token: &str) -> Result<String, String> {
    // Some decoders have no fixed text for each token: CTC decoders, for example, drop repetitions.
    let all = decode(decoder, &[OTHER, token, OTHER])?;
    let rest = decode(decoder, &[OTHER, OTHER])?;
    let tail = rest.strip_prefix(OTHER).unwrap_or_default();
    let text = all
        .strip_prefix(OTHER)
        .and_then(|all| all.strip_suffix(tail));
    text.map(str::to_owned)
        .ok_or_else(|| format!("its decoder has no fixed text for the token {token:?}"))
}
