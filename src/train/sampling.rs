use super::{Job, TrainError};
use crate::model::{Decoder, generate, prompt_tokens};
use crate::results::SampleText;

/// Draws the texts of a run for the report, by a model that has been trained for `step` steps.
pub(super) fn draw(job: &Job, decoder: Decoder, step: u64) -> Result<Vec<SampleText>, TrainError> {
    let (sample, tokenizer) = (&job.spec.sample, &job.corpus.tokenizer);
    if sample.tokens == 0 {
        return Ok(Vec::new());
    }
    let prompt = prompt_tokens(tokenizer, &sample.prompt).map_err(TrainError::Prompt)?;
    let mut texts = vec![String::new(); sample.num];
    let seed = job.spec.seed;
    generate(decoder, tokenizer, &prompt, sample, seed, |i, piece| {
        texts[i].push_str(piece);
        Ok::<_, TrainError>(())
    })?;
    let texts = texts.into_iter().zip(1..);
    let texts = texts.map(|(text, number)| SampleText {
        step,
        number,
        prompt: sample.prompt.clone(),
        text,
    });
    Ok(texts.collect())
}
