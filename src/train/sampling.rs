use super::job::Job;
use super::train_error::TrainError;
use crate::model::{Decoder, generate, prompt_tokens};
use crate::results::SampleText;

/// Generates the samples of a run with the model as it is after `step` steps.
pub(super) fn generate_samples(
    job: &Job,
    decoder: Decoder,
    step: u64,
) -> Result<Vec<SampleText>, TrainError> {
    let (settings, tokenizer) = (&job.spec.sample, &job.corpus.tokenizer);
    if settings.tokens == 0 {
        return Ok(Vec::new());
    }
    let prompt = prompt_tokens(tokenizer, &settings.prompt).map_err(TrainError::Prompt)?;
    let mut texts = vec![String::new(); settings.num_samples];
    let seed = job.spec.seed;
    generate(decoder, tokenizer, &prompt, settings, seed, |i, piece| {
        texts[i].push_str(piece);
        Ok::<_, TrainError>(())
    })?;
    let texts = texts.into_iter().zip(1..);
    let samples = texts.map(|(text, number)| SampleText {
        step,
        number,
        prompt: settings.prompt.clone(),
        text,
    });
    Ok(samples.collect())
}
