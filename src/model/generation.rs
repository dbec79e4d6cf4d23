use super::decoder::Decoder;
use super::sampler::pick;
use crate::data::{DataError, TextStream, Tokenizer};
use crate::kernels::{elements, with_helper_thread};
use crate::random::{Stream, unit};
use crate::spec::Sample;
use dfdx::prelude::{CpuError, HasShape};

/// The tokens of a prompt. An empty prompt becomes a newline, or token 0 if the tokenizer has no
/// newline.
///
/// # Errors
/// If the tokenizer does not know a character of the prompt.
pub fn prompt_tokens(tokenizer: &Tokenizer, prompt: &str) -> Result<Vec<usize>, DataError> {
    let mut tokens = tokenizer.encode(prompt)?;
    if tokens.is_empty() {
        tokens = tokenizer.encode("\n").unwrap_or_default();
    }
    if tokens.is_empty() {
        tokens.push(0);
    }
    Ok(tokens.into_iter().map(|token| token as usize).collect())
}

/// Generates `sample.num_samples` texts at once. Each continues `prompt`, which has at least one token, by
/// `sample.tokens` tokens, or ends before `sample.stop`.
///
/// Calls `sink` with the index of a text and each new piece of it. A text depends on the seed and its
/// index, and not on the number of texts.
///
/// # Errors
/// The errors of `sink`, and [`CpuError`] if there is not enough memory.
pub fn generate<E: From<CpuError>>(
    decoder: Decoder,
    tokenizer: &Tokenizer,
    prompt: &[usize],
    sample: &Sample,
    seed: u64,
    sink: impl FnMut(usize, &str) -> Result<(), E>,
) -> Result<(), E> {
    with_helper_thread(|| draw(decoder, tokenizer, prompt, sample, seed, sink))
}

fn draw<E: From<CpuError>>(
    mut decoder: Decoder,
    tokenizer: &Tokenizer,
    prompt: &[usize],
    sample: &Sample,
    seed: u64,
    mut sink: impl FnMut(usize, &str) -> Result<(), E>,
) -> Result<(), E> {
    let stream = Stream::new(seed, "sampling");
    // All texts begin with the prompt, so the first step computes it only once.
    let mut texts = vec![prompt.to_vec()];
    let mut outputs = vec![TextStream::new(tokenizer, sample.stop.as_deref()); sample.num_samples];
    for i in 0..sample.tokens {
        if outputs.iter().all(TextStream::is_stopped) {
            break;
        }
        let logits = decoder.next_logits(&texts)?; // (1, V), then (num, V)
        texts.resize(sample.num_samples, prompt.to_vec());
        let vocab_size = logits.shape().1;
        let rows = elements(&logits).chunks_exact(vocab_size).cycle();
        for (number, ((text, output), logits)) in
            texts.iter_mut().zip(&mut outputs).zip(rows).enumerate()
        {
            let drawn = unit(&mut stream.at((number as u64) << 32 | i as u64));
            let token = pick(logits, text, sample, drawn);
            text.push(token);
            let piece = output.push(token as u32);
            if !piece.is_empty() {
                sink(number, &piece)?;
            }
        }
    }
    for (number, output) in outputs.into_iter().enumerate() {
        let piece = output.finish();
        if !piece.is_empty() {
            sink(number, &piece)?;
        }
    }
    Ok(())
}
